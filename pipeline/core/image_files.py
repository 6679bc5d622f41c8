"""Paths of images: from the config's templates, with other endings; messages about missing ones."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from string import Formatter

import pandas as pd

from pipeline.core.archives import is_archive, names_in
from pipeline.core.targets import examples

IMAGE_ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jp2"),
    *(".dcm", ".dicom", ".heic", ".heif", ".npy"),
)

UNREADABLE = frozenset("{}[].!:")  # a template cannot name a column that has one of them


def columns_in_braces(template: str) -> list[str]:
    """Return the columns that a template of paths names."""
    return list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(template) if name))


def image_paths(rows: pd.DataFrame, template: str) -> list[str]:
    """Return a path for each row, relative to input/<competition>."""
    names = columns_in_braces(template)
    if not names:
        return [template.format()] * len(rows)
    cells = zip(*(rows[name].tolist() for name in names), strict=True)
    return [template.format(**dict(zip(names, row, strict=True))) for row in cells]


def without_ending(path: str) -> str:
    """Return a path without the ending of an image; `v1.5` keeps its point."""
    stem, ending = os.path.splitext(path)
    return stem if ending.lower() in IMAGE_ENDINGS else path


def with_other_endings(folder: Path, paths: list[str]) -> tuple[dict[str, str], list[str]]:
    """Find the image of each path without a file: the only one that differs only by its ending.

    `train/a1` and `train/a1.jpg` stand for `train/a1.JPG`, where it is the only one and no row's.
    Letters such as `ü` are the same, written as one character or as two (macOS does that), and so
    are slashes and backslashes (Windows).

    Returns:
        The images by path, and the paths without any.
    """
    absent: dict[PurePosixPath, list[tuple[str, str]]] = defaultdict(list)
    where, found = str(folder), {}
    for path in paths:
        if os.path.isfile(f"{where}/{path}"):  # a Path for each of a million takes a minute
            continue
        plain = path.replace("\\", "/")  # as Windows writes paths
        if plain != path and os.path.isfile(f"{where}/{plain}"):
            found[path] = plain
        else:
            absent[PurePosixPath(plain).parent].append((path, PurePosixPath(plain).name))
    missing, taken = [], set(paths) if absent else set()
    for parent, of_parent in absent.items():
        by_stem = _images_by_stem(folder / parent)
        for path, name in of_parent:
            stem = _stem(name)
            names = [name for name in by_stem.get(stem, []) if str(parent / name) not in taken]
            if len(names) == 1:
                found[path] = str(parent / names[0])
            else:
                missing.append(path)
    return found, missing


def missing_images(folder: Path, missing: list[str], *, of: int) -> Iterator[str]:
    """Yield a message about missing images: how many, and where one of them might be."""
    if missing:
        first = PurePosixPath(missing[0])
        yield (
            f"{folder}: {len(missing)} of {of} images are not there, e.g. "
            f"{examples(missing)}. `data.train_images` and `data.test_images` say where "
            f"they are.{_in_archive(folder, first) or _hint(folder, first)}"
        )


def _in_archive(folder: Path, path: PurePosixPath) -> str:
    """Return the line to write where an archive holds a missing image; else empty."""
    stem = path.stem if path.suffix.lower() in IMAGE_ENDINGS else path.name
    for archive in sorted(file for file in folder.iterdir() if is_archive(file.name)):
        for name in map(PurePosixPath, names_in(archive)):
            is_inside = ".." not in name.parts
            if is_inside and name.stem == stem and name.suffix.lower() in IMAGE_ENDINGS:
                where = (PurePosixPath(archive.name) / name).as_posix()
                return (
                    f" {archive.name} holds {name}: with a path such as "
                    f'"{where.replace(stem, "{id}")}" it is unpacked and read.'
                )
    return ""


def _hint(folder: Path, path: PurePosixPath) -> str:
    parent = folder / path.parent
    if not parent.is_dir():
        has = sorted(child.name for child in folder.iterdir() if child.is_dir())
        return f" There is no folder {path.parent}; there are {examples(has)}."
    stem = _stem(path.name)
    if len(names := _images_by_stem(parent).get(stem, [])) > 1:
        return f" There are {' and '.join(names)}: say the ending in the template."
    below = [child for child in parent.iterdir() if child.is_dir() and (child / path.name).exists()]
    if below:
        where = (below[0] / path.name).relative_to(folder).as_posix()
        return (
            f" There is {where}: a column of the CSV may name the folder, train/{{label}}/{{id}}."
        )
    return ""


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", without_ending(name))


def _images_by_stem(folder: Path) -> dict[str, list[str]]:
    by_stem: dict[str, list[str]] = defaultdict(list)
    if folder.is_dir():
        for file in folder.iterdir():
            if file.suffix.lower() in IMAGE_ENDINGS:
                by_stem[_stem(file.name)].append(file.name)
    return {stem: sorted(names) for stem, names in by_stem.items()}
