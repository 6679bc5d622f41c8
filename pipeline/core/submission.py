"""Submissions: columns, order and ids exactly as in the sample, checked by reading back."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.errors import UserError
from pipeline.config.schema import Submission
from pipeline.core.artifacts import replacing
from pipeline.core.competition import Competition
from pipeline.core.levels import interpolate_levels
from pipeline.core.metrics import Metric
from pipeline.core.targets import ONE_CLASS_PER_ROW

DIGITS = 8  # significant, of a number in the CSV
ONE_COLUMN = {  # what a single column can hold; the first is chosen unless the metric wants another
    "binary": ("label", "probability"),
    "multiclass": ("label",),
    "ordinal": ("label", "value", "level"),
    "multilabel": ("labels",),
    "regression": ("value",),
}


def write_submission(
    path: Path,
    values: np.ndarray,
    *,
    competition: Competition,
    metric: Metric,
    settings: Submission,
) -> None:
    """Write predictions (N_test, C), in the order of `competition.test_ids`, as the sample asks.

    Raises:
        UserError: if the sample's columns cannot be filled from the task's classes.
    """
    table = submission_table(values, competition=competition, metric=metric, settings=settings)
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", float_format=f"%.{DIGITS}g")
        check_submission(temporary, table, competition)


def submission_table(
    values: np.ndarray, *, competition: Competition, metric: Metric, settings: Submission
) -> pd.DataFrame:
    """Predictions as a table with the sample's columns and rows."""
    assert np.isfinite(values).all(), "a prediction is NaN or infinite"
    id_column = competition.data.id
    sample = _sample(competition, metric)
    columns = [column for column in sample.columns if column != id_column]
    order = pd.Index(competition.test_ids).get_indexer(sample[id_column])
    values = values[order]
    if competition.task.kind == "regression":
        values = metric.clip(values)
    form = _format(columns, competition, metric, settings)
    if form == "columns":
        filled = _one_per_class(values, columns, sample, competition, metric, settings)
    else:
        filled = {columns[0]: _one_column(form, values, competition, settings)}
    table = pd.DataFrame({id_column: sample[id_column], **filled})
    return table[list(sample.columns)]


def check_layout(competition: Competition, metric: Metric, settings: Submission) -> None:
    """Refuse a sample whose columns cannot be filled, before any work is done for it."""
    blank = np.zeros((len(competition.test_ids), len(competition.classes)))
    submission_table(blank, competition=competition, metric=metric, settings=settings)


def check_submission(path: Path, table: pd.DataFrame, competition: Competition) -> None:
    """Read the CSV back and compare it with what was meant; a difference is a bug of ours."""
    written = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert list(written.columns) == list(table.columns), "columns differ from the sample's"
    ids = competition.data.id
    assert written[ids].tolist() == table[ids].tolist(), "ids differ from the sample's"
    for column in table.columns.drop(ids):
        if pd.api.types.is_numeric_dtype(table[column]):
            numbers = pd.to_numeric(written[column], errors="coerce").to_numpy(dtype=float)
            assert np.isfinite(numbers).all(), f"{column}: not a number in every row"
            assert np.allclose(numbers, table[column], rtol=1e-6), f"{column}: numbers differ"
        else:
            assert written[column].tolist() == table[column].tolist(), f"{column}: labels differ"


def _sample(competition: Competition, metric: Metric) -> pd.DataFrame:
    """The sample, or, where the competition has none, what it would most likely be."""
    if competition.sample is not None:
        return competition.sample
    single_label = competition.task.kind in ONE_CLASS_PER_ROW
    per_class = single_label and metric.wants == "probabilities" and len(competition.classes) > 2
    columns = list(competition.classes) if per_class else competition.task.targets
    return pd.DataFrame({competition.data.id: competition.test_ids, **dict.fromkeys(columns, "")})


def _format(
    columns: list[str], competition: Competition, metric: Metric, settings: Submission
) -> str:
    """ "columns" (one per class or target), or what the single column holds."""
    kind, wanted = competition.task.kind, settings.format
    if set(columns) == set(competition.classes) and wanted in ("auto", "probability", "value"):
        return "columns"
    several_values = kind == "regression" and len(competition.classes) > 1
    if len(columns) != 1 or several_values:
        raise UserError(
            f"{competition.folder / competition.data.sample_submission}: columns {columns} are "
            f"neither the classes {list(competition.classes)} nor one column of format {wanted!r}. "
            "Columns must be named like the labels or target columns of "
            f"{competition.data.train_csv}."
        )
    if wanted != "auto":
        if wanted not in ONE_COLUMN[kind]:
            raise UserError(
                f"submission.format: {wanted!r} is no form of one column of a {kind} task; "
                f"say auto or one of {list(ONE_COLUMN[kind])}."
            )
        return wanted
    by_metric = {"probabilities": "probability", "values": "value", "levels": "level"}
    form = by_metric.get(metric.wants)
    return form if form in ONE_COLUMN[kind] else ONE_COLUMN[kind][0]


def _one_per_class(
    values: np.ndarray,
    columns: list[str],
    sample: pd.DataFrame,
    competition: Competition,
    metric: Metric,
    settings: Submission,
) -> dict[str, np.ndarray]:
    """One column per class or target; 0 and 1 where the metric scores decisions."""
    if metric.wants == "labels" and settings.format == "auto":
        if competition.task.kind == "multilabel":
            values = (values >= settings.threshold).astype(int)
        elif competition.task.kind != "regression" and sample[columns].isin(["0", "1"]).all(None):
            values = np.eye(values.shape[1], dtype=int)[values.argmax(1)]
    position = {name: index for index, name in enumerate(competition.classes)}
    return {column: values[:, position[column]] for column in columns}


def _one_column(
    form: str, values: np.ndarray, competition: Competition, settings: Submission
) -> np.ndarray:
    classes, kind = np.array(competition.classes, dtype=object), competition.task.kind
    if form == "value":
        return values @ competition.levels if kind == "ordinal" else values[:, 0]
    if form == "level":
        expected = values @ competition.levels
        return classes[np.abs(expected[:, None] - competition.levels).argmin(1)]
    if form == "probability":
        return values[:, -1]
    if form == "label":
        return classes[values.argmax(1)]
    chosen = [classes[row >= settings.threshold] for row in values]
    return np.array([competition.task.separator.join(labels) for labels in chosen], dtype=object)


def values_of_submission(table: pd.DataFrame, competition: Competition) -> np.ndarray:
    """A submission's, or a solution's, rows as a matrix (N, C), the inverse of `submission_table`.

    Labels become one-hot rows, a binary probability two columns, an ordinal number the split
    between its neighbouring levels whose expectation it is.
    """
    columns = [column for column in table.columns if column != competition.data.id]
    classes, kind = competition.classes, competition.task.kind
    if set(columns) == set(classes):
        return table[list(classes)].to_numpy(dtype=float)
    cells = table[columns[0]]
    if kind == "multilabel":
        held = [set(cell.split(competition.task.separator)) for cell in cells]
        return np.array([[float(name in labels) for name in classes] for labels in held])
    if set(cells) <= set(classes):
        return (cells.to_numpy()[:, None] == np.array(classes)).astype(float)
    numbers = cells.to_numpy(dtype=float)
    if kind == "binary":
        return np.column_stack([1 - numbers, numbers])
    assert kind in ("ordinal", "regression"), f"labels {sorted(set(cells) - set(classes))[:3]}"
    if kind == "regression":
        return numbers[:, None]
    return interpolate_levels(numbers, competition.levels)
