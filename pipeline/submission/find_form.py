"""The form of a competition's submissions, found from its sample and metric before any work."""

import pandas as pd

from pipeline.config.schema import Submission
from pipeline.core.competition import Competition
from pipeline.core.labels import match_columns
from pipeline.errors import UserError
from pipeline.metrics.find_metric import Metric
from pipeline.submission.form import Form, Holds, sample_of
from pipeline.submission.notes import no_numbers, refusal
from pipeline.submission.one_column import FORM_OF, ONE_COLUMN


def find_form(competition: Competition, metric: Metric, settings: Submission) -> Form:
    """Find what the submission's columns hold.

    Raises:
        UserError: if the sample's columns cannot be filled from the task's classes.
    """
    sample = sample_of(competition, metric)
    columns = [column for column in sample.columns if column != competition.data.id]
    task, wanted, classes = competition.task, settings.format, competition.classes
    of_class = match_columns(columns, classes) or {}
    is_one_value = task.is_regression and len(columns) == len(classes) == 1
    if (
        len(of_class) == len(classes)
        and not is_one_value
        and wanted in ("auto", "probability", "value")
    ):
        return _of_classes(sample, of_class, competition, metric, settings)
    if len(columns) != 1 or (task.is_regression and len(classes) > 1):
        raise UserError(refusal(columns, competition, wanted))
    if wanted not in ("auto", *ONE_COLUMN[task.kind]):
        raise UserError(
            f"submission.format: {wanted!r} is no form of one column of a {task.kind} task; "
            f"use auto or one of {list(ONE_COLUMN[task.kind])}."
        )
    cells = [cell for cell in sample[columns[0]].unique() if cell.strip()]
    is_named = task.is_binary and of_class and columns[0] not in task.targets
    if is_named and wanted in ("auto", "probability") and not set(cells) & set(classes):
        return _of_classes(sample, of_class, competition, metric, settings)
    return FORM_OF[task.kind](columns[0], cells, competition, metric, settings)


def _of_classes(
    sample: pd.DataFrame,
    of_class: dict[str, int],
    competition: Competition,
    metric: Metric,
    settings: Submission,
) -> Form:
    """Return the form of one column per class or target, or of one class."""
    task, classes = competition.task, competition.classes
    cells = [cell for column in of_class for cell in sample[column].unique() if cell.strip()]
    holds: Holds = "numbers"
    if metric.wants == "labels" and settings.format == "auto" and not task.is_regression:
        as_flags = set(cells) <= {"0", "1"} and (cells or competition.sample is None)
        if task.is_multilabel or as_flags:
            holds = "flags"
    what = "value" if task.is_regression else "probability" if holds == "numbers" else "decision"
    renamed = {name: classes[c] for name, c in of_class.items() if name != classes[c]}
    facts = []
    if task.is_binary and len(of_class) == 1:
        renamed = dict(zip(of_class, (classes[c] for c in of_class.values()), strict=True))
    for column, name in list(renamed.items())[:3]:
        facts.append(f"column {column!r} holds the {what} of {name!r}, which it is named like")
    if len(renamed) > 3:
        facts[-1] += f"; so do {len(renamed) - 3} more columns"
    warnings = list(no_numbers(cells, ", ".join(of_class)))
    if task.is_binary and list(of_class.values()) == [0] and metric.of_positive:
        warnings.append(
            f"{metric.name} is of {classes[1]!r} ({competition.positive_from}), but the sample's "
            f"column is named like {classes[0]!r}"
        )
    return Form(holds, of_class, tuple(classes), facts=tuple(facts), warnings=tuple(warnings))
