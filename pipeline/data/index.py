"""The index of images: what each file is, found once, so that nothing is decoded twice to know it.

`features/<competition>/images/index.npz` has a row per file with its digest, size in pixels,
perceptual hash and thumbnail. A row counts for as long as the file's stamp stays the same: its
length and times. Where only times differ, as of a copy, the digest decides.
"""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from pipeline.config.errors import UserError
from pipeline.core.artifacts import (
    file_digest,
    file_stamp,
    fingerprint,
    is_as_written,
    replacing_checked,
    verifies_everything,
)
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
        stamps: (N, 3) see `file_stamp`.
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
    stamps = {name: file_stamp(folder / name) for name in image_paths}
    changed = [
        name
        for name in stamps
        if name in row_of
        and (known.stamps[row_of[name]].tolist() != stamps[name] or verifies_everything())
    ]
    same = _of_same_content(known, folder, changed, row_of)
    new = [name for name in stamps if name not in row_of] + sorted({*changed} - {*same})
    for name in same:
        known.stamps[row_of[name]] = stamps[name]
    if new:
        known = _extend(known, path, folder, new, stamps)
        row_of = {name: row for row, name in enumerate(known.paths.tolist())}
    elif same:
        with suppress(OSError):  # a read-only copy is compared every time
            _save(known, path)
    return known.take(np.array([row_of[name] for name in image_paths], dtype=int))


def load_index(path: Path) -> ImageIndex:
    """The index as it lies on disk; empty where there is none, or it is damaged."""
    if not path.exists():
        return _index_of([])
    if not is_as_written(path):
        log.warning("%s was changed since it was written: it is made anew", path)
        return _index_of([])
    try:
        with np.load(path) as arrays:
            found = ImageIndex(*(arrays[column.name] for column in fields(ImageIndex)))
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        log.warning("%s is not readable (%s): it is made anew", path, error)
        return _index_of([])
    return found if found.stamps.shape[1:] == (3,) else _index_of([])  # of an older version


def _of_same_content(
    known: ImageIndex, folder: Path, names: list[str], row_of: dict[str, int]
) -> list[str]:
    """Which of these files hold the bytes that the index knows of them."""
    threads = num_threads()
    digests = in_threads(
        lambda name: file_digest(folder / name), names, threads=threads, ahead=8 * threads
    )
    return [
        name
        for name, digest in zip(names, digests, strict=True)
        if digest == known.digests[row_of[name]]
    ]


def _extend(
    known: ImageIndex, path: Path, folder: Path, new: list[str], stamps: dict[str, list[int]]
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


def _index_of(rows: list[tuple]) -> ImageIndex:
    paths, stamps, digests, sizes, hashes, thumbnails = (
        zip(*rows, strict=True) if rows else [()] * 6
    )
    return ImageIndex(
        paths=np.array(paths, dtype=str),
        stamps=np.array(stamps, dtype=np.int64).reshape(-1, 3),
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
    with replacing_checked(path) as temporary:
        with open(temporary, "wb") as stream:
            np.savez(
                stream, **{column.name: getattr(index, column.name) for column in fields(index)}
            )
