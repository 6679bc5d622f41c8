"""Mixing: images of a batch blended with each other, and their targets likewise."""

import numpy as np
import torch


def mixup(
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    alpha: float,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Blend each image with another of the batch: share * own + (1 - share) * other.

    Args:
        images: (B, 3, H, W) float.
        targets: (B, C); rows that sum to 1 still do afterwards.
        weights: (B,) row weights.
        alpha: the batch's one share is drawn from Beta(alpha, alpha).
    Source: Zhang 2018, mixup; with a generator passed in, so that a step can be repeated.
    """
    share = float(rng.beta(alpha, alpha))
    others = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    mixed = (values.lerp(values[others], 1 - share) for values in (images, targets, weights))
    return tuple(mixed)
