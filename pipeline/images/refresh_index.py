"""Refreshing the index of images: only new and changed files are opened, in threads.

A row of the index counts for as long as the file's stamp stays the same (its length and times;
where only times differ, as of a copy, the digest decides) and, for images of more than 8 bits, the
range that they are scaled by.
"""

import logging
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.core.artifacts import file_digest, verifies_everything
from pipeline.core.log_lines import log_progress
from pipeline.core.runtime import duration, num_threads
from pipeline.errors import UserError
from pipeline.images.decoding import (
    GREY,
    UNREADABLE,
    PixelDepth,
    ToRgb,
    decode,
    in_threads,
    measure_depth,
)
from pipeline.images.index import BLANK, ImageIndex, index_of, join, load_index, save
from pipeline.images.pixel_range import find_pixel_range
from pipeline.images.thumbnails import perceptual_hash, thumbnail

log = logging.getLogger(__name__)
NOT_THERE = (0, 0, 0)  # the stamp of a missing file
NO_LIMITS = (np.nan, np.nan)
SAVE_EVERY = 5000  # images
BLANK_LEVELS = 8  # of 255; no channel of a blank image varies by more


def refresh_index(
    path: Path,
    folder: Path,
    image_paths: list[str],
    *,
    num_train: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    bands: tuple[int, ...] = (),
    skip_unreadable: bool = False,
) -> ImageIndex:
    """Return the index of these images; only new or changed files are opened.

    Args:
        path: where the index is kept; other bands need another index.
        folder: input/<competition>.
        num_train: the first ones, which are training images; default: all.
        pixel_range, bands: see `data` of the config.
        skip_unreadable: whether images that cannot be read get the remark UNREADABLE. They are
            tried again each time.
    Raises:
        UserError: naming every image that cannot be decoded, or whose range cannot be known.
    """
    known = load_index(path)
    names = list(dict.fromkeys(image_paths))
    row_of = {name: row for row, name in enumerate(known.paths.tolist())}
    stamps = _stamps(folder, names, may_miss=skip_unreadable)
    rows = np.array([row_of.get(name, -1) for name in names], dtype=int)
    differs = (known.stamps[rows] != stamps).any(axis=1) if len(row_of) else rows < 0
    changed = [names[at] for at in np.flatnonzero((rows >= 0) & (differs | verifies_everything()))]
    same = _of_same_content(known, folder, changed, row_of)
    unread = {*known.paths[known.has_remark(UNREADABLE)].tolist()} & {*names}
    new = [names[at] for at in np.flatnonzero(rows < 0)]
    new += sorted(({*changed} - {*same}) | unread)
    if same:
        at = np.flatnonzero(np.isin(names, same))
        known.stamps[rows[at]] = stamps[at]
    depths = _measure(folder, new, bands)
    if (known.depths != "uint8").any() or any(one.dtype != "uint8" for one in depths.values()):
        depths = dict(zip(known.paths.tolist(), known.pixel_depths, strict=True)) | depths
    num_train = len(image_paths) if num_train is None else num_train
    train, test = (
        [depths[name] for name in names if name in depths]
        for names in (image_paths[:num_train], image_paths[num_train:])
    )
    scale = find_pixel_range(train, test, pixel_range)
    scaled_otherwise = (known.depths != "uint8") & (known.ranges != np.array(scale)).any(axis=1)
    new += sorted({*known.paths[scaled_otherwise].tolist()} & {*names} - {*new})
    if new:
        stamp_of = dict(zip(names, stamps.tolist(), strict=True))
        known = _extend(
            *(known, path, folder, new, stamp_of, depths),
            to_rgb=ToRgb(scale, bands),
            skip_unreadable=skip_unreadable,
        )
        row_of = {name: row for row, name in enumerate(known.paths.tolist())}
    elif same:
        with suppress(OSError):  # a read-only copy is compared every time
            save(known, path)
    found = known.take(np.array([row_of[name] for name in image_paths], dtype=int))
    return replace(found, digests=_digests_of_pixels(found, bands))


def _stamps(folder: Path, names: list[str], *, may_miss: bool) -> np.ndarray:
    """Return (n, 3) stamps of files, as `file_stamp` does; a Path for each would take longer."""
    rows = []
    for name in names:
        try:
            found = os.stat(f"{folder}{os.sep}{name}")
            rows.append((found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        except (FileNotFoundError, NotADirectoryError):
            if not may_miss:
                raise
            rows.append(NOT_THERE)
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _measure(folder: Path, names: list[str], bands: tuple[int, ...]) -> dict[str, PixelDepth]:
    """Measure stored types in threads; leave out files that cannot be decoded."""

    def measure(name: str) -> PixelDepth | None:
        try:
            return measure_depth(folder / name, bands)
        except UserError:
            return None

    threads = num_threads()
    found = in_threads(measure, names, threads=threads, ahead=8 * threads)
    return {name: depth for name, depth in zip(names, found, strict=True) if depth is not None}


def _digests_of_pixels(index: ImageIndex, bands: tuple[int, ...]) -> np.ndarray:
    """Return digests that differ where the same file is scaled differently or has other bands."""
    if bands:
        digests = _digests_of_pixels(index, ())
        return np.array([f"{digest} bands {bands}" for digest in digests.tolist()], dtype=str)
    if (index.depths == "uint8").all():
        return index.digests
    return np.array(
        [
            digest if dtype == "uint8" else f"{digest} {low!r} to {high!r}"
            for digest, dtype, (low, high) in zip(
                index.digests.tolist(), index.depths.tolist(), index.ranges.tolist(), strict=True
            )
        ],
        dtype=str,
    )


def _of_same_content(
    known: ImageIndex, folder: Path, names: list[str], row_of: dict[str, int]
) -> list[str]:
    """Return which of these files hold the bytes that the index knows of them."""
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
    known: ImageIndex,
    path: Path,
    folder: Path,
    new: list[str],
    stamps: dict[str, list[int]],
    depths: dict[str, PixelDepth],
    *,
    to_rgb: ToRgb,
    skip_unreadable: bool,
) -> ImageIndex:
    """Add new files in threads, saving now and then."""
    log.info("looking at %d images of %s", len(new), folder)
    problems, rows, started = [], [], time.monotonic()
    outdated = np.isin(known.paths, new)
    known = known.take(np.flatnonzero(~outdated))

    def look(name: str) -> tuple | UserError:
        try:
            image, remarks = decode(folder / name, to_rgb)
        except UserError as error:
            if not skip_unreadable:
                return error
            return name, stamps[name], *_row_of_unreadable()
        small = thumbnail(image)
        digest = file_digest(folder / name)
        dtype, *limits = depths[name]
        used = NO_LIMITS if dtype == "uint8" else to_rgb.pixel_range
        remarks = ",".join([*remarks, *([BLANK] if is_blank(image, small) else [])])
        look = (name, stamps[name], digest, image.shape[:2], perceptual_hash(small), small)
        return *look, dtype, limits, used, remarks

    threads = num_threads()
    for number, row in enumerate(in_threads(look, new, threads=threads, ahead=8 * threads), 1):
        problems.append(str(row)) if isinstance(row, UserError) else rows.append(row)
        # A save writes all rows: every 5,000, a million would be written a hundred times over.
        if len(rows) >= max(SAVE_EVERY, len(known.paths) // 4) or number == len(new):
            known = join(known, index_of(rows))
            rows = []
            save(known, path)
        if number % SAVE_EVERY == 0 or number == len(new):
            left = (time.monotonic() - started) / number * (len(new) - number)
            log_progress(
                log, number, len(new), f"{number}/{len(new)} images · {duration(left)} left"
            )
    if problems:
        raise UserError("\n".join(problems))
    return known


def _row_of_unreadable() -> tuple:
    """Return the columns after an image's path and stamp, for one that cannot be read."""
    small = thumbnail(GREY)
    looks = (UNREADABLE, GREY.shape[:2], perceptual_hash(small), small)
    return *looks, "uint8", NO_LIMITS, NO_LIMITS, UNREADABLE


def is_blank(image: np.ndarray, small: np.ndarray) -> bool:
    """Return whether no channel of (H, W, 3) uint8 varies by more than BLANK_LEVELS.

    Args:
        small: its thumbnail, which rules most images out fast.
    """
    if np.ptp(small) > BLANK_LEVELS + 1:  # rounded
        return False
    return bool(np.ptp(image.reshape(-1, image.shape[2]), axis=0).max() <= BLANK_LEVELS)
