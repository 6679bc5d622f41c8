"""Long forms: several rows of one image, in train.csv (labels) or in the sample (classes)."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.core.targets import examples

SEPARATORS = "_ :|-"  # between id and class, in a cell that holds both


@dataclass(frozen=True)
class LongSample:
    """A sample with a row for each id and class.

    Attributes:
        rows: as they are in the file.
        ids, classes: of each row.
        value: the column that is predicted.
    """

    rows: pd.DataFrame
    ids: list[str]
    classes: list[str]
    value: str

    def wide(self, id_column: str) -> pd.DataFrame:
        """Return the same with one row for each id and a column for each class."""
        cells = pd.Series(
            self.rows[self.value].to_numpy(),
            index=pd.MultiIndex.from_arrays([self.ids, self.classes]),
        )
        table = cells.unstack().reindex(
            index=list(dict.fromkeys(self.ids)), columns=list(dict.fromkeys(self.classes))
        )
        return table.rename_axis(index=id_column, columns=None).reset_index()

    def fill(self, wide: pd.DataFrame, id_column: str) -> pd.DataFrame:
        """Return the rows with the values of a table that has the form of `wide`."""
        cells = wide.set_index(id_column).stack()
        values = cells.loc[list(zip(self.ids, self.classes, strict=True))]
        return self.rows.assign(**{self.value: values.to_numpy()})


def find_long_sample(
    sample: pd.DataFrame, test_ids: list[str], id_column: str, *, partial: bool = False
) -> LongSample | None:
    """Return how a sample is long; None where it is not, or may be read in several ways.

    Either a cell holds ID_CLASS, or columns hold id, class and value.

    Args:
        partial: whether it may have some of the ids only.
    """
    if id_column not in sample or not test_ids:
        return None
    if len(sample) <= len(test_ids) and not partial:
        return None
    others = [name for name in sample.columns if name != id_column]
    cells, known = sample[id_column].tolist(), set(test_ids)

    def are_ids(found: tuple[str, ...] | list[str]) -> bool:
        return set(found) == known or (partial and set(found) < known)

    if len(others) == 1 and not set(cells) & known:
        for separator in SEPARATORS:
            heads, tails = zip(*(_split(cell, separator, known) for cell in cells), strict=True)
            if are_ids(heads) and _is_complete(heads, tails):
                return LongSample(sample, list(heads), list(tails), others[0])
    if len(others) == 2 and are_ids(cells):
        found = [name for name in others if _is_complete(cells, sample[name].tolist())]
        if len(found) == 1:
            (value,) = set(others) - set(found)
            return LongSample(sample, cells, sample[found[0]].tolist(), value)
    return None


def join_labels(
    rows: pd.DataFrame, id_column: str, target: str, separator: str, path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Join rows of one id, each with a label, to one row with all labels.

    Returns:
        The rows, in the order in which ids appear first, and problems: ids whose other columns
        differ.
    """
    if not {id_column, target} <= {*rows}:
        return rows, []  # missing columns are named elsewhere
    problems = []
    for column in rows.columns.drop([id_column, target]):
        differing = rows.groupby(id_column, sort=False)[column].nunique().loc[lambda n: n > 1].index
        if len(differing):
            problems.append(
                f"{path}: `data.rows: label` joins rows of one {id_column!r}, but {column!r} "
                f"differs within {len(differing)} of them, e.g. {examples(differing.tolist())}."
            )
    firsts = rows.drop_duplicates(id_column).reset_index(drop=True)
    labels = rows.groupby(id_column, sort=False)[target].agg(
        lambda cells: separator.join(dict.fromkeys(cell for cell in cells if cell.strip()))
    )
    return firsts.assign(**{target: firsts[id_column].map(labels)}), problems


def _split(cell: str, separator: str, ids: set[str]) -> tuple[str, str]:
    """Split at the last separator that leaves an id before it; both parts may hold separators."""
    at = cell.rfind(separator)
    while at >= 0 and cell[:at] not in ids:
        at = cell.rfind(separator, 0, at)
    return (cell[:at], cell[at + len(separator) :]) if at >= 0 else ("", cell)


def _is_complete(ids: tuple[str, ...] | list[str], classes: tuple[str, ...] | list[str]) -> bool:
    """Return whether each id comes once with each class, of two or more."""
    pairs, ids, classes = set(zip(ids, classes, strict=True)), set(ids), set(classes)
    return len(classes) > 1 and len(pairs) == len(ids) * len(classes)
