"""Submissions made elsewhere: read, checked, and mixed into ours, outside the estimate."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.competition import Competition
from pipeline.core.csv_files import read_csv
from pipeline.core.long_forms import find_long_sample
from pipeline.core.sample import with_our_names
from pipeline.core.targets import examples
from pipeline.errors import UserError
from pipeline.metrics.find_metric import Metric
from pipeline.submission.form import Form
from pipeline.submission.writing import values_of_columns


def mix(
    values: np.ndarray,
    others: Mapping[Path, float],
    competition: Competition,
    form: Form,
    metric: Metric,
) -> np.ndarray:
    """Return the weighted mean of ours (N_test, C) and of other submissions' values.

    Where the metric ranks, the mean is of ranks: files of different models compare only by these.

    Args:
        others: CSVs in the sample's form, with their weights; ours has the rest of 1.
    Raises:
        UserError: for a file that is not readable, or not of these rows and columns.
    """
    scaled = _ranks if metric.ranks else np.asarray
    mixed = (1 - sum(others.values())) * scaled(values)
    for path, weight in others.items():
        mixed += weight * scaled(read_submission(path, competition, form))
    return mixed


def read_submission(path: Path, competition: Competition, form: Form) -> np.ndarray:
    """Return a submission's values (N_test, C), in the order of the competition's test rows.

    Raises:
        UserError: for a file that is not readable, or not of these rows and columns.
    """
    if not path.is_file():
        raise UserError(f"submission.mix: {path}: no such file; paths start at the project's root.")
    problems: list[str] = []
    found = read_csv(path, problems, [])
    if problems:
        raise UserError("\n".join(problems))
    data, submission = competition.data, competition.submission
    rows, id_column = with_our_names(found.rows, data, submission), data.id
    if competition.long_sample is not None:
        long = find_long_sample(rows, competition.test_ids.tolist(), id_column)
        if long is not None:
            rows = with_our_names(long.wide(id_column), data, submission)
    if missing := [name for name in (id_column, *form.columns) if name not in rows]:
        raise UserError(
            f"{path}: no column {examples(missing)}; it has {list(rows)}. A submission to mix has "
            "the columns of the sample."
        )
    wanted, given = set(competition.test_ids.tolist()), rows[id_column].tolist()
    if wanted != set(given) or len(given) != len(wanted):
        raise UserError(
            f"{path}: its ids are not those of the test rows: {len(wanted - set(given))} missing "
            f"{examples(sorted(wanted - set(given)))}, {len(set(given) - wanted)} unknown "
            f"{examples(sorted(set(given) - wanted))}, {len(given) - len(set(given))} repeated."
        )
    rows = rows.set_index(id_column).loc[competition.test_ids]
    _refuse_cells(rows, path, form)
    return values_of_columns(rows, competition, form)


def _refuse_cells(rows: pd.DataFrame, path: Path, form: Form) -> None:
    """Refuse cells that hold no number, or no label of the competition."""
    for column in form.columns:
        cells = rows[column]
        if form.holds in ("label", "level"):
            wrong = cells[~cells.isin(form.names)]
        elif form.holds in ("labels", "likeliest"):
            continue  # words that are no label count as none
        else:
            wrong = cells[~np.isfinite(pd.to_numeric(cells, errors="coerce").astype(float))]
        if len(wrong):
            what = "label" if form.holds in ("label", "level") else "number"
            raise UserError(
                f"{path}: {len(wrong)} cells of {column!r} hold no {what} of the sample's kind, "
                f"e.g. {examples(wrong.tolist())}."
            )


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks of each column of (N, C), from 0 to 1."""
    from scipy.stats import rankdata  # a run with nothing to do needs none

    return (rankdata(values, axis=0) - 0.5) / len(values)
