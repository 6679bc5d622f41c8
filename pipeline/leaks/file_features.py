"""File features: numbers of a row's position, names and file, without its picture."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from struct import error as StructError

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.images.decoding import PLAIN, ToRgb, in_threads, read_image
from pipeline.images.readers import READERS

EXIF_FOLDER, GPS_FOLDER = 0x8769, 0x8825
GPS = "gps"  # whether the photo has its place
UNREADABLE = {"unreadable": "yes"}
CAMERA_TAGS = (271, 272, 305, 42035, 42036)  # make, model, software, make and model of the lens
TIME_TAGS = (36867, 306)  # taken, changed
SETTING_TAGS = (274, 33434, 33437, 34855, 37385, 37386)  # orientation, exposure ... focal length
INSIDE = 8  # pixels from the border: one JPEG block, into which a mark on the border may bleed
PROBE = 4  # pixels between the two lines whose difference shows a mark on the border
NUM_CHARACTERS = 8  # compared at either end of a name
MAX_DIGITS = 15  # of a number; floats hold no more

COLLECTED = (
    "Models see pixels only, so this flatters the score only if the rows that lie close together "
    "are one person, scene or session, or if you feed it to a member. If so, name the column in "
    "data.group. Otherwise the rows were merely sorted, and there is nothing to do."
)
SOURCE = (
    "Classes may come from different sources. A model can learn the look of the source instead of "
    "the class. The score holds where the test images come from the same sources in the same way; "
    "otherwise it flatters: make the sources alike (same size, crop, encoding)."
)
NATURAL = (
    "It may be honest (a dark or busy picture, another background or shape). It is a leak where "
    "the test images were made in another way; compare them by eye before you trust the score."
)


@dataclass(frozen=True)
class FileFeature:
    """Numbers of each row that should not predict its target.

    Attributes:
        table: (n, F) of training rows, then of test rows; -1 where there is none.
        innocent: whether it may depend on the target without a leak.
        advice: what a dependence could mean, and what to do.
        control: (n, F) that predicts as well where the dependence is innocent; None if unknown.
    """

    name: str
    table: np.ndarray
    innocent: bool
    advice: str
    control: np.ndarray | None = None

    @property
    def varies(self) -> bool:
        """Return whether rows differ in it."""
        return bool((self.table != self.table[:1]).any())


@dataclass(frozen=True)
class FileInfo:
    """Header, EXIF tags and outermost pixels of one image file.

    Attributes:
        exif: tags by number, as text; empty where there are none.
        encoding: format, mode and coarseness of JPEG (sum of its first table; 0 for others).
        edge, inside: (52,) `outline` of the image, and of the image without its outermost pixels.
    """

    exif: dict[int | str, str]
    encoding: tuple[str, str, int]
    edge: np.ndarray
    inside: np.ndarray


def row_features(
    positions: np.ndarray, names: list[str], ids: list[str], *, num_classes: int
) -> list[FileFeature]:
    """Compute features of a row's position and names.

    Args:
        positions: (n,) in the CSV; of test rows -1.
        names: (n,) image paths; folders do not count, a template may put the label there.
        ids: (n,).
        num_classes: classes may alternate from row to row.
    """
    turn = np.where(positions >= 0, positions % max(num_classes, 2), -1)
    order = np.column_stack([positions, turn])
    stems = [PurePosixPath(name).stem for name in names]
    features = [
        FileFeature("row order", order, False, COLLECTED),
        FileFeature("file number", _numbers(stems), False, COLLECTED),
        FileFeature("file name", _characters(stems), False, COLLECTED),
    ]
    bare_ids = [PurePosixPath(row_id).stem for row_id in ids]
    if bare_ids != stems:
        features += [
            FileFeature("id number", _numbers(bare_ids), False, COLLECTED),
            FileFeature("id characters", _characters(bare_ids), False, COLLECTED),
        ]
    return features


def file_features(
    stamps: np.ndarray, sizes: np.ndarray, infos: list[FileInfo]
) -> list[FileFeature]:
    """Compute features of the files.

    Args:
        stamps: (n, 2) length in bytes first. sizes: (n, 2) height and width.
    """
    height, width = sizes.T.astype(float)
    length = stamps[:, 0].astype(float)
    lengths = np.column_stack([length, length / (height * width)])
    dimensions = np.column_stack([height, width, height * width, width / height])
    texts = [[info.encoding[0], info.encoding[1]] for info in infos]
    encoding = np.column_stack([_codes(texts), [info.encoding[2] for info in infos]])
    edge, inside = (np.stack([getattr(i, part) for i in infos]) for part in ("edge", "inside"))
    return [
        FileFeature("file size", lengths, True, NATURAL),
        FileFeature("image dimensions", dimensions, True, SOURCE),
        FileFeature("file encoding", encoding, True, SOURCE),
        FileFeature("EXIF camera", _tags(infos, CAMERA_TAGS), False, SOURCE),
        FileFeature("EXIF time", _times(infos), False, COLLECTED),
        FileFeature("EXIF settings", _settings(infos), True, NATURAL),
        FileFeature("border pixels", edge, True, NATURAL, control=inside),
    ]


def read_file_infos(
    paths: list[Path], *, threads: int, to_rgb: ToRgb = PLAIN
) -> Iterator[FileInfo]:
    """Open files in threads, in order; decode each once.

    Raises:
        UserError: naming the first image that cannot be decoded.
    """
    read = partial(_read_file_info, to_rgb=to_rgb)
    yield from in_threads(read, paths, threads=threads, ahead=8 * threads)


def outline(pixels: np.ndarray) -> np.ndarray:
    """Describe the four sides of (H, W, 3) uint8 in 52 numbers.

    Per side and channel: means of the outermost line and of the outermost three lines, and the
    outermost line less the one PROBE pixels in; per side: spread along the line; means of corners.
    """
    pixels = pixels.astype(np.float32)
    sides = [np.rot90(pixels, turns) for turns in range(4)]
    probe = min(PROBE, min(pixels.shape[:2]) - 1)
    line = [side[0].mean(axis=0) for side in sides]
    parts = [
        *line,
        *(side[:3].mean(axis=(0, 1)) for side in sides),
        *(outer - side[probe].mean(axis=0) for outer, side in zip(line, sides, strict=True)),
        *(side[:3, :3].mean(axis=(0, 1)) for side in sides),
        [side[0].mean(axis=1).std() for side in sides],
    ]
    return np.concatenate(parts)


def _read_file_info(path: Path, to_rgb: ToRgb) -> FileInfo:
    exif, encoding = _read_header(path)
    pixels = read_image(path, to_rgb)
    depth = min(INSIDE, (min(pixels.shape[:2]) - 1) // 4)
    height, width = pixels.shape[:2]
    inside = pixels[depth : height - depth, depth : width - depth]
    return FileInfo(exif, encoding, outline(pixels), outline(inside))


def _read_header(path: Path) -> tuple[dict[int | str, str], tuple[str, str, int]]:
    if path.suffix.lower() in READERS:
        return {}, (path.suffix.lower(), "", 0)
    with Image.open(path) as image:
        tables = getattr(image, "quantization", None) or {0: [0]}
        encoding = (image.format or "", image.mode, int(sum(tables[min(tables)])))
        try:
            base = image.getexif()
            tags = dict(base) | dict(base.get_ifd(EXIF_FOLDER))
            has_gps = bool(base.get_ifd(GPS_FOLDER))
        except (OSError, SyntaxError, ValueError, KeyError, TypeError, StructError):
            return dict(UNREADABLE), encoding  # the picture is whole, only its tags are not
    exif = {tag: str(value).strip("\0 ") for tag, value in tags.items()}
    return exif | ({GPS: "yes"} if has_gps else {}), encoding


def _numbers(stems: list[str]) -> np.ndarray:
    """Return the first and last number in each name, and how many digits there are."""
    found = [re.findall(r"\d+", stem) for stem in stems]
    ends = [[int(f[i][-MAX_DIGITS:]) if f else -1 for i in (0, -1)] for f in found]
    digits = [sum(map(len, numbers)) for numbers in found]
    return np.column_stack([np.array(ends, dtype=float), digits])


def _characters(stems: list[str]) -> np.ndarray:
    """Return codes of the first and last characters, and the length."""
    padded = [
        stem[:NUM_CHARACTERS].ljust(NUM_CHARACTERS, "\0")
        + stem[-NUM_CHARACTERS:].rjust(NUM_CHARACTERS, "\0")
        for stem in stems
    ]
    codes = np.array([[ord(character) for character in text] for text in padded], dtype=float)
    return np.column_stack([codes, [len(stem) for stem in stems]])


def _codes(rows: list[list[str]]) -> np.ndarray:
    """Encode each column's texts as positions in alphabetical order; an empty one is -1."""
    columns = []
    for column in zip(*rows, strict=True):
        categories = sorted(set(column) - {""})
        code_of = {text: code for code, text in enumerate(categories)} | {"": -1}
        columns.append([code_of[text] for text in column])
    return np.array(columns, dtype=float).T


def _tags(infos: list[FileInfo], tags: tuple[int | str, ...]) -> np.ndarray:
    return _codes([[info.exif.get(tag, "") for tag in tags] for info in infos])


def _settings(infos: list[FileInfo]) -> np.ndarray:
    """Return the number of tags, whether there is a place, and the camera's settings."""
    tags = [info.exif for info in infos]
    counts = [[len(exif), GPS in exif, exif == UNREADABLE] for exif in tags]
    values = [[_number(exif.get(tag, "")) for tag in SETTING_TAGS] for exif in tags]
    return np.column_stack([np.array(counts, dtype=float), np.array(values)])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _times(infos: list[FileInfo]) -> np.ndarray:
    """Return minutes since 1970, hour and weekday of each photo."""
    texts = [next((i.exif[tag] for tag in TIME_TAGS if tag in i.exif), "") for i in infos]
    times = pd.to_datetime(pd.Series(texts), format="%Y:%m:%d %H:%M:%S", errors="coerce")
    minutes = (times - pd.Timestamp(0)).dt.total_seconds() / 60
    columns = [minutes, times.dt.hour, times.dt.day_of_week]
    return np.column_stack([column.fillna(-1).to_numpy(dtype=float) for column in columns])
