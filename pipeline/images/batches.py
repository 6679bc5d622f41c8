"""Batches for networks: rows, order and augmentation, independent of the number of workers.

Every draw is keyed, not streamed: rows and order by (epoch), an image's augmentation by
(epoch, row, copy). So a resumed run, another number of workers, or a skipped epoch see the same
batches.
"""

import signal
from collections.abc import Callable, Iterator
from typing import Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.core.interruption import end_with_parent
from pipeline.core.runtime import stream, stream_seed
from pipeline.images.augmentation import Augmentation
from pipeline.images.resizing import fit_square
from pipeline.images.sampling import copy_numbers

# Epoch, position among the fold's rows, and how often that stood earlier in the epoch.
Key = tuple[int, int, int]
Draw = Callable[..., np.ndarray]  # (rng=...) -> positions that one epoch goes through, in order


class Cache(Protocol):
    """Resized images: `cache[row]` is (H, W, 3) uint8."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int) -> np.ndarray: ...


class FoldImages(Dataset):
    """Squares of some rows of the cache; an item is (image (3, S, S) uint8, position).

    Args:
        rows: (n,) rows of the cache; keys are positions in it, so a row that occurs twice is
            augmented in two ways.
        augment: None gives the view that inference sees.
        seed: of the augmentation's stream.
    """

    def __init__(
        self,
        cache: Cache,
        rows: np.ndarray,
        *,
        image_size: int,
        cut: str,
        augment: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.cache, self.rows = cache, np.asarray(rows)
        self.image_size, self.cut = image_size, cut
        self.augment, self.seed = augment, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, int]:
        epoch, position, copy = key
        # A copy: the map is read-only, and a transform may work in place.
        image = np.array(self.cache[int(self.rows[position])])
        if self.augment is None:
            return fit_square(image, self.image_size, self.cut), position
        seed = stream_seed(self.seed, "augment", epoch, position, *([copy] if copy else []))
        return self.augment(image, seed=seed), position


class Batches(Sampler[list[Key]]):
    """Keys of one epoch's batches, in its own order; set `epoch` before iterating.

    Batches differ in size by one at most and no row is left out, so that there is no small last
    batch, and above all none of a single image, in which BatchNorm's statistics break down.

    Args:
        num_rows: that each epoch goes through.
        draw: chooses them; None: all rows, shuffled.
    """

    def __init__(
        self, num_rows: int, *, batch_size: int, seed: int, draw: Draw | None = None
    ) -> None:
        self.num_rows, self.seed = num_rows, seed
        self.draw = draw or (lambda rng: rng.permutation(num_rows))
        self.num_batches = max(1, -(-num_rows // batch_size))
        if batch_size > 1 and num_rows // self.num_batches < 2:
            self.num_batches = max(1, num_rows // 2)
        self.epoch = 0

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[Key]]:
        positions = self.draw(rng=stream(self.seed, "order", self.epoch))
        assert len(positions) == self.num_rows, "draw against num_rows"
        keys = zip(positions.tolist(), copy_numbers(positions).tolist(), strict=True)
        keys = [(self.epoch, position, copy) for position, copy in keys]
        for chosen in np.array_split(np.arange(self.num_rows), self.num_batches):
            yield keys[chosen[0] : chosen[-1] + 1]


class Loader(DataLoader):
    """A DataLoader whose workers never see Ctrl-C, not even while they start.

    It reaches every process of the terminal; the main one reports it and ends its workers.
    """

    def __iter__(self) -> Iterator:
        """Start an epoch; workers inherit the signals that are blocked meanwhile."""
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            return super().__iter__()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def training_loader(images: FoldImages, batches: Batches, *, workers: int) -> DataLoader:
    """Create a loader of augmented batches of the epoch that `batches.epoch` names."""
    return Loader(images, batch_sampler=batches, **_worker_settings(workers))


def validation_loader(images: FoldImages, *, batch_size: int, workers: int) -> DataLoader:
    """Create a loader of all rows once, in order."""
    keys = [(0, position, 0) for position in range(len(images))]
    return Loader(images, sampler=keys, batch_size=batch_size, **_worker_settings(workers))


def _worker_settings(workers: int) -> dict:
    return {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": _start_worker,
        # Of its own, or each epoch's iterator would draw from the generator that dropout uses.
        "generator": torch.Generator(),
    }


def _start_worker(worker: int) -> None:
    """Use one thread per worker: more would fight over the same cores, or hang after a fork.

    Ctrl-C reaches every process; the main one reports it and ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    cv2.setNumThreads(0)  # a spawned worker has imported nothing yet
    torch.set_num_threads(1)
