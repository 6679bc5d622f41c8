"""Submissions: columns, order and ids exactly as in the sample, checked by reading back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pipeline.config.schema import Submission
from pipeline.core.artifacts import replacing
from pipeline.core.competition import Competition
from pipeline.core.levels import interpolate_levels
from pipeline.core.sample import with_sample_names
from pipeline.core.scale import from_scale, to_scale
from pipeline.metrics.find_metric import Metric
from pipeline.submission.find_form import find_form
from pipeline.submission.form import Form, sample_of

DIGITS = 8  # significant, of a number in the CSV


def write_submission(
    path: Path,
    values: np.ndarray,
    *,
    competition: Competition,
    metric: Metric,
    settings: Submission,
    form: Form | None = None,
) -> None:
    """Write predictions (N_test, C), in the order of `competition.test_ids`, as the sample asks.

    Args:
        form: what the columns hold; default: found from the sample.
    Raises:
        UserError: if the sample's columns cannot be filled from the task's classes.
    """
    about = {"competition": competition, "metric": metric, "settings": settings, "form": form}
    table = submission_table(values, **about)
    if competition.long_sample is not None:
        table = competition.long_sample.fill(table, competition.data.id)
    table = with_sample_names(table, competition.data, competition.submission)
    with replacing(path) as temporary:
        table.to_csv(
            temporary,
            index=False,
            sep=competition.separator,
            lineterminator="\n",
            float_format=f"%.{DIGITS}g",
        )
        check_submission(temporary, table, competition)


def submission_table(
    values: np.ndarray,
    *,
    competition: Competition,
    metric: Metric,
    settings: Submission,
    form: Form | None = None,
) -> pd.DataFrame:
    """Return predictions as a table with the sample's columns and rows."""
    id_column = competition.data.id
    sample = sample_of(competition, metric)
    form = form or find_form(competition, metric, settings)
    order = pd.Index(competition.test_ids).get_indexer(sample[id_column])
    cells = submitted_cells(
        values[order], competition=competition, metric=metric, form=form, settings=settings
    )
    table = pd.DataFrame({id_column: sample[id_column], **cells})
    return table[list(sample.columns)]


def submitted_cells(
    values: np.ndarray,
    *,
    competition: Competition,
    metric: Metric,
    form: Form,
    settings: Submission,
) -> dict[str, np.ndarray]:
    """Return the sample's columns, without the id, as a file of predictions (n, C) holds them."""
    assert np.isfinite(values).all(), "a prediction is NaN or infinite"
    if competition.task.is_regression:
        values = metric.clip(values)
    return fill_columns(values, competition, form, threshold=settings.threshold)


def check_submission(path: Path, table: pd.DataFrame, competition: Competition) -> None:
    """Read the CSV back and compare it with the table; a difference is a bug of the pipeline."""
    written = pd.read_csv(path, dtype=str, keep_default_na=False, sep=competition.separator)
    assert list(written.columns) == list(table.columns), "columns differ from the sample's"
    ids = competition.submission.id or competition.data.id
    assert written[ids].tolist() == table[ids].tolist(), "ids differ from the sample's"
    for column in table.columns.drop(ids):
        if pd.api.types.is_numeric_dtype(table[column]):
            numbers = pd.to_numeric(written[column], errors="coerce").to_numpy(dtype=float)
            assert np.isfinite(numbers).all(), f"{column}: not a number in every row"
            assert np.allclose(numbers, table[column], rtol=1e-6), f"{column}: numbers differ"
        else:
            assert written[column].tolist() == table[column].tolist(), f"{column}: labels differ"


def fill_columns(
    values: np.ndarray, competition: Competition, form: Form, *, threshold: float
) -> dict[str, np.ndarray]:
    """Return the sample's columns, without the id, for predictions (N, C).

    Args:
        threshold: a multilabel probability of at least this is a yes.
    """
    first, names = next(iter(form.columns)), np.array(form.names, dtype=object)
    values = from_scale(values, competition.scale)
    if form.holds == "value":
        return {first: values @ competition.levels}
    if form.holds == "level":
        expected = values @ competition.levels
        return {first: names[np.abs(expected[:, None] - competition.levels).argmin(1)]}
    if form.holds == "label":
        return {first: names[values.argmax(1)]}
    if form.holds == "likeliest":
        best = np.argsort(-values, axis=1, kind="stable")[:, : form.number]
        return {first: np.array([form.joint.join(names[row]) for row in best], dtype=object)}
    if form.holds == "labels":
        fill = filling(form, threshold=threshold)
        chosen = (values if fill is None else fill(values)) >= threshold
        assert fill is None or chosen.any(axis=1).all(), "a cell without a label"
        word = "" if form.empty == "likeliest" else form.empty
        cells = [form.joint.join(names[row]) or word for row in chosen]
        return {first: np.array(cells, dtype=object)}
    if form.holds == "flags":
        if competition.task.is_multilabel:
            values = (values >= threshold).astype(int)
        else:
            values = np.eye(values.shape[1], dtype=int)[values.argmax(1)]
    return {column: values[:, position] for column, position in form.columns.items()}


def filling(form: Form, *, threshold: float) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return a function that gives rows (N, C) without a label the file's one; None: it gives none.

    Scores must use it, too, so that they are of the same decisions as the file.
    """
    if form.holds != "labels" or form.empty not in ("likeliest", *form.names):
        return None
    label = None if form.empty == "likeliest" else form.names.index(form.empty)
    return partial(_with_a_label, label=label, threshold=threshold)


def _with_a_label(values: np.ndarray, *, label: int | None, threshold: float) -> np.ndarray:
    """Raise the likeliest label, or a given one, to the threshold in rows without a label."""
    filled = values.copy()
    rows = np.flatnonzero((values < threshold).all(axis=1))
    filled[rows, values[rows].argmax(axis=1) if label is None else label] = threshold
    return filled


def values_of_columns(
    table: Mapping[str, ArrayLike], competition: Competition, form: Form
) -> np.ndarray:
    """Return a file's columns as a matrix (N, C): the inverse of `fill_columns`.

    Labels become one-hot rows, a binary probability two columns, an ordinal number the split
    between its neighbouring levels whose expectation it is, k labels descending shares.
    """
    classes, task = competition.classes, competition.task
    cells = np.asarray(next(table[column] for column in form.columns))
    if form.holds in ("numbers", "flags"):
        values = np.zeros((len(cells), len(classes)))
        for column, position in form.columns.items():
            values[:, position] = np.asarray(table[column], dtype=float)
        if task.is_binary and len(form.columns) == 1:
            (position,) = form.columns.values()
            values[:, 1 - position] = 1 - values[:, position]
        return to_scale(values, competition.scale)
    if form.holds == "value":
        return interpolate_levels(cells.astype(float), competition.levels)
    if form.holds in ("labels", "likeliest"):
        position = {name: index for index, name in enumerate(form.names)}
        ranks = np.full((len(cells), len(classes)), np.inf)
        for row, cell in enumerate(cells):
            labels = [label for label in cell.split(form.joint) if label in position]
            ranks[row, [position[label] for label in labels]] = np.arange(len(labels))
        if form.holds == "labels":
            return (ranks < np.inf).astype(float)
        shares = 1 / (1 + ranks)
        return shares / shares.sum(axis=1, keepdims=True)
    found = (cells[:, None] == np.array(form.names, dtype=object)).astype(float)
    assert (found.sum(axis=1) == 1).all(), "a label that is no class"
    return found


def values_of_submission(
    table: pd.DataFrame, competition: Competition, metric: Metric
) -> np.ndarray:
    """Return a submission's or a solution's rows as a matrix (N, C), see `values_of_columns`."""
    form = find_form(replace(competition, sample=table), metric, Submission())
    return values_of_columns(table, competition, form)
