"""Parameter groups: which weights learn, how fast, decayed or not, and from which epoch on.

timm splits a backbone into *layers* (its finest groups; `layer_decay` counts them) and into
*stages* (its coarse ones, the stem is the first; `freeze` and `unfreeze_every` count them).
"""

import math
from collections.abc import Collection
from fnmatch import fnmatch

from timm.models import group_parameters
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.config.schema import Network
from pipeline.errors import UserError
from pipeline.networks.schedules import peak_learning_rate


def parameter_groups(network: nn.Module, settings: Network) -> list[dict]:
    """Make groups for an optimizer, the head's first; frozen parameters are in none.

    A group has `params`, `name`, `lr`, `peak_lr` and `weight_decay`. Norms, biases and what timm
    exempts do not decay. With `layer_decay` d, layer i of L learns at d^(L - 1 - i) of the
    backbone's rate, so the last one at all of it.

    Args:
        network: `backbone` is timm's; `loss_log_variances` is the loss's; all else is the head.
    Raises:
        UserError: if the backbone has too few stages, or timm cannot split it.
    Source: Clark 2020 (ELECTRA); timm's `param_groups_layer_decay`, which drops the layers' names.
    """
    backbone, lr = network.backbone, peak_learning_rate(settings)
    rest = {name: p for name, p in network.named_parameters() if not name.startswith("backbone.")}
    loss = {name: rest.pop(name) for name in list(rest) if name == "loss_log_variances"}
    exempt = getattr(backbone, "no_weight_decay", set)()
    groups = _with_and_without_decay("head", rest, lr=lr, settings=settings)
    for name, share, named in _backbone_layers(backbone, settings):
        rate = lr * settings.backbone_lr * share
        groups += _with_and_without_decay(name, named, lr=rate, settings=settings, exempt=exempt)
    return groups + _with_and_without_decay("loss", loss, lr=lr, settings=settings)


def set_trainable(network: nn.Module, settings: Network, *, epoch: int) -> None:
    """Make trainable what learns in an epoch, from 0; call it after each `network.train()`.

    Other parameters get no gradient, and so no step and no decay from the optimizer. BatchNorm
    layers that do not learn, or all of the backbone's with `batch_norm: freeze`, keep their
    statistics; in the latter case their weights still learn.

    Source: Howard 2018 (ULMFiT); there is no state, so a continued run does the same.
    """
    starts = first_epochs(network.backbone, settings)
    for name, parameter in network.backbone.named_parameters():
        parameter.requires_grad_(epoch >= starts[name])
    for name, module in network.backbone.named_modules():
        if isinstance(module, _BatchNorm) and (
            settings.batch_norm == "freeze" or epoch < starts.get(f"{name}.weight", 0)
        ):
            module.eval()


def check_batch(network: nn.Module, settings: Network) -> None:
    """Raise UserError where BatchNorm would take its statistics from batches of one image."""
    if settings.batch_size > 1:
        return
    network.train()
    set_trainable(network, settings, epoch=settings.epochs - 1)
    if any(isinstance(module, _BatchNorm) and module.training for module in network.modules()):
        raise UserError(
            f"batch_size: 1, but {_arch(network.backbone)} has BatchNorm, whose statistics need "
            "two images at least. Say `batch_size: 2` or more, or `batch_norm: freeze`."
        )


def first_epochs(backbone: nn.Module, settings: Network) -> dict[str, float]:
    """Return the epoch, from 0, in which each backbone parameter begins to learn; inf: never.

    Raises:
        UserError: if `freeze` asks for more stages than there are.
    """
    if not settings.freeze and not settings.unfreeze_every:
        return {name: 0 for name, _ in backbone.named_parameters()}
    key = "freeze" if settings.freeze else "unfreeze_every"
    stages = _depths(backbone, coarse=True, key=key)
    num_stages = 1 + max(stages.values())
    if settings.freeze > num_stages:
        raise UserError(
            f"freeze: {_arch(backbone)} has {num_stages} stages, the stem among them; got "
            f"{settings.freeze}. Say {num_stages} or less."
        )
    return {
        name: math.inf
        if stage < settings.freeze
        else (num_stages - stage) * settings.unfreeze_every
        for name, stage in stages.items()
    }


def describe_groups(groups: list[dict], network: nn.Module, settings: Network) -> list[str]:
    """Return a log line for each group, then for backbone parameters that start later or never.

    Args:
        groups: an optimizer's `param_groups`.
    """
    lines = [
        f"{group['name']}: {_count(group['params'])} "
        f"peak lr {group['peak_lr']:.1e} decay {group['weight_decay']:g}"
        for group in groups
    ]
    starts = first_epochs(network.backbone, settings)
    named = dict(network.backbone.named_parameters())
    for start in sorted(set(starts.values())):
        count = _count([named[name] for name in starts if starts[name] == start])
        if start == math.inf:
            lines.append(f"frozen: {count}")
        elif start >= settings.epochs:
            lines.append(f"frozen until the end, {settings.epochs} epochs are too few: {count}")
        elif start > 0:
            lines.append(f"frozen until epoch {start + 1}: {count}")
    return lines


def _backbone_layers(
    backbone: nn.Module, settings: Network
) -> list[tuple[str, float, dict[str, nn.Parameter]]]:
    """Return each layer's name, share of the backbone's rate and parameters; or one for all."""
    starts = first_epochs(backbone, settings)
    learning = {name: p for name, p in backbone.named_parameters() if starts[name] < math.inf}
    if settings.layer_decay == 1:
        return [("backbone", 1.0, learning)]
    layers = _depths(backbone, coarse=False, key="layer_decay")
    last = max(layers.values())
    return [
        (
            f"backbone layer {layer}",
            settings.layer_decay ** (last - layer),
            {name: p for name, p in learning.items() if layers[name] == layer},
        )
        for layer in range(last + 1)
    ]


def _with_and_without_decay(
    part: str,
    named: dict[str, nn.Parameter],
    *,
    lr: float,
    settings: Network,
    exempt: Collection[str] = (),
) -> list[dict]:
    """Return up to two groups; `exempt` are patterns of names, as timm reads them."""
    decaying, other = [], []
    for name, parameter in named.items():
        spared = parameter.ndim <= 1 or any(fnmatch(name, pattern) for pattern in exempt)
        (other if spared else decaying).append(parameter)
    shared = {"name": part, "lr": lr, "peak_lr": lr}
    return [
        {"params": parameters, "weight_decay": decay, **shared}
        for parameters, decay in ((decaying, settings.weight_decay), (other, 0.0))
        if parameters
    ]


def _depths(backbone: nn.Module, *, coarse: bool, key: str) -> dict[str, int]:
    """Return each parameter's layer number, or its stage's if coarse, counted from the stem."""
    if not hasattr(backbone, "group_matcher"):
        raise UserError(
            f"{key}: timm cannot split {_arch(backbone)} into layers. Leave the key out, or take "
            "another backbone."
        )
    return group_parameters(backbone, backbone.group_matcher(coarse=coarse), reverse=True)


def _arch(backbone: nn.Module) -> str:
    return getattr(backbone, "default_cfg", {}).get("architecture", type(backbone).__name__)


def _count(parameters: list[nn.Parameter]) -> str:
    return f"{len(parameters)} tensors, {sum(p.numel() for p in parameters)} parameters"
