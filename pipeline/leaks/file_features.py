"""Clues: what of a row should not tell its target, as one small table of numbers per clue."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from pipeline.leaks.traces import GPS, UNREADABLE, Trace

CAMERA_TAGS = (271, 272, 305, 42035, 42036)  # make, model, software, make and model of the lens
TIME_TAGS = (36867, 306)  # taken, changed
SETTING_TAGS = (274, 33434, 33437, 34855, 37385, 37386)  # orientation, exposure ... focal length
NUM_CHARACTERS = 8  # compared at either end of a name
MAX_DIGITS = 15  # of a number; floats hold no more

COLLECTED = (
    "Models see pixels only, so this flatters the score only if the rows that lie close together "
    "are one person, scene or session, or if you feed it to a member. If so, name the column in "
    "data.group. Else the rows were merely sorted, and nothing need be done."
)
SOURCE = (
    "Classes may come from different sources. A model can learn the source's look in place of the "
    "class. Where the test images come from the same sources in the same way the score holds; "
    "where not, it is flattered: make the sources alike (same size, crop, encoding)."
)
NATURAL = (
    "It may be honest (a dark or busy picture, another background or shape). It is a leak where "
    "the test images were made otherwise; compare them by eye before you trust the score."
)


@dataclass(frozen=True)
class Clue:
    """One clue.

    Attributes:
        table: (n, F) numbers of training rows, then of test rows; -1 where there is none.
        innocent: whether it may depend on the target without a leak.
        advice: what it could mean and what to do.
        control: (n, F) what tells as much where the relation is innocent; None: nothing does.
    """

    name: str
    table: np.ndarray
    innocent: bool
    advice: str
    control: np.ndarray | None = None

    @property
    def varies(self) -> bool:
        """Whether it differs between rows at all."""
        return bool((self.table != self.table[:1]).any())


def row_clues(
    positions: np.ndarray, names: list[str], ids: list[str], *, num_classes: int
) -> list[Clue]:
    """What a row's place and names say.

    Args:
        positions: (n,) in the CSV; of test rows -1.
        names: (n,) image paths; folders do not count, a template may put the label there.
        ids: (n,).
        num_classes: rows may take turns.
    """
    turn = np.where(positions >= 0, positions % max(num_classes, 2), -1)
    order = np.column_stack([positions, turn])
    stems = [PurePosixPath(name).stem for name in names]
    found = [
        Clue("row order", order, False, COLLECTED),
        Clue("file number", _numbers(stems), False, COLLECTED),
        Clue("file name", _characters(stems), False, COLLECTED),
    ]
    bare_ids = [PurePosixPath(row_id).stem for row_id in ids]
    if bare_ids != stems:
        found += [
            Clue("id number", _numbers(bare_ids), False, COLLECTED),
            Clue("id characters", _characters(bare_ids), False, COLLECTED),
        ]
    return found


def file_clues(stamps: np.ndarray, sizes: np.ndarray, traces: list[Trace]) -> list[Clue]:
    """What files say.

    Args:
        stamps: (n, 2) length in bytes first. sizes: (n, 2) height and width.
    """
    height, width = sizes.T.astype(float)
    length = stamps[:, 0].astype(float)
    lengths = np.column_stack([length, length / (height * width)])
    dimensions = np.column_stack([height, width, height * width, width / height])
    texts = [[trace.encoding[0], trace.encoding[1]] for trace in traces]
    encoding = np.column_stack([_codes(texts), [trace.encoding[2] for trace in traces]])
    edge, inside = (np.stack([getattr(t, part) for t in traces]) for part in ("edge", "inside"))
    return [
        Clue("file size", lengths, True, NATURAL),
        Clue("image dimensions", dimensions, True, SOURCE),
        Clue("file encoding", encoding, True, SOURCE),
        Clue("EXIF camera", _tags(traces, CAMERA_TAGS), False, SOURCE),
        Clue("EXIF time", _times(traces), False, COLLECTED),
        Clue("EXIF settings", _settings(traces), True, NATURAL),
        Clue("border pixels", edge, True, NATURAL, control=inside),
    ]


def _numbers(stems: list[str]) -> np.ndarray:
    """First and last number in each name, and how many digits there are."""
    found = [re.findall(r"\d+", stem) for stem in stems]
    ends = [[int(f[i][-MAX_DIGITS:]) if f else -1 for i in (0, -1)] for f in found]
    digits = [sum(map(len, numbers)) for numbers in found]
    return np.column_stack([np.array(ends, dtype=float), digits])


def _characters(stems: list[str]) -> np.ndarray:
    """Codes of the first and last characters, and the length."""
    padded = [
        stem[:NUM_CHARACTERS].ljust(NUM_CHARACTERS, "\0")
        + stem[-NUM_CHARACTERS:].rjust(NUM_CHARACTERS, "\0")
        for stem in stems
    ]
    codes = np.array([[ord(character) for character in text] for text in padded], dtype=float)
    return np.column_stack([codes, [len(stem) for stem in stems]])


def _codes(rows: list[list[str]]) -> np.ndarray:
    """Each column's texts as positions in alphabetical order; an empty one is -1."""
    columns = []
    for column in zip(*rows, strict=True):
        categories = sorted(set(column) - {""})
        code_of = {text: code for code, text in enumerate(categories)} | {"": -1}
        columns.append([code_of[text] for text in column])
    return np.array(columns, dtype=float).T


def _tags(traces: list[Trace], tags: tuple[int | str, ...]) -> np.ndarray:
    return _codes([[trace.exif.get(tag, "") for tag in tags] for trace in traces])


def _settings(traces: list[Trace]) -> np.ndarray:
    """Number of tags, whether there is a place, and the camera's settings."""
    tags = [trace.exif for trace in traces]
    counts = [[len(exif), GPS in exif, exif == UNREADABLE] for exif in tags]
    values = [[_number(exif.get(tag, "")) for tag in SETTING_TAGS] for exif in tags]
    return np.column_stack([np.array(counts, dtype=float), np.array(values)])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _times(traces: list[Trace]) -> np.ndarray:
    """Minutes since 1970, hour and weekday of each photo."""
    texts = [next((t.exif[tag] for tag in TIME_TAGS if tag in t.exif), "") for t in traces]
    times = pd.to_datetime(pd.Series(texts), format="%Y:%m:%d %H:%M:%S", errors="coerce")
    minutes = (times - pd.Timestamp(0)).dt.total_seconds() / 60
    columns = [minutes, times.dt.hour, times.dt.day_of_week]
    return np.column_stack([column.fillna(-1).to_numpy(dtype=float) for column in columns])
