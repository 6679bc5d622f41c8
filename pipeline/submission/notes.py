"""Messages about differences between a submission and what its sample or metric asks for."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.core.competition import Competition
from pipeline.core.labels import match_columns
from pipeline.core.targets import examples
from pipeline.errors import close_names, did_you_mean
from pipeline.metrics.find_metric import Metric


def hard_labels(column: str, metric: Metric) -> Iterator[str]:
    """Yield a warning if the metric scores probabilities and the file holds labels."""
    yield (
        f"the metric {metric.name} scores probabilities, but column {column!r} holds labels: the "
        "file holds less than the estimate scores"
    )


def no_classes(
    cells: list[str], names: tuple[str, ...], column: str, competition: Competition
) -> Iterator[str]:
    """Yield a warning about the sample's labels that are no classes, and where they may be from."""
    if not (unknown := [cell for cell in cells if cell not in names]):
        return
    data, train = competition.data, competition.train
    text = f"{data.sample_submission}: {examples(unknown)} in {column!r}"
    target = competition.task.targets[0]
    for other in train.columns if len(competition.task.targets) == 1 and target in train else []:
        if other == target or not set(cells) <= set(train[other]):
            continue
        pairs = train[[target, other]].drop_duplicates()
        if len(pairs) == train[target].nunique() == train[other].nunique():
            yield (
                f"{text} are labels of the column {other!r} of {data.train_csv}, the file holds "
                f"those of {target!r}; `task.target: {other}` writes them"
            )
            return
    yield (
        f"{text} {'are' if len(unknown) > 1 else 'is'} no class of {data.train_csv}: the file's "
        f"labels, {examples(names)}, may not be what the competition takes{_near(unknown, names)}"
    )


def _near(unknown: list[str], names: tuple[str, ...]) -> str:
    """Return the nearest class of the first label that has one."""
    for cell in unknown:
        if near := close_names(cell, names):
            return f" (the nearest to {cell!r} is {near[0]!r})"
    return ""


def fractions(column: str, metric: Metric, held: str, other: str) -> Iterator[str]:
    """Yield a warning if the metric scores classes and the sample holds fractions."""
    yield (
        f"the metric {metric.name} scores classes, but the sample holds fractions in {column!r}: "
        f"the file holds {held}; `submission.format: {other}` changes that"
    )


def no_numbers(cells: list[str], column: str) -> Iterator[str]:
    """Yield a warning about the sample's cells that are no numbers, if the file holds numbers."""
    if wrong := [cell for cell in cells if not is_number(cell)]:
        yield f"the sample holds {examples(wrong)} in {column!r}, the file numbers"


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number."""
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def is_whole(cell: str) -> bool:
    """Return whether a cell is written as a whole number."""
    return is_number(cell) and float(cell).is_integer() and "." not in cell


def refusal(columns: list[str], competition: Competition, wanted: str) -> str:
    """Return why columns cannot be filled, which layout they look like, and what to do."""
    classes, data, task = list(competition.classes), competition.data, competition.task
    path = Path(competition.folder / data.sample_submission)
    known = match_columns([name for name in columns if name in classes], classes) or {}
    lacking = [name for name in classes if name not in known]
    extra = [name for name in columns if name not in known]
    listed = isinstance(task.target, list)
    own_copy = f"save a copy without it beside {path.name} and name it in `data.sample_submission`"
    if columns and not extra and not lacking:
        advice = "Each class has a column: `submission.format` is auto, probability or value."
    elif columns and not extra and listed:
        names = json.dumps([classes[position] for position in known.values()], ensure_ascii=False)
        advice = f"It has some of the targets: `task.target: {names}` predicts these."
    elif columns and not extra:
        advice = (
            f"{data.train_csv} has labels without a column, {examples(lacking)}: leave their rows "
            "out of a copy of it and name that in `data.train_csv`."
        )
    elif extra and not lacking and not listed:
        advice = (
            f"{examples(extra)} are no labels of {data.train_csv}: `task.classes` may name classes "
            f"that no row has; if they are something else, {own_copy}."
        )
    elif set(task.targets) < set(columns):
        extra = [name for name in columns if name not in task.targets]
        advice = f"Beside {task.targets} there is {examples(extra)}: {own_copy}."
    else:
        near = "; ".join(f"{name}{did_you_mean(name, classes)}" for name in extra[:2])
        advice = (
            f"Columns must be named like the labels or target columns of {data.train_csv}, or "
            f"there is one{f' ({near})' if near else ''}. Save a sample with such columns beside "
            "it, name it in `data.sample_submission`, and rename the submission's."
        )
    return (
        f"{path}: columns {columns} are neither the classes {classes} nor one column of format "
        f"{wanted!r}. {advice}"
    )
