"""The index of images: what each file is, found once, so that nothing is decoded twice to know it.

`features/<competition>/images/index.npz` has a row per file with its digest, size in pixels,
perceptual hash and thumbnail. A row counts for as long as the file's length and time stay the same.
"""

import logging
import time
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.config.errors import UserError
from pipeline.core.artifacts import file_digest, fingerprint, replacing
from pipeline.core.runtime import num_threads
from pipeline.data.decoding import in_threads, read_image
from pipeline.data.hashing import perceptual_hash, thumbnail

log = logging.getLogger(__name__)
SAVE_EVERY = 5000  # images


@dataclass(frozen=True)
class ImageIndex:
    """One row per image, in the order of the paths that were asked for.

    Attributes:
        paths: (N,) relative to input/<competition>.
        stamps: (N, 2) length in bytes and time of change in nanoseconds.
        digests: (N,) SHA-256 of the file's bytes.
        sizes: (N, 2) height and width in pixels.
        hashes: (N,) 64-bit perceptual hash.
        thumbnails: (N, 32, 32) uint8 grey.
    """

    paths: np.ndarray
    stamps: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    hashes: np.ndarray
    thumbnails: np.ndarray

    def take(self, rows: np.ndarray) -> "ImageIndex":
        """The rows at these positions."""
        return ImageIndex(*(getattr(self, column.name)[rows] for column in fields(self)))

    @cached_property
    def digest(self) -> str:
        """Digest of the images' bytes, in order."""
        return fingerprint(digests=self.digests.tolist())


def refresh_index(path: Path, folder: Path, image_paths: list[str]) -> ImageIndex:
    """The index of these images; files that are new or changed are opened, the others not.

    Args:
        path: where the index is kept.
        folder: input/<competition>.
    Raises:
        UserError: naming every image that cannot be decoded.
    """
    known = load_index(path)
    row_of = {name: row for row, name in enumerate(known.paths.tolist())}
    stamps = {name: _stamp(folder / name) for name in image_paths}
    new = [
        name
        for name in stamps
        if name not in row_of or tuple(known.stamps[row_of[name]]) != stamps[name]
    ]
    if new:
        known = _extend(known, path, folder, new, stamps)
        row_of = {name: row for row, name in enumerate(known.paths.tolist())}
    return known.take(np.array([row_of[name] for name in image_paths], dtype=int))


def load_index(path: Path) -> ImageIndex:
    """The index as it lies on disk; empty where there is none."""
    if not path.exists():
        return _index_of([])
    with np.load(path) as arrays:
        return ImageIndex(*(arrays[column.name] for column in fields(ImageIndex)))


def _extend(
    known: ImageIndex, path: Path, folder: Path, new: list[str], stamps: dict[str, tuple[int, int]]
) -> ImageIndex:
    """Look at new files, in threads, saving now and then."""
    log.info("looking at %d images of %s", len(new), folder)
    problems, rows, started = [], [], time.monotonic()
    outdated = np.isin(known.paths, new)
    known = known.take(np.flatnonzero(~outdated))

    def look(name: str) -> tuple | UserError:
        try:
            image = read_image(folder / name)
        except UserError as error:
            return error
        small = thumbnail(image)
        digest = file_digest(folder / name)
        return name, stamps[name], digest, image.shape[:2], perceptual_hash(small), small

    threads = num_threads()
    for number, row in enumerate(in_threads(look, new, threads=threads, ahead=8 * threads), 1):
        problems.append(str(row)) if isinstance(row, UserError) else rows.append(row)
        if number % SAVE_EVERY == 0 or number == len(new):
            known = _join(known, _index_of(rows))
            rows = []
            _save(known, path)
            left = (time.monotonic() - started) / number * (len(new) - number)
            log.info("looked at %d/%d images, about %.0fs left", number, len(new), left)
    if problems:
        raise UserError("\n".join(problems))
    return known


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _index_of(rows: list[tuple]) -> ImageIndex:
    paths, stamps, digests, sizes, hashes, thumbnails = (
        zip(*rows, strict=True) if rows else [()] * 6
    )
    return ImageIndex(
        paths=np.array(paths, dtype=str),
        stamps=np.array(stamps, dtype=np.int64).reshape(-1, 2),
        digests=np.array(digests, dtype=str),
        sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        hashes=np.array(hashes, dtype=np.uint64),
        thumbnails=np.array(thumbnails, dtype=np.uint8).reshape(-1, 32, 32),
    )


def _join(first: ImageIndex, second: ImageIndex) -> ImageIndex:
    return ImageIndex(
        *(
            np.concatenate([getattr(first, column.name), getattr(second, column.name)])
            for column in fields(ImageIndex)
        )
    )


def _save(index: ImageIndex, path: Path) -> None:
    with replacing(path) as temporary:
        with open(temporary, "wb") as stream:
            np.savez(
                stream, **{column.name: getattr(index, column.name) for column in fields(index)}
            )
