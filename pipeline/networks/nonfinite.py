"""Where a NaN or infinity came from: the first module that made one, forward or backward."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Origin:
    """Attributes: `where` is "forward" or "backward"; `module` as in named_modules, or "loss"."""

    where: str
    module: str


def find_nonfinite(network: nn.Module, compute_loss: Callable[[], torch.Tensor]) -> Origin | None:
    """Repeat one step and watch all modules but mere containers; gradients are overwritten.

    Args:
        compute_loss: forward pass and loss (one number) of the step, with its random draws.
    Returns:
        None if all is finite this time.
    """
    network.zero_grad()
    modules = {
        name: part
        for name, part in network.named_modules()
        if not [*part.children()] or [*part.parameters(recurse=False)]
    }
    made: list[str] = []  # outputs that are not finite, in forward order
    arrived: list[tuple[str, bool]] = []  # (module, is its output's gradient finite), in order

    def watch(name: str) -> Callable:
        def after_forward(_module: nn.Module, _inputs: tuple, output: object) -> None:
            if not torch.is_tensor(output) or not output.is_floating_point():
                return
            if not output.isfinite().all():
                made.append(name)
            if output.requires_grad:
                output.register_hook(
                    lambda gradient: arrived.append((name, bool(gradient.isfinite().all())))
                )

        return after_forward

    handles = [part.register_forward_hook(watch(name)) for name, part in modules.items()]
    try:
        loss = compute_loss()
        if made:
            return Origin("forward", made[0])
        if not loss.isfinite():
            return Origin("forward", "loss")
        loss.backward()
    finally:
        for handle in handles:
            handle.remove()
    return _first_in_backward(modules, arrived)


def _first_in_backward(
    modules: dict[str, nn.Module], arrived: list[tuple[str, bool]]
) -> Origin | None:
    """Return a module that got a finite gradient and passed on, or kept, one that is not."""
    before = "loss"
    for name, finite in arrived:
        if not finite:
            return Origin("backward", before)
        gradients = [parameter.grad for parameter in modules[name].parameters(recurse=False)]
        if not all(g is None or g.isfinite().all() for g in gradients):
            return Origin("backward", name)
        before = name
    return None
