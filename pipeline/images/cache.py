"""Resized images in one memory-mapped file, as they are read; this imports no torch."""

from pathlib import Path

import numpy as np


class ImageCache:
    """Resized images, read from a memory map: `cache[i]` is (H, W, 3) uint8, short side S or less.

    Picklable: a worker process opens the map again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shapes = np.load(folder / "shapes.npy")  # (N, 2) heights and widths
        self.offsets = np.concatenate([[0], np.cumsum(self.shapes.prod(1) * 3)])
        self._pixels: np.memmap | None = None

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, row: int) -> np.ndarray:
        if self._pixels is None:
            self._pixels = np.memmap(self.folder / "pixels.bin", np.uint8, mode="r")
        start, end = self.offsets[row], self.offsets[row + 1]
        return np.asarray(self._pixels[start:end]).reshape(*self.shapes[row], 3)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_pixels": None}
