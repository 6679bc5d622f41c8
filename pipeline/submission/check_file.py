"""Check a submission's file against the sample, as it lies on disk."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.competition import Competition
from pipeline.core.csv_files import read_csv
from pipeline.core.sample import with_our_names
from pipeline.core.targets import examples
from pipeline.errors import UserError
from pipeline.metrics.find_metric import Metric
from pipeline.submission.form import sample_of


def check_file(path: Path, competition: Competition, metric: Metric) -> int:
    """Return the number of rows of a file whose columns and ids are the sample's, with no blanks.

    Raises:
        UserError: with all that differs.
    """
    problems: list[str] = []
    found = read_csv(path, problems, [])
    if found is None or problems:
        raise UserError("\n".join(problems) or f"{path}: not readable.")
    rows = with_our_names(found.rows, competition.data, competition.submission)
    sample, keys = sample_of(competition, metric), [competition.data.id]
    if (long := competition.long_sample) is not None:
        sample, keys = long.rows, list(long.rows.columns.drop(long.value))
    if list(rows.columns) != list(sample.columns):
        raise UserError(
            f"{path}: columns {list(rows.columns)}, expected {list(sample.columns)} as in "
            f"{competition.data.sample_submission}. Run `make ensemble` again."
        )
    problems += _wrong_ids(path, *(table[keys].agg(" ".join, axis=1) for table in (rows, sample)))
    for column in sample.columns.drop(keys):
        problems += _wrong_cells(path, rows[column], sample[column])
    if problems:
        raise UserError("\n".join([*problems, "Run `make ensemble` to write the file again."]))
    return len(rows)


def _wrong_ids(path: Path, ids: pd.Series, wanted: pd.Series) -> list[str]:
    """Return a message where ids are not the sample's, each once."""
    if ids.tolist() == wanted.tolist():
        return []
    given, expected = set(ids), set(wanted)
    missing, unknown = sorted(expected - given), sorted(given - expected)
    repeated = ids[ids.duplicated()].unique()
    if not missing and not unknown and not len(repeated):
        return []  # another order: Kaggle joins by id
    return [
        f"{path}: its ids are not the sample's: {len(missing)} missing {examples(missing)}, "
        f"{len(unknown)} unknown {examples(unknown)}, {len(repeated)} repeated "
        f"{examples(repeated)}."
    ]


def _wrong_cells(path: Path, cells: pd.Series, wanted: pd.Series) -> list[str]:
    """Return a message where numbers are not finite; text may be blank where the sample's may."""
    in_sample = pd.to_numeric(wanted, errors="coerce")
    if not len(wanted) or in_sample.isna().any():
        return []
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    wrong = int((~np.isfinite(numbers)).sum())
    if not wrong or wrong == len(cells):  # all of them are words: see the form's warnings
        return []
    return [f"{path}: {wrong} cells of {cells.name!r} are no finite numbers."]
