"""Where images are: the template of paths that finds a table's images."""

import os
import re
import string
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from pipeline.core.image_files import UNREADABLE, without_ending

SAMPLED = 400  # rows that a template is tried on
DERIVED = 12  # rows whose images templates are read off
MAX_TEMPLATES = 60
ENOUGH = 0.5  # share of cells that name an image, for a column to name images
# So begin words in the names of folders that say what their images are for.
SPLITS = {"train": ("train", "develop"), "test": ("test", "holdout", "unlabel", "predict", "eval")}
# And parts of the names of folders whose images are no pictures of a row.
SECONDARY = ("mask", "segm", "annot", "thumb", "resized", "small", "preview", "heatmap", "depth")


@dataclass(frozen=True)
class Template:
    """A template of paths, and the share of rows whose image it finds.

    Attributes:
        share: of rows. exact: of rows, without looking for other endings.
        others: templates that find as many.
    """

    text: str
    share: float
    exact: float
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageNames:
    """Images by the parts of their names that a CSV may hold.

    Attributes:
        paths: in Unicode's form NFC, as cells are, whichever the files' names are in.
    """

    paths: Sequence[str]
    _affixes: dict[str, tuple[str, str]] = field(default_factory=dict)

    @cached_property
    def known(self) -> set[str]:
        """Return all paths."""
        return set(self.paths)

    @cached_property
    def known_stems(self) -> set[str]:
        """Return all paths without their endings."""
        return {os.path.splitext(path)[0] for path in self.paths}

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """Return names by folder."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            folder, _, name = path.rpartition("/")
            found[folder].append(name)
        return found

    @cached_property
    def by_key(self) -> dict[str, list[str]]:
        """Return paths by name, stem, stem without the folder's common prefix, and without zeros.

        The last two help `7` to find `img_0007.png`.
        """
        found: dict[str, list[str]] = defaultdict(list)
        for folder, names in self.by_folder.items():
            affixes = _affixes([os.path.splitext(name)[0] for name in names])
            for name in names:
                path = f"{folder}/{name}" if folder else name
                stem = os.path.splitext(name)[0]
                core = _core(stem, affixes)
                for key in dict.fromkeys((name, stem, core, _plain_number(core))):
                    found[key].append(path)
            self._affixes[folder] = affixes
        return found

    def share_named(self, cells: pd.Series) -> float:
        """Return the share of cells that name an image, less where only zeros or prefixes fit."""
        sample = spread(cells)
        return float(np.mean([self._fits(cell) for cell in sample])) if len(sample) else 0.0

    def _fits(self, cell: str) -> float:
        last = cell.replace("\\", "/").rpartition("/")[2]
        if not last.strip():
            return 0.0
        for path in self.by_key.get(last, []) + self.by_key.get(without_ending(last), []):
            name = path.rpartition("/")[2]
            if name == last or without_ending(name) == without_ending(last):
                return 1.0
        return 0.8 if last in self.by_key else 0.0

    def find_template(self, rows: pd.DataFrame, column: str, split: str) -> Template | None:
        """Find the template that finds most images of a table.

        Args:
            column: that names them.
            split: `train` or `test`; among equals, a folder named like it comes first.
        """
        sampled = rows.iloc[spread_positions(len(rows), SAMPLED)]
        written = sampled[column].str.replace("\\", "/")  # as Windows writes paths
        cells = sampled.assign(**{column: written}).to_dict("records")
        candidates: dict[str, None] = {}
        for row in cells[: DERIVED // 2] + cells[-DERIVED // 2 :]:
            for template in self._read_off(row, column):
                if len(candidates) < MAX_TEMPLATES:
                    candidates[template] = None
        scored = [self._score(text, cells) for text in candidates]
        ranked = sorted(scored, key=lambda found: _rank(found, split), reverse=True)
        if not ranked or ranked[0].share == 0:
            return None
        best = ranked[0]
        other_split = "test" if split == "train" else "train"
        is_named = is_of_split(_folder(best.text), split)
        folders = {PurePosixPath(best.text).parent}
        others = []
        for other in ranked[1:]:
            if is_named and is_of_split(_folder(other.text), other_split):
                continue
            if other.share >= best.share - 0.01 and PurePosixPath(other.text).parent not in folders:
                folders.add(PurePosixPath(other.text).parent)
                others.append(other.text)
        return Template(best.text, best.share, best.exact, tuple(others[:3]))

    def _read_off(self, row: dict[str, str], column: str) -> Iterator[str]:
        """Yield templates that lead from a row to images that its cell may name."""
        cell = row[column]
        last = cell.rpartition("/")[2]
        paths = self.by_key.get(last, []) + self.by_key.get(without_ending(last), [])
        for path in dict.fromkeys(paths[:20]):
            folder, _, name = path.rpartition("/")
            if "/" in cell:
                for ending in ("", os.path.splitext(name)[1]):
                    if f"/{path}".endswith(f"/{cell}{ending}"):
                        front = path[: len(path) - len(cell + ending)]
                        yield f"{_escaped(front)}{{{column}}}{ending}"
                continue
            for part in self._names(cell, name, folder, column):
                yield f"{_escaped(folder)}/{part}" if folder else part
                yield from _with_columns(row, folder, part, column)

    def _names(self, cell: str, name: str, folder: str, column: str) -> Iterator[str]:
        """Yield the last part of a template."""
        stem, ending = os.path.splitext(name)
        if name == cell or without_ending(cell) != cell:
            yield f"{{{column}}}"
        elif stem == cell:
            yield f"{{{column}}}{ending}"
            yield f"{{{column}}}"
        elif (core := _core(stem, self._affixes[folder])) == cell or _plain_number(core) == cell:
            before, after = (_escaped(affix) for affix in self._affixes[folder])
            form = "" if core == cell else f":0>{len(core)}"
            yield f"{before}{{{column}{form}}}{after}{ending}"

    def _score(self, template: str, rows: list[dict[str, str]]) -> Template:
        paths = [template.format_map(row) for row in rows]
        exact = np.array([path in self.known for path in paths])
        # As the pipeline does, take the image of another ending.
        near = np.array([without_ending(path) in self.known_stems for path in paths])
        return Template(template, float((exact | near).mean()), float(exact.mean()))


def spread_positions(number: int, most: int) -> np.ndarray:
    """Return at most `most` of so many positions, at equal distances."""
    return np.unique(np.linspace(0, max(number - 1, 0), min(number, most)).astype(int))


def spread(cells: pd.Series, most: int = SAMPLED) -> list[str]:
    """Return cells at equal distances."""
    return cells.iloc[spread_positions(len(cells), most)].tolist()


def is_of_split(path: str, split: str) -> bool:
    """Return whether a path's folders are named like a split; the last that says so decides."""
    for part in reversed(path.split("/")):
        parts = words_of(part)
        for name, begun in SPLITS.items():
            if any(word.startswith(begun) for word in parts):
                return name == split
    return False


def words_of(name: str) -> list[str]:
    """Return the lower-case words of a name: patientId as patient and id."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z]+", spaced.lower()) if word]


def _folder(template: str) -> str:
    return template.rpartition("/")[0]


def _rank(found: Template, split: str) -> tuple:
    folder = _folder(found.text)
    other = "test" if split == "train" else "train"
    return (
        round(found.share, 2),
        is_of_split(folder, split) - is_of_split(folder, other),
        not any(word in folder.lower() for word in SECONDARY),
        -found.text.count("{"),
        round(found.exact, 2) == 1,
        found.text.endswith("}"),  # mixed endings: the template without one
        -len(found.text),
    )


def _with_columns(row: dict[str, str], folder: str, part: str, column: str) -> Iterator[str]:
    """Yield templates where one folder is another column's cell, such as train/{label}/{id}."""
    parts = folder.split("/") if folder else []
    for position, name in enumerate(parts):
        for other, cell in row.items():
            if cell == name and other != column and not UNREADABLE & set(other):
                named = [_escaped(text) for text in parts]
                named[position] = f"{{{other}}}"
                yield "/".join([*named, part])


def _affixes(stems: list[str]) -> tuple[str, str]:
    """Return what all names of a folder begin and end with, but for digits: `img_`, `_rgb`."""
    if len(stems) < 2:
        return "", ""
    front = _shared_start(stems).rstrip(string.digits)
    back = _shared_start([stem[::-1] for stem in stems])[::-1].lstrip(string.digits)
    shortest = min(map(len, stems))
    return front, back if len(front) + len(back) < shortest else ""


def _shared_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(character for character, _ in pairs)


def _core(stem: str, affixes: tuple[str, str]) -> str:
    front, back = affixes
    return stem[len(front) : len(stem) - len(back)]


def _plain_number(text: str) -> str:
    return (text.lstrip("0") or "0") if text.isascii() and text.isdecimal() else text


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
