"""Optimisation: parameter groups, the learning rate of each step, averaged weights."""

import difflib
import math

import timm.optim
import torch
from timm.utils import ModelEmaV3
from torch import nn

from pipeline.config.errors import UserError
from pipeline.config.schema import Network


def classifier_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of a timm model's head; some models (distilled ones) have several."""
    heads = model.get_classifier()
    heads = heads if isinstance(heads, (tuple, list)) else [heads]
    return [parameter for head in heads for parameter in head.parameters()]


def create_optimizer(model: nn.Module, settings: Network) -> torch.optim.Optimizer:
    """An optimizer over backbone and head, decayed and not; each group remembers its peak `lr`.

    Raises:
        UserError: for an optimizer that timm does not know.
    """
    known = timm.optim.list_optimizers()
    if settings.optimizer not in known:
        near = difflib.get_close_matches(settings.optimizer, known, n=3)
        raise UserError(f"optimizer {settings.optimizer!r}: timm does not know it. Near: {near}.")
    groups = parameter_groups(model, settings)
    return timm.optim.create_optimizer_v2(groups, opt=settings.optimizer, lr=settings.lr)


def parameter_groups(model: nn.Module, settings: Network) -> list[dict]:
    """Up to four groups, the head's first. Norms, biases and what timm exempts do not decay."""
    head = {id(parameter) for parameter in classifier_parameters(model)}
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else set()
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {
        (part, decays): [] for part in ("head", "backbone") for decays in (True, False)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "head" if id(parameter) in head else "backbone"
            groups[part, parameter.ndim > 1 and name not in exempt].append(parameter)
    peak = {"head": settings.lr, "backbone": settings.lr * settings.backbone_lr}
    return [
        {
            "params": parameters,
            "name": part,
            "lr": peak[part],
            "peak_lr": peak[part],
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (part, decays), parameters in groups.items()
        if parameters
    ]


def learning_rate_factor(step: int, *, total: int, warmup: int, floor: float) -> float:
    """What the peak rates are multiplied by at a step: a line up to 1, then a cosine to `floor`.

    Step 0 has 1 / (warmup + 1), step `warmup` has 1, step `total` - 1, the last, has `floor`.

    Source: Loshchilov 2017, SGDR, one cycle.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - 1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(
    optimizer: torch.optim.Optimizer, step: int, *, settings: Network, steps_per_epoch: int
) -> float:
    """Set each group's rate for a step, counted over all epochs, and return the head's.

    Nothing is remembered from step to step, so a resumed run needs no scheduler state. Warm-up
    takes half of the run at most.
    """
    total = settings.epochs * steps_per_epoch
    warmup = min(round(settings.warmup_epochs * steps_per_epoch), total // 2)
    floor = min(1.0, settings.min_lr / settings.lr)
    factor = learning_rate_factor(step, total=total, warmup=warmup, floor=floor)
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return optimizer.param_groups[0]["lr"]


def create_average(network: nn.Module, decay: float) -> ModelEmaV3:
    """Moving average of weights and BatchNorm's statistics: avg = d * avg + (1 - d) * now.

    Update it with the number of the step, from 1: d grows as 1 - step^(-2/3) up to `decay`, so
    that short runs do not drag their first, random weights along. Decay 0: the weights as they are.
    """
    return ModelEmaV3(network, decay=decay, use_warmup=True)
