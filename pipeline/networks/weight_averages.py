"""Weight averages: moving (EMA), or the plain mean of several epochs (SWA)."""

from collections.abc import Iterable

import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel


def create_average(network: nn.Module, decay: float) -> ModelEmaV3:
    """Create a moving average of weights and BatchNorm's statistics: avg = d * avg + (1 - d) * now.

    Update it with the number of the step, from 1: d grows as 1 - step^(-2/3) up to `decay`, so
    that short runs forget their first, random weights. Decay 0: the weights as they are.
    """
    return ModelEmaV3(network, decay=decay, use_warmup=True)


def create_weight_mean(network: nn.Module) -> AveragedModel:
    """Create a plain mean of weights, `module`; `update_parameters(network)` adds an epoch's.

    Buffers are the last network's: before use, call `refresh_batch_norm` on `module`. Its
    `state_dict` has all that a continued run needs.

    Source: Izmailov 2018 (SWA).
    """
    return AveragedModel(network)


@torch.no_grad()
def refresh_batch_norm(network: nn.Module, batches: Iterable) -> None:
    """Recompute the statistics of BatchNorm layers in training mode, then leave all in eval mode.

    All else runs in eval mode: dropout would disturb the statistics, and draw random numbers. So
    call `network.train()` and `set_trainable` before: frozen layers keep their statistics.

    Args:
        batches: of (images, positions), as the training loader gives them; none is left out of the
            mean, however small, and each counts by its number of images.
    Source: Izmailov 2018; torch's `update_bn`, which runs dropout and weighs all batches alike.
    """
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.training]
    network.eval()
    if not layers:
        return
    device = next(network.parameters()).device
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    num_seen = 0
    for images, _ in batches:
        num_seen += len(images)
        for layer in layers:
            layer.momentum = len(images) / num_seen
        network(images.to(device, non_blocking=True))
    assert num_seen, "refresh_batch_norm: no batches"
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
