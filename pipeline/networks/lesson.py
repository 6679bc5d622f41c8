"""Lesson: what one fold's network learns from and is scored on, and batches of it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from pipeline.config.schema import Kind, Network
from pipeline.core.runtime import stream
from pipeline.data.augmentation import (
    Spread,
    create_augmentation,
    measure_spread,
    wants_spread,
)
from pipeline.data.batches import Batches, Cache, FoldImages, training_loader, validation_loader
from pipeline.data.sampling import (
    draws_per_epoch,
    epoch_rows,
    num_epoch_rows,
    row_weights_in_loss,
)

SPREAD_IMAGES = 500  # enough to know a spread by


@dataclass(frozen=True)
class Lesson:
    """Rows of the image cache, with what is known of them.

    Attributes:
        cache: `cache[row]` is (H, W, 3) uint8; image_size, cut: the square that a network sees.
        rows: (n,) to learn from, with targets (n, C), hard or soft, and weights (n,).
        valid_rows: (m,) to be scored on, with valid_targets (m, C).
        teacher: (n, C) a teacher's predictions for `rows`, to distil from.
        start_weights: another network's, to start from.
    """

    cache: Cache
    image_size: int
    cut: str
    kind: Kind
    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    valid_rows: np.ndarray
    valid_targets: np.ndarray
    teacher: np.ndarray | None = None
    start_weights: Path | None = None

    def loss_weights(self, settings: Network) -> np.ndarray:
        """(n,) what a row weighs each time it is seen."""
        return row_weights_in_loss(self.weights, sampling=settings.sampling)

    def epoch_weights(self, settings: Network) -> np.ndarray:
        """(n,) what a row weighs in an epoch: however often sampling draws it."""
        draws = draws_per_epoch(
            self.targets, self.weights, sampling=settings.sampling, kind=self.kind
        )
        return draws * self.loss_weights(settings)


@dataclass(frozen=True)
class Loaders:
    """Batches of a lesson; `batches.epoch` says which epoch `train` goes through."""

    batches: Batches
    train: DataLoader
    valid: DataLoader


def create_loaders(lesson: Lesson, settings: Network, *, workers: int, seed: int) -> Loaders:
    """Augmented batches to learn from, and plain ones to be scored on.

    Raises:
        UserError: augmentation or sampling that does not fit.
    """
    view = {"image_size": lesson.image_size, "cut": lesson.cut}
    spread = _spread(lesson, seed) if wants_spread(settings.augment) else None
    augment = create_augmentation(settings.augment, **view, spread=spread)
    how = {"sampling": settings.sampling, "kind": lesson.kind}
    batches = Batches(
        num_epoch_rows(lesson.targets, **how),
        batch_size=settings.batch_size,
        seed=seed,
        draw=partial(epoch_rows, lesson.targets, lesson.weights, **how),
    )
    images = FoldImages(lesson.cache, lesson.rows, **view, augment=augment, seed=seed)
    return Loaders(
        batches,
        training_loader(images, batches, workers=workers),
        validation_loader(
            FoldImages(lesson.cache, lesson.valid_rows, **view),
            batch_size=settings.batch_size,
            workers=workers,
        ),
    )


def _spread(lesson: Lesson, seed: int) -> Spread:
    """How the images to learn from differ in brightness and contrast."""
    chosen = stream(seed, "spread").permutation(lesson.rows)[:SPREAD_IMAGES]
    return measure_spread(lesson.cache[int(row)] for row in np.sort(chosen))
