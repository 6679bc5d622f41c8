"""Optimisation: the optimizer that the config names, over a network's parameter groups."""

import math
from collections.abc import Callable

import timm.optim
import torch
from torch import nn

from pipeline.config.schema import Network
from pipeline.errors import UserError, did_you_mean
from pipeline.networks.parameter_groups import parameter_groups
from pipeline.networks.schedules import peak_learning_rate

# They want a library of their own (apex, bitsandbytes), or second derivatives.
EXCLUDED = ["fused*", "bnb*", "adahessian"]


def create_optimizer(network: nn.Module, settings: Network) -> torch.optim.Optimizer:
    """Create an optimizer of the parameters that learn; each group has its `peak_lr`.

    Raises:
        UserError: for an optimizer that is neither ours nor timm's, or groups that cannot be made.
    """
    known = ["adabound", *timm.optim.list_optimizers(exclude_filters=EXCLUDED)]
    if settings.optimizer not in known:
        near = did_you_mean(settings.optimizer, known, most=3, list_all=False)
        raise UserError(
            f"optimizer {settings.optimizer!r}: neither ours nor one of timm's that run here"
            f"{near or '; `timm.optim.list_optimizers()` lists them'}"
        )
    groups = parameter_groups(network, settings)
    lr = peak_learning_rate(settings)
    if settings.optimizer == "adabound":
        return AdaBound(groups, lr=lr)
    return timm.optim.create_optimizer_v2(groups, opt=settings.optimizer, lr=lr)


class AdaBound(torch.optim.Optimizer):
    """Adam that becomes SGD: rates are clipped to bounds that close around `final_lr`.

    At step t the bounds are final_lr * (1 - 1 / (gamma t + 1)) and final_lr * (1 + 1 / (gamma t)).

    `final_lr` belongs to `lr` as given here; groups and schedules that have a share of `lr` have
    the same share of `final_lr`. Weight decay is decoupled and in proportion to the rate, as in
    AdamW, so that the config's default suits both.

    Source: Luo 2019 and its code. There the final rate is shared by all groups, and decay is L2 or,
    decoupled (AdaBoundW), not in proportion to the rate.
    """

    def __init__(
        self,
        params: list[dict],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        final_lr: float = 0.1,
        gamma: float = 1e-3,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "final_lr": final_lr,
            "gamma": gamma,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Take a step with all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = (torch.zeros_like(parameter) for _ in range(2))
        state["step"] += 1
        t, gamma, (beta1, beta2) = state["step"], group["gamma"], group["betas"]
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        state["mean"].lerp_(parameter.grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
        final_lr = group["final_lr"] * group["lr"] / self.defaults["lr"]
        rate = group["lr"] * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        rates = (rate / state["square"].sqrt().add_(group["eps"])).clamp_(
            final_lr * (1 - 1 / (gamma * t + 1)), final_lr * (1 + 1 / (gamma * t))
        )
        parameter.addcmul_(rates, state["mean"], value=-1)
