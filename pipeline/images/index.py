"""Index of images: properties of each file, found once so that no file is decoded twice for them.

`features/<competition>/images/index.npz` has a row per file with its digest, size in pixels,
perceptual hash and thumbnail. `refresh_index` fills it.
"""

import logging
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.core.artifacts import (
    fingerprint,
    is_as_written,
    replacing_checked,
)
from pipeline.errors import DAMAGED_ARCHIVE
from pipeline.images.decoding import PixelDepth, PixelRange, ToRgb

log = logging.getLogger(__name__)
BLANK = "blank"  # the remark on an image with nothing to see


@dataclass(frozen=True)
class ImageIndex:
    """One row per image, in the order of the paths that were asked for.

    Attributes:
        paths: (N,) relative to input/<competition>.
        stamps: (N, 3) see `file_stamp`.
        digests: (N,) SHA-256 of the file's bytes; with the range that its pixels are scaled by.
        sizes: (N, 2) height and width in pixels.
        hashes: (N,) 64-bit perceptual hash.
        thumbnails: (N, 32, 32) uint8 grey.
        depths: (N,) numpy's name of the type of the file's pixels.
        limits: (N, 2) their darkest and brightest value; NaN for uint8.
        ranges: (N, 2) the range that they are scaled by; NaN for uint8.
        remarks: (N,) BLANK, and those of `decode`, joined by commas.
    """

    paths: np.ndarray
    stamps: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray
    depths: np.ndarray
    limits: np.ndarray
    ranges: np.ndarray
    remarks: np.ndarray

    def take(self, rows: np.ndarray) -> "ImageIndex":
        """Return the rows at these positions."""
        return ImageIndex(*(getattr(self, column.name)[rows] for column in fields(self)))

    @cached_property
    def digest(self) -> str:
        """Return a digest of the images' bytes, in order."""
        return fingerprint(digests=self.digests.tolist())

    @property
    def pixel_depths(self) -> list[PixelDepth]:
        """Return the stored type and limits of each file."""
        pairs = zip(self.depths.tolist(), self.limits.tolist(), strict=True)
        return [PixelDepth(dtype, *limits) for dtype, limits in pairs]

    @property
    def pixel_range(self) -> PixelRange | None:
        """Return the range that scales images of more than 8 bits; None where there are none."""
        ranges = self.ranges[self.depths != "uint8"].tolist()
        return PixelRange(*ranges[0]) if ranges else None

    def to_rgb(self, bands: tuple[int, ...]) -> ToRgb:
        """Return how these files become pixels; of which bands, the config says."""
        return ToRgb(self.pixel_range, bands)

    def has_remark(self, remark: str) -> np.ndarray:
        """Return for each image whether it has a remark, (N,) bool."""
        return np.array([remark in remarks.split(",") for remarks in self.remarks.tolist()], bool)


def load_index(path: Path) -> ImageIndex:
    """Read the index from disk; return an empty one where there is none, or it is damaged."""
    if not path.exists():
        return index_of([])
    if not is_as_written(path):
        log.warning("%s was changed since it was written and is rebuilt", path)
        return index_of([])
    try:
        with np.load(path) as arrays:
            if not {column.name for column in fields(ImageIndex)} <= {*arrays.files}:
                return index_of([])  # of an older version with fewer columns
            found = ImageIndex(*(arrays[column.name] for column in fields(ImageIndex)))
    except (*DAMAGED_ARCHIVE, ValueError, KeyError, OSError) as error:
        log.warning("%s is not readable (%s) and is rebuilt", path, error)
        return index_of([])
    return found


def index_of(rows: list[tuple]) -> ImageIndex:
    """Return an index of rows, each with the columns in their order."""
    num_columns = len(fields(ImageIndex))
    paths, stamps, digests, sizes, hashes, thumbnails, depths, limits, ranges, remarks = (
        zip(*rows, strict=True) if rows else [()] * num_columns
    )
    return ImageIndex(
        paths=np.array(paths, dtype=str),
        stamps=np.array(stamps, dtype=np.int64).reshape(-1, 3),
        digests=np.array(digests, dtype=str),
        sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        hashes=np.array(hashes, dtype=np.uint64),
        thumbnails=np.array(thumbnails, dtype=np.uint8).reshape(-1, 32, 32),
        depths=np.array(depths, dtype=str),
        limits=np.array(limits, dtype=np.float64).reshape(-1, 2),
        ranges=np.array(ranges, dtype=np.float64).reshape(-1, 2),
        remarks=np.array(remarks, dtype=str),
    )


def join(first: ImageIndex, second: ImageIndex) -> ImageIndex:
    """Return the rows of both."""
    return ImageIndex(
        *(
            np.concatenate([getattr(first, column.name), getattr(second, column.name)])
            for column in fields(ImageIndex)
        )
    )


def save(index: ImageIndex, path: Path) -> None:
    """Write the index, whole or not at all."""
    with replacing_checked(path) as temporary:
        with open(temporary, "wb") as stream:
            np.savez(
                stream, **{column.name: getattr(index, column.name) for column in fields(index)}
            )
