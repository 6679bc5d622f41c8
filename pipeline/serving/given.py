"""Images as a caller gives them: paths, pixels, or a table with the competition's columns."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.competition import Competition
from pipeline.core.image_files import columns_in_braces, with_other_endings
from pipeline.core.read_competition import joined_files
from pipeline.core.row_images import RowImages, paths_of_rows, rows_without_images
from pipeline.core.targets import examples, read_numbers
from pipeline.errors import UserError

log = logging.getLogger(__name__)

Images = pd.DataFrame | Iterable[str | Path | np.ndarray]


@dataclass(frozen=True)
class GivenRows:
    """Rows to predict.

    Attributes:
        index: of n rows: ids, or paths, or numbers.
        table: (n, columns) cells as text; without columns where images alone are given.
        images: paths or (H, W, 3) uint8 RGB, those of a row together.
        of_rows: which of them are a row's.
    """

    index: pd.Index
    table: pd.DataFrame
    images: list[Path | np.ndarray]
    of_rows: RowImages

    def __len__(self) -> int:
        return len(self.index)

    def take(self, start: int, end: int) -> "GivenRows":
        """Return the rows of these positions."""
        index, table = self.index[start:end], self.table[start:end]
        counts = self.of_rows.counts[start:end]
        first = int(self.of_rows.counts[:start].sum())
        return GivenRows(
            index, table, self.images[first : first + int(counts.sum())], RowImages(counts)
        )


def read_given(
    images: Images, competition: Competition, *, folder: Path, metadata: bool
) -> GivenRows:
    """Read what a caller gives.

    Args:
        folder: where the config's paths of test images start, for a table.
        metadata: whether the columns of `data.numeric` and `data.categorical` are needed.
    Raises:
        UserError: for other things than images, columns that are not there, or no numbers.
    """
    data = competition.data
    columns = [*data.numeric, *data.categorical] if metadata else []
    if isinstance(images, pd.DataFrame):
        return _of_table(images, competition, columns, folder)
    if isinstance(images, str | Path) or not isinstance(images, Iterable):
        raise UserError(
            f"images: {images!r:.80}: expected a list of paths or of uint8 arrays (H, W, 3), or a "
            "DataFrame with the columns of test.csv. Put a single one into a list."
        )
    if columns:
        raise UserError(
            f"images: the model needs the columns {examples(columns)} beside the images. Give a "
            "DataFrame with the columns of test.csv."
        )
    sources = [_source(image, position) for position, image in enumerate(images)]
    arrays = sum(isinstance(image, np.ndarray) for image in sources)
    names = range(len(sources)) if arrays else [str(image) for image in sources]
    index = pd.Index(names, name=None if arrays else "path", dtype=None if len(sources) else object)
    single = RowImages(np.ones(len(sources), dtype=int))
    return GivenRows(index, pd.DataFrame(index=range(len(sources))), sources, single)


def _source(image: object, position: int) -> Path | np.ndarray:
    if isinstance(image, str | Path):
        return Path(image).expanduser().absolute()
    is_array = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    if is_array and image.shape[2] == 3 and image.size:
        return image
    found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else f"{image!r:.80}"
    raise UserError(
        f"images[{position}]: {found}; expected a path, or pixels as uint8 (H, W, 3) in RGB."
    )


def _of_table(
    given: pd.DataFrame, competition: Competition, columns: list[str], folder: Path
) -> GivenRows:
    data = competition.data
    of_paths = [name for path in data.test_templates for name in columns_in_braces(path)]
    needed = list(dict.fromkeys([data.id, *of_paths, *columns]))
    if absent := [name for name in needed if name not in given]:
        raise UserError(
            f"images: no column {examples(absent)}; there are {examples(given.columns)}. Expected "
            f"the columns of {data.test_csv}."
        )
    table = given[needed].astype(object).where(given[needed].notna(), "").map(str)
    table = table.reset_index(drop=True)
    problems: list[str] = []
    if data.rows == "file":
        table, problems = joined_files(table, data, [], path=Path("images"))
    for name in set(columns) & set(data.numeric):
        read_numbers(table[name], Path("images"), problems, blank_allowed=True)
    if problems:
        raise UserError("\n".join(problems))
    for name in set(columns) & set(data.categorical):
        unknown = sorted(set(table[name]) - set(competition.train[name]))
        if unknown:
            log.warning("column %s: no training row has %s", name, examples(unknown))
    rows, missing = rows_of_table(table, competition, folder)
    if missing and len(missing) == len(rows) and pd.api.types.is_numeric_dtype(given[data.id]):
        raise UserError(
            f"{folder}: no image is there, e.g. {examples(missing)}. If ids begin with zeros, read "
            "the table as text: pd.read_csv(path, dtype=str)."
        )
    return rows


def rows_of_table(
    table: pd.DataFrame, competition: Competition, folder: Path
) -> tuple[GivenRows, list[str]]:
    """Return the rows of a table of text, and the paths of images that are not in the folder."""
    data = competition.data
    joined = data.rows == "file"
    paths, counts = paths_of_rows(table, data.test_templates, folder=folder, joined=joined)
    problems = rows_without_images(table[data.id].to_numpy(), counts, data.test_templates, folder)
    if problem := next(problems, None):
        raise UserError(problem)
    endings, missing = with_other_endings(folder, paths)
    images: list[Path | np.ndarray] = [folder / endings.get(path, path) for path in paths]
    index = pd.Index(table[data.id], name=data.id)
    return GivenRows(index, table, images, RowImages(counts)), missing
