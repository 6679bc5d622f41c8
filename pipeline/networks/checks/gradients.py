"""Check of gradients before training: which parts of a network would never learn."""

from functools import partial

import numpy as np
import torch
from torch import nn

from pipeline.networks.checks.trial_network import CheckResult, TrialNetwork
from pipeline.networks.network import ImageNetwork
from pipeline.networks.training_run import without_noise

STEPS = 5  # a zero behind another zero takes one more step to change
MANY = 0.5  # dead share from which a person should look
WORST = 5  # modules named
RELU_LIKE = (nn.ReLU, nn.ReLU6, nn.Hardswish)


def check_gradients(trial: TrialNetwork) -> CheckResult:
    """Find what gets no gradient in any of the first steps.

    A healthy network may begin with zeros that block gradients until a step has changed them: a
    head of zeros, and in each residual block the last BatchNorm's weight (Goyal 2017), a LayerScale
    or a SkipInit.
    """
    trainer = trial.trainer(without_noise(trial.small), precision="32")
    batch = trial.varied_batch(trainer)
    reached: dict[str, torch.Tensor] = {}
    silent: dict[str, float] = {}
    called: set[str] = set()
    watching = _watch(trainer.network, silent, called)
    for _ in range(STEPS):
        trainer.stepper.zero_grad()
        trainer.gradients(*batch)
        note_reached(reached, trainer.network)
        trainer.stepper.step()
    for watch in watching:
        watch.remove()
    zeros = zero_shares(trainer.network, reached)
    unused = _replaced(trainer.network) - called
    zeros = {name: zero for name, zero in zeros.items() if name not in unused}
    return _result(zeros, silent, num_images=len(batch[0]))


def note_reached(reached: dict[str, torch.Tensor], network: nn.Module) -> None:
    """Add to `reached` (name to mask) which elements of the parameters have a gradient now."""
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            now = parameter.grad != 0
            reached[name] = reached[name] | now if name in reached else now


def zero_shares(
    network: nn.Module, reached: dict[str, torch.Tensor]
) -> dict[str, tuple[float, int]]:
    """Return each module's share of its own elements that no gradient reached, and their number.

    Modules without parameters of their own that learn are left out.
    """
    shares = {}
    for module_name, module in network.named_modules():
        own = {
            f"{module_name}.{name}".removeprefix("."): parameter.numel()
            for name, parameter in module.named_parameters(recurse=False)
            if parameter.requires_grad
        }
        if own:
            alive = sum(int(reached[name].count_nonzero()) for name in own if name in reached)
            count = sum(own.values())
            shares[module_name or "the network itself"] = (1 - alive / count, count)
    return shares


def _result(
    zeros: dict[str, tuple[float, int]], silent: dict[str, float], *, num_images: int
) -> CheckResult:
    """Describe the shares of zeros as a check's result.

    Args:
        zeros: of `zero_shares`. silent: ReLU to the share of its channels that are always zero.
    """
    dead = [name for name, (share, _) in zeros.items() if share == 1]
    counts = sum(count for _, count in zeros.values())
    share = sum(share * count for share, count in zeros.values()) / max(1, counts)
    text = f"{share:.1%} of {counts} gradients are exactly zero in each of {STEPS} steps"
    worst = _worst({name: share for name, (share, _) in zeros.items()})
    text += f", most in {_in_words(worst)}" if worst else ""
    if share > MANY and not dead:
        text += ". Kernels wider than their maps get few: a larger `image_size` may suit better"
    if dead:
        text += (
            f". {len(dead)} modules get none at all although they should learn: "
            f"{', '.join(dead[:WORST])}. Look for a `detach`, for a part that the output does not "
            "depend on, or for dead activations before it; `freeze` parts that should not learn."
        )
    numbers = {"zero_share": share, "worst": worst, "dead_modules": dead, "silent": silent}
    if silent:
        numbers["silent_share"] = mean = float(np.mean([*silent.values()]))
        text += f"; {mean:.1%} of ReLU channels are zero for all {num_images} images"
        text += f", most in {_in_words(_worst(silent))}" if mean else ""
    many = max(share, numbers.get("silent_share", 0.0)) > MANY
    status = "failed" if dead else "look" if many else "ok"
    return CheckResult("gradients", status, text, numbers)


def _replaced(network: ImageNetwork) -> set[str]:
    """Return modules that may go unused: the backbone's own pooling, where the config replaces it.

    timm's ConvNeXt has a norm there, MobileNetV3 a convolution.
    """
    if network.pooling is None or network.pooling.own_last:
        return set()
    return {f"backbone.{name}" for name, _ in network.backbone.named_modules()}


def _watch(
    network: nn.Module, silent: dict[str, float], called: set[str]
) -> list[torch.utils.hooks.RemovableHandle]:
    """Note each module's calls, and each ReLU's silent channels in the last of them."""

    def note(name: str, module: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        called.add(name)
        if isinstance(module, RELU_LIKE):
            silent[name] = _silent_share(output)

    return [m.register_forward_hook(partial(note, name)) for name, m in network.named_modules()]


def _silent_share(output: torch.Tensor) -> float:
    """Return the share of channels that are zero everywhere, for all images."""
    sizes = output.detach().abs()
    if sizes.ndim == 3:  # (B, tokens, channels)
        sizes = sizes.transpose(1, 2)
    return float((sizes.transpose(0, 1).flatten(1).amax(1) == 0).float().mean())


def _worst(shares: dict[str, float]) -> dict[str, float]:
    """Return the highest shares above zero."""
    names = sorted(shares, key=lambda name: -shares[name])[:WORST]
    return {name: shares[name] for name in names if shares[name] > 0}


def _in_words(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} ({share:.0%})" for name, share in shares.items())
