"""Mixing: images of a batch blended with, or pasted over, each other, and their targets too.

All methods take images (B, 3, H, W) float, targets (B, C) and weights (B,), change none of them in
place, and mix weights by the same shares as the pixels. A target counts by its share times its
row's weight: a row of weight 0 gives its pixels and not its label, and rows that sum to 1 still do.
So a loss that is linear in the target is, of a mixed row, the sum of its rows' losses, each times
its share and weight.
Random draws come from a numpy generator on the CPU, so that a step can be repeated on any device.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import torch
from torch.nn.functional import interpolate

from pipeline.config.network import Inputs

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # images, targets, weights
Mix = Callable[[torch.Tensor], torch.Tensor]  # (B, ...) -> (B, ...), each row a mean of some rows
Size = tuple[int, int]  # (rows, columns), in pixels


def mix_batch(
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    settings: Inputs,
    rng: np.random.Generator,
) -> Batch:
    """Mix a batch, with `settings.mix_probability`, by one of the methods that are on.

    Each method that is on is equally likely. A batch that is not mixed is returned as it is,
    uint8 images too; a mixed one is float.
    """
    methods = [
        (settings.mixup, partial(mixup, alpha=settings.mixup)),
        (settings.cutmix, partial(cutmix, alpha=settings.cutmix)),
        (settings.ricap, partial(ricap, beta=settings.ricap)),
        (settings.mosaic, partial(mosaic, beta=settings.mosaic)),
    ]
    on = [mix for strength, mix in methods if strength > 0]
    # No draw without a choice: with mixup alone, a step's draws are those of `mixup`.
    if not on or (settings.mix_probability < 1 and rng.random() >= settings.mix_probability):
        return images, targets, weights
    mix = on[0] if len(on) == 1 else on[rng.integers(len(on))]
    return mix(images.float(), targets, weights, rng=rng)


def mixup(
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    alpha: float,
    rng: np.random.Generator,
) -> Batch:
    """Blend each image with another of the batch: share * own + (1 - share) * other.

    Args:
        images: (B, 3, H, W) float.
        targets: (B, C); rows that sum to 1 still do afterwards.
        weights: (B,) row weights, 0 or more.
        alpha: the batch's one share is drawn from Beta(alpha, alpha).
    Source: Zhang 2018, mixup; with a generator passed in, so that a step can be repeated.
    """
    share = float(rng.beta(alpha, alpha))
    others = torch.from_numpy(rng.permutation(len(images))).to(images.device)

    def mix(values: torch.Tensor) -> torch.Tensor:
        return values.lerp(values[others], 1 - share)

    return mix(images), *_mixed_labels(targets, weights, mix)


def cutmix(
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    alpha: float,
    rng: np.random.Generator,
) -> Batch:
    """Paste one box of another image over each image; the box is the same for the whole batch.

    Its area is 1 - Beta(alpha, alpha) of the image, its centre anywhere, so that the border may cut
    it: targets follow the pixels that are left of it.
    Source: Yun 2019, CutMix.
    """
    height, width = images.shape[-2:]
    side = math.sqrt(1 - float(rng.beta(alpha, alpha)))
    rows, columns = (_clipped_span(length, side, rng) for length in (height, width))
    others = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    mixed = images.clone()
    mixed[..., rows, columns] = images[..., rows, columns][others]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return mixed, *_mixed_labels(targets, weights, lambda v: v.lerp(v[others], pasted))


def ricap(
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    beta: float,
    rng: np.random.Generator,
) -> Batch:
    """Fill the four rectangles around a point with random crops, not resized, of four images.

    The point (its height and width each from Beta(beta, beta)) and where each rectangle's crop is
    taken are the same for the whole batch.
    Source: Takahashi 2018, RICAP; the first rectangle's image is the row's own, not a random one.
    """
    height, width = images.shape[-2:]
    row, column = (round(length * float(rng.beta(beta, beta))) for length in (height, width))

    def crop(size: Size) -> torch.Tensor:
        top, left = rng.integers(height - size[0] + 1), rng.integers(width - size[1] + 1)
        return images[..., top : top + size[0], left : left + size[1]]

    return _quartered(images, targets, weights, split=(row, column), patch=crop, rng=rng)


def mosaic(
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    beta: float,
    rng: np.random.Generator,
) -> Batch:
    """Fill the four rectangles around a point with four whole images, resized to fit.

    The point is the batch's, its height and width each from Beta(beta, beta), and at least a pixel
    from the border where the image has two.
    Source: Bochkovskiy 2020, YOLOv4; for classes instead of boxes: targets are mixed by area. The
    first rectangle's image is the row's own.
    """
    row, column = (
        max(1, min(length - 1, round(length * float(rng.beta(beta, beta)))))
        for length in images.shape[-2:]
    )

    def shrink(size: Size) -> torch.Tensor:
        return interpolate(images, size=size, mode="bilinear", antialias=True)

    return _quartered(images, targets, weights, split=(row, column), patch=shrink, rng=rng)


def _mixed_labels(
    targets: torch.Tensor, weights: torch.Tensor, mix: Mix
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix targets (B, C), each row's by its weight; return them and the mixed weights (B,).

    A row mixed of rows without weight has none, and the plain mean of their targets.
    """
    mass = mix(weights)
    counted = mix(weights[:, None] * targets) / torch.where(mass > 0, mass, 1)[:, None]
    return torch.where(mass[:, None] > 0, counted, mix(targets)), mass


def _clipped_span(length: int, side: float, rng: np.random.Generator) -> slice:
    """Return the part of a box of `side` (a share of `length`) that lies inside the image."""
    size, centre = int(length * side), int(rng.integers(length))
    return slice(max(0, centre - size // 2), min(length, centre - size // 2 + size))


def _quartered(
    images: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    split: Size,
    patch: Callable[[Size], torch.Tensor],
    rng: np.random.Generator,
) -> Batch:
    """Join four patches, each from another order of the batch, the first from its own.

    Args:
        split: where the four meet; a patch without area is left out.
        patch: gives (B, 3, h, w) of all images for a size (h, w).
    """
    height, width = images.shape[-2:]
    row, column = split
    mixed, shares = torch.empty_like(images), []
    others = torch.arange(len(images), device=images.device)
    for rows, columns in product(
        (slice(0, row), slice(row, height)), (slice(0, column), slice(column, width))
    ):
        size = (rows.stop - rows.start, columns.stop - columns.start)
        if 0 not in size:
            mixed[..., rows, columns] = patch(size)[others]
        shares.append((size[0] * size[1] / (height * width), others))
        others = torch.from_numpy(rng.permutation(len(images))).to(images.device)

    def mix(values: torch.Tensor) -> torch.Tensor:
        return torch.stack([share * values[order] for share, order in shares]).sum(0)

    return mixed, *_mixed_labels(targets, weights, mix)
