"""Images of rows: one for each, or several, which a list of templates, joined rows or `*` name."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.image_files import IMAGE_ENDINGS, columns_in_braces, image_paths
from pipeline.core.targets import examples

BETWEEN = "\n"  # the cells of joined rows
CELLS_AT_ONCE = 2**26


@dataclass(frozen=True)
class RowImages:
    """Which images are a row's; images lie in the order of rows.

    Attributes:
        counts: (R,) images of each row, 1 or more.
    """

    counts: np.ndarray

    @cached_property
    def first(self) -> np.ndarray:
        """Return (R,) the position of each row's first image."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def are_single(self) -> bool:
        """Return whether each row has one image."""
        return bool((self.counts == 1).all())

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the images of some rows (M,), and which of these rows each is of (M,)."""
        if self.are_single:
            return rows, np.arange(len(rows))
        counts = self.counts[rows]
        owners = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.first[rows][owners] + within, owners

    def any_of(self, of_images: np.ndarray) -> np.ndarray:
        """Return (R,) whether one of a row's images is marked (M,)."""
        return np.logical_or.reduceat(of_images, self.first) if len(self.first) else of_images

    def rows_of_images(self) -> np.ndarray:
        """Return (M,) the row of each image."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def pool(self, features: np.ndarray, how: str) -> np.ndarray:
        """Return features (R, V, D) of rows from those of their images (M, V, D).

        Args:
            how: mean, max, mean_max (2 * D dimensions), or concat (D for each image; rows have
                equally many).
        """
        if self.are_single:
            return features
        if how == "concat":
            count = int(self.counts[0])
            apart = np.asarray(features).reshape(-1, count, *features.shape[1:])
            return np.moveaxis(apart, 1, 2).reshape(len(apart), features.shape[1], -1)
        parts = []
        if how in ("mean", "mean_max"):
            sums = self._reduced(features, np.add)
            parts.append((sums / self.counts[:, None, None]).astype(features.dtype))
        if how in ("max", "mean_max"):
            parts.append(self._reduced(features, np.maximum).astype(features.dtype))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _reduced(self, features: np.ndarray, how: np.ufunc) -> np.ndarray:
        """Reduce the images of each row, some rows at a time, in float32."""
        size = max(1, CELLS_AT_ONCE // max(1, int(np.prod(features.shape[1:]))))
        ends, found, start = np.cumsum(self.counts), [], 0
        while start < len(self.counts):
            before = self.first[start]
            end = max(start + 1, int(np.searchsorted(ends, before + size, side="right")))
            part = np.asarray(features[before : ends[end - 1]], dtype=np.float32)
            found.append(how.reduceat(part, self.first[start:end] - before, axis=0))
            start = end
        return np.concatenate(found)


def join_files(
    rows: pd.DataFrame,
    id_column: str,
    *,
    templates: list[str],
    same: Iterable[str],
    path: Path,
) -> tuple[pd.DataFrame, list[str]]:
    """Join rows of one id, each with an image, to one row with all images.

    Args:
        templates: of paths; cells of their columns are kept from each row, between BETWEEN.
        same: columns that rows of one id must agree in.
    Returns:
        The rows, in the order in which ids appear first, and problems: ids whose rows disagree.
    """
    if id_column not in rows:
        return rows, []  # missing columns are named elsewhere
    problems, groups = [], rows.groupby(id_column, sort=False)
    for column in dict.fromkeys(name for name in same if name in rows and name != id_column):
        differing = groups[column].nunique().loc[lambda number: number > 1].index
        if len(differing):
            problems.append(
                f"{path}: `data.rows: file` gives the images of one {id_column!r} one answer, but "
                f"{column!r} differs within {len(differing)} of them, e.g. "
                f"{examples(differing.tolist())}."
            )
    firsts = rows.drop_duplicates(id_column).reset_index(drop=True)
    named = [name for template in templates for name in columns_in_braces(template)]
    for column in dict.fromkeys(name for name in named if name in rows and name != id_column):
        firsts[column] = firsts[id_column].map(groups[column].agg(BETWEEN.join))
    return firsts, problems


def paths_of_rows(
    rows: pd.DataFrame, templates: list[str], *, folder: Path, joined: bool
) -> tuple[list[str], np.ndarray]:
    """Return paths of images relative to the folder, row after row, and (n,) their numbers.

    Args:
        templates: several give a row several images; one whose columns are blank gives it none.
        joined: whether cells hold those of several rows.
    """
    if len(templates) == 1 and not joined and "*" not in templates[0]:
        paths = image_paths(rows, templates[0])
        return paths, np.ones(len(paths), dtype=int)
    found = [
        [
            path
            for template in templates
            for one in _parts(row, columns_in_braces(template), joined, several=len(templates) > 1)
            for path in _listed(folder, template.format(**one))
        ]
        for row in rows.to_dict("records")
    ]
    return [path for paths in found for path in paths], np.array([*map(len, found)], dtype=int)


def _parts(
    row: dict[str, str], names: list[str], joined: bool, *, several: bool
) -> Iterator[dict[str, str]]:
    """Yield the cells of a template's columns, for each of the rows that were joined."""
    cells = {name: row[name].split(BETWEEN) if joined else [row[name]] for name in names}
    for number in range(max(map(len, cells.values()))):
        one = {name: parts[number if len(parts) > 1 else 0] for name, parts in cells.items()}
        if not several or all(cell.strip() for cell in one.values()):
            yield one


def _listed(folder: Path, path: str) -> list[str]:
    """Return a path, or the images that one with `*` stands for, 2.png before 10.png."""
    if "*" not in path:
        return [path]
    found = [file for file in folder.glob(path) if file.suffix.lower() in IMAGE_ENDINGS]
    names = [os.path.relpath(file, folder).replace(os.sep, "/") for file in found]
    return sorted(names, key=_by_number)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def rows_without_images(
    ids: np.ndarray, counts: np.ndarray, templates: list[str], folder: Path
) -> Iterator[str]:
    """Yield a message about rows that no template gives an image."""
    if (without := ids[counts == 0]).size:
        yield (
            f"{folder}: {len(without)} of {len(ids)} rows have no image, e.g. those of ids "
            f"{examples(without)}: {examples(templates)} lead to none."
        )
