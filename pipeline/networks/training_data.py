"""Rows that one fold's network learns from and is scored on, and batches of them.

Inner rows, which are neither, decide which epoch is used (law 3): chosen by held-out rows, their
score would be the best of several and too good.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from pipeline.config.schema import Folds, Network
from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.images.augmentation import (
    Spread,
    create_augmentation,
    measure_spread,
    wants_spread,
)
from pipeline.images.batches import Batches, Cache, FoldImages, training_loader, validation_loader
from pipeline.images.resizing import fit_square
from pipeline.images.sampling import (
    draws_per_epoch,
    epoch_rows,
    num_epoch_rows,
    row_weights_in_loss,
)
from pipeline.splitting.schemes import assign_folds

SPREAD_IMAGES = 500  # enough to measure a spread
ENOUGH_TO_DECIDE = 20  # rows; fewer do not distinguish epochs
EARLY_EPOCHS = 2 / 3  # of a training, with smaller images
STRIDE = 32  # pixels of the image that a pixel of the last feature map stands for, in most networks
FEWEST_PARTS = 4  # so that at most a quarter of all rows is set aside


# Fits a linear model on the head's inputs (r, D) of some of the rows, by their positions (r,):
# coefs (D, C) and intercepts (C,).
FitHead = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class TrainingData:
    """Rows of the image cache that one network learns from, decides by and is scored on.

    Attributes:
        cache: `cache[row]` is (H, W, 3) uint8; image_size, cut: the square that a network sees.
        rows: (n,) to learn from, with targets (n, C), hard or soft, and weights (n,).
        valid_rows: (m,) to be scored on, with valid_targets (m, C); they decide nothing.
        inner_rows: (k,) that decide which epoch is used, with inner_targets (k, C): none of the
            others. Empty where nothing is decided.
        teacher: (n, C) a teacher's predictions for `rows`, to distil from.
        start_weights: another network's, to start from.
        fit_head: for `init: linear_probe`.
    """

    cache: Cache
    image_size: int
    cut: str
    task: Task
    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    valid_rows: np.ndarray
    valid_targets: np.ndarray
    inner_rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    inner_targets: np.ndarray | None = None
    teacher: np.ndarray | None = None
    start_weights: Path | None = None
    fit_head: FitHead | None = None

    def square(self, row: int) -> torch.Tensor:
        """Return a cached image as inference sees it: (3, S, S) uint8."""
        return fit_square(self.cache[row], self.image_size, self.cut)

    def loss_weights(self, settings: Network) -> np.ndarray:
        """Return (n,) what a row weighs each time it is seen."""
        return row_weights_in_loss(self.weights, sampling=settings.sampling)

    def epoch_weights(self, settings: Network) -> np.ndarray:
        """Return (n,) what a row weighs in an epoch: its draws times its weight in the loss."""
        draws = draws_per_epoch(
            self.targets, self.weights, sampling=settings.sampling, task=self.task
        )
        return draws * self.loss_weights(settings)


@dataclass(frozen=True)
class Loaders:
    """Batches of training data; `batches.epoch` says which epoch `train` and `early` yield.

    Attributes:
        early: of smaller images, for the first epochs; None where all have one size.
    """

    batches: Batches
    train: DataLoader
    early: DataLoader | None
    valid: DataLoader
    inner: DataLoader

    def of_epoch(self, epoch: int, *, epochs: int) -> DataLoader:
        """Return the training batches of one of so many epochs."""
        self.batches.epoch = epoch
        is_early = self.early is not None and epoch < round(EARLY_EPOCHS * epochs)
        return self.early if is_early else self.train


def create_loaders(data: TrainingData, settings: Network, *, workers: int, seed: int) -> Loaders:
    """Create loaders of augmented batches to learn from, and of plain ones to be scored on.

    Raises:
        UserError: augmentation or sampling that does not fit.
    """
    view = {"image_size": data.image_size, "cut": data.cut}
    spread = _spread(data, seed) if wants_spread(settings.augment) else None
    how = {"sampling": settings.sampling, "task": data.task}
    batches = Batches(
        num_epoch_rows(data.targets, **how),
        batch_size=settings.batch_size,
        seed=seed,
        draw=partial(epoch_rows, data.targets, data.weights, **how),
    )

    def augmented(side: int) -> DataLoader:
        view = {"image_size": side, "cut": data.cut}
        augment = create_augmentation(settings.augment, **view, spread=spread)
        images = FoldImages(data.cache, data.rows, **view, augment=augment, seed=seed)
        return training_loader(images, batches, workers=workers)

    early = early_side(settings, data.image_size)
    plain = {"batch_size": settings.batch_size, "workers": workers}
    return Loaders(
        batches,
        augmented(data.image_size),
        augmented(early) if early < data.image_size else None,
        validation_loader(FoldImages(data.cache, data.valid_rows, **view), **plain),
        validation_loader(FoldImages(data.cache, data.inner_rows, **view), **plain),
    )


def early_side(settings: Network, image_size: int) -> int:
    """Return the side of images in the first epochs: a multiple of 32, as most networks need."""
    if settings.early_size == 1:
        return image_size
    return min(image_size, max(1, round(settings.early_size * image_size / STRIDE)) * STRIDE)


def set_aside(
    targets: np.ndarray, groups: np.ndarray, *, share: float, task: Task, seed: int
) -> np.ndarray:
    """Choose training rows that decide when to stop and are not trained on: (n,) bool.

    Rows are split like folds, by targets and whole groups, and the part whose size is next to the
    share is set aside. A class always keeps a row to learn from.

    Args:
        targets: (n, C). groups: (n,) names of what stays together.
        share: of rows; more if they would be fewer than ENOUGH_TO_DECIDE.
    Raises:
        UserError: where the rows are too few to do so.
    """
    num_parts = max(FEWEST_PARTS, len(targets) // ENOUGH_TO_DECIDE)
    num_parts = min(round(1 / share), num_parts, len(np.unique(groups)))
    if num_parts < 2:
        raise UserError(
            f"patience: all {len(targets)} training rows are of one group, so none can be kept "
            "aside to decide when to stop. Leave patience out, or make more folds."
        )
    settings = Folds(scheme="stratified", n=num_parts)
    parts = assign_folds(settings, targets, task=task, seed=seed, groups=groups).folds
    sizes = np.bincount(parts)
    aside = parts == np.argmin(np.abs(sizes - max(share, 1 / num_parts) * len(targets)))
    if not task.is_regression:
        last = (targets > 0).any(axis=0) & ~(targets[~aside] > 0).any(axis=0)
        needed = np.unique(groups[aside & (targets[:, last] > 0).any(axis=1)])
        aside &= ~np.isin(groups, needed)
    if not aside.any():
        raise UserError(
            f"patience: none of its {len(targets)} training rows can be set aside to decide when "
            "to stop: each group holds a class's only rows. Leave patience out."
        )
    return aside


def _spread(data: TrainingData, seed: int) -> Spread:
    """Measure how the training images differ in brightness and contrast."""
    chosen = stream(seed, "spread").permutation(data.rows)[:SPREAD_IMAGES]
    return measure_spread(data.cache[int(row)] for row in np.sort(chosen))
