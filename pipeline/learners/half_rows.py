"""Rows too many for float32: kept in 16 bits, or on disk, and used a part at a time."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

CELLS_AT_ONCE = 2**26  # in float32: 256 MiB
LARGE = 2**30  # cells; beyond, learners that can keep features in 16 bits


def parts_of(num_rows: int, row_cells: int) -> list[slice]:
    """Return slices of rows, each of at most CELLS_AT_ONCE cells."""
    size = max(1, CELLS_AT_ONCE // max(1, row_cells))
    return [slice(first, first + size) for first in range(0, num_rows, size)] or [slice(0, 0)]


@dataclass(frozen=True)
class BlockRows:
    """Some rows of a block on disk, (n, V, D), read when they become an array."""

    block: np.ndarray
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, V, D)."""
        return len(self.rows), *self.block.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: np.ndarray | slice) -> "BlockRows":
        return replace(self, rows=self.rows[chosen])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        found = np.asarray(self.block[self.rows], dtype=dtype)
        if isinstance(self.block, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
            # Pages that were read would count as this process's memory until the system drops them.
            self.block._mmap.madvise(mmap.MADV_DONTNEED)
        return found


@dataclass(frozen=True)
class HalfRows:
    """Rows (n, D) in 16 bits minus a mean, which multiply matrices as float32 rows do.

    Attributes:
        cells: (N, D) float16.
        rows: (n,) positions. mean: (D,).
        flipped: whether this is the transposed matrix, (D, n).
    """

    cells: np.ndarray
    rows: np.ndarray
    mean: np.ndarray
    flipped: bool = False
    dtype: np.dtype = field(default=np.dtype(np.float32), init=False)
    __array_ufunc__ = None  # NumPy leaves products and differences to this class

    @classmethod
    def of(cls, cells: np.ndarray) -> "HalfRows":
        """Return all rows of an array."""
        return cls(cells, np.arange(len(cells)), np.zeros(cells.shape[1], np.float32))

    @property
    def shape(self) -> tuple[int, int]:
        """Return (n, D), or (D, n)."""
        shape = len(self.rows), self.cells.shape[1]
        return shape[::-1] if self.flipped else shape

    @property
    def T(self) -> "HalfRows":
        """Return the transposed matrix."""
        return replace(self, flipped=not self.flipped)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: np.ndarray | slice) -> "HalfRows":
        return replace(self, rows=self.rows[chosen])

    def __sub__(self, mean: np.ndarray) -> "HalfRows":
        return replace(self, mean=self.mean + mean.astype(np.float32))

    def __matmul__(self, right: np.ndarray) -> np.ndarray:
        """(n, D) @ (D, k)."""
        right = right.astype(np.float32)
        found = np.empty((len(self.rows), *right.shape[1:]), np.float32)
        for part, rows in self._parts():
            np.matmul(rows, right, out=found[part])
        return found

    def __rmatmul__(self, left: np.ndarray) -> np.ndarray:
        """(k, n) @ (n, D); or (k, D) @ (D, n) of the transposed matrix."""
        if self.flipped:
            return (self.T @ left.T).T
        left, found = left.astype(np.float32), np.zeros((*left.shape[:-1], self.cells.shape[1]))
        for part, rows in self._parts():
            found += left[..., part] @ rows
        return found.astype(np.float32)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return (self.cells[self.rows].astype(np.float32) - self.mean).astype(dtype or np.float32)

    def _parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices and their rows as float32, in one buffer."""
        parts = parts_of(len(self.rows), 8 * self.cells.shape[1])  # what a cache holds is faster
        buffer = np.empty((parts[0].stop, self.cells.shape[1]), np.float32)
        for part in parts:
            of_part = self.rows[part]
            rows = buffer[: len(of_part)]
            np.copyto(rows, self.cells[of_part])
            rows -= self.mean
            yield part, rows
