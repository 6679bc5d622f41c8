"""Grad-CAM: where in an image a convolutional network finds what speaks for a class.

Source: Selvaraju 2017, Grad-CAM, on the maps that the network pools.
"""

import numpy as np
import torch
from torch import nn

from pipeline.core.numerics import TINY
from pipeline.networks.network import ImageNetwork


def grad_cam(network: ImageNetwork, images: torch.Tensor, columns: np.ndarray) -> np.ndarray | None:
    """Return heat (B, h, w), 0 to 1, of each image's class; None where no maps are pooled.

    The network's weights no longer want gradients after it: they start at the pooled maps, so that
    the backbone keeps nothing for them.

    Args:
        images: (B, 3, H, W) in 0 to 255.
        columns: (B,) of the raw outputs.
    """
    pool = _pool_of(network)
    if pool is None:
        return None
    seen: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        seen.append(inputs[0].detach().requires_grad_())
        return seen[-1], *inputs[1:]

    hook = pool.register_forward_pre_hook(keep)
    try:
        with torch.enable_grad():
            outputs = network.requires_grad_(False)(images)
    finally:
        hook.remove()
    if not seen or seen[-1].ndim != 4 or min(seen[-1].shape[2:]) < 2:
        return None
    maps = seen[-1]
    of_classes = outputs[torch.arange(len(outputs)), torch.from_numpy(columns)]
    gradients = torch.autograd.grad(of_classes.sum(), maps)[0]
    weights = gradients.mean((2, 3), keepdim=True)
    heat = (weights * maps).sum(1).relu().detach().float().cpu().numpy()
    return heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), TINY)


def _pool_of(network: ImageNetwork) -> nn.Module | None:
    """Return the module that pools the last maps; None where there is none, as of transformers."""
    pools = getattr(network.pooling, "pools", None)
    if pools and not network.pooling.own_last:
        return pools[-1]
    backbone = network.backbone
    found = getattr(backbone, "global_pool", None)
    if not isinstance(found, nn.Module):
        found = getattr(getattr(backbone, "head", None), "global_pool", None)
    return found if isinstance(found, nn.Module) else None
