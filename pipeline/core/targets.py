"""Targets: cells of train.csv as class names and the (N, C) matrix; unclean cells are reported."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.schema import Task
from pipeline.core.labels import likely_separator, named_like, spelling, written_alike

TRUTH_VALUES = dict.fromkeys(("True", "true", "TRUE"), "1") | dict.fromkeys(
    ("False", "false", "FALSE"), "0"
)
SHOWN = 5  # examples per problem


def encode_targets(
    train: pd.DataFrame,
    task: Task,
    path: Path,
    problems: list[str],
    *,
    ids: pd.Series,
    sample_column: str | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return class names and the (N, C) target matrix; add unclean cells to `problems`.

    Args:
        ids: of the rows, for messages.
        sample_column: the only one beside the id; without task.positive, a binary task's class of
            its name comes last.
    """
    columns = train[task.targets]
    if task.is_regression:
        numbers = [read_numbers(columns[name], path, problems) for name in columns]
        return tuple(columns), np.column_stack(numbers)
    if task.votes:
        return tuple(columns), _shares(columns, path, problems, ids=ids)
    if len(task.targets) > 1:
        flags = _flags(columns, task, path, problems)
        if task.has_one_class_per_row and (wrong := flags.sum(axis=1) != 1).any():
            problems.append(
                f"{path}: {wrong.sum()} rows have no 1 in {task.targets}, or several: those of ids "
                f"{examples(ids[wrong])}. A row of a {task.kind} task has one; `task.kind: "
                "multilabel` takes any number."
            )
        return tuple(columns), flags
    labels = columns[task.targets[0]]
    if task.is_multilabel:
        cells = [cell.split(task.separator) for cell in labels]
        if task.classes is None and (joint := likely_separator(labels, task.separator)):
            joined = sorted({cell for cell in labels if joint in cell})
            problems.append(
                f"{path}: labels of {task.targets[0]!r} seem to be joined by {joint!r}, not by "
                f"{task.separator!r}: {examples(joined)}. Say `task.separator: "
                f"{json.dumps(joint)}`; if each is one label, list all in `task.classes`."
            )
    else:
        cells = [[label] for label in labels]
        blank = (labels.str.strip() == "").to_numpy()
        if blank.any():
            problems.append(
                f"{path}: {blank.sum()} rows have no {task.targets[0]!r}: those of ids "
                f"{examples(ids[blank])}. Leave them out of a copy beside it, and name that in "
                "`data.train_csv`."
            )
    found = sorted({label for cell in cells for label in cell if label.strip()})
    if padded := [label for label in found if label != label.strip()]:
        problems.append(f"{path}: labels with spaces around them: {examples(padded)}.")
    classes = _class_names(found, task, path, problems)
    if task.is_binary:
        classes = _positive_last(classes, task, sample_column, path, problems)
    position = {name: index for index, name in enumerate(classes)}
    targets = np.zeros((len(train), len(classes)))
    for row, cell in enumerate(cells):
        targets[row, [position[label] for label in cell if label in position]] = 1.0
    return classes, targets


def strange_labels(train: pd.DataFrame, task: Task, classes: tuple[str, ...]) -> Iterator[str]:
    """Yield messages about classes that look alike, or several labels in one cell."""
    if task.is_regression or len(task.targets) > 1 or task.classes is not None:
        return
    for alike in written_alike(classes):
        yield (
            f"labels {examples(alike)} differ in writing only and are taken as {len(alike)} classes"
        )
    if task.has_one_class_per_row and (joint := likely_separator(classes, None)):
        joined = [name for name in classes if joint in name]
        yield (
            f"labels such as {examples(joined)} are taken as classes of their own; if they are "
            f"several labels, say `task.kind: multilabel` and `task.separator: {json.dumps(joint)}`"
        )


def _class_names(found: list[str], task: Task, path: Path, problems: list[str]) -> tuple[str, ...]:
    """Return classes in the config's order, else numbers by value and words by alphabet."""
    names = sorted(found, key=float) if _are_numbers(found) else found
    if task.classes is not None:
        if unknown := sorted(set(found) - set(task.classes)):
            written = spelling(task.classes, found)
            hint = f" Write them so: `task.classes: {json.dumps(written)}`."
            problems.append(
                f"{path}: labels that task.classes does not have: {examples(unknown)}; "
                f"it has {task.classes}.{hint if set(found) <= set(written) else ''}"
            )
        names = task.classes
    if task.is_ordinal and not (_are_numbers(names) and _ascend(names)):
        problems.append(
            f"{path}: ordinal levels must be ascending numbers, found {examples(names)}."
        )
    if task.is_binary and len(names) != 2:
        problems.append(
            f"{path}: a binary target has two values, {task.targets[0]!r} has {len(names)}: "
            f"{examples(names)}."
        )
    elif len(names) < (1 if task.is_multilabel else 2):
        found_only = f"one value only, {examples(names)}" if names else "no values"
        problems.append(f"{path}: {task.targets[0]!r} has {found_only}.")
    return tuple(names)


def _positive_last(
    classes: tuple[str, ...], task: Task, sample_column: str | None, path: Path, problems: list[str]
) -> tuple[str, ...]:
    """Return classes with the positive one last, as scores and submissions expect it.

    Args:
        sample_column: its name decides if task.positive does not.
    """
    if task.positive is not None and task.positive not in classes:
        problems.append(
            f"{path}: task.positive is {task.positive!r}, but {task.targets[0]!r} holds "
            f"{examples(classes)}. Name one of them as it is written there."
        )
    chosen = task.positive or (sample_column and named_like(sample_column, classes))
    if chosen not in classes:
        return classes
    return (*(name for name in classes if name != chosen), chosen)


def read_numbers(
    cells: pd.Series, path: Path, problems: list[str], *, blank_allowed: bool = False
) -> np.ndarray:
    """Return cells (N,) as numbers, NaN for others; add the others to `problems`."""
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    wrong = ~np.isfinite(numbers)
    if blank_allowed:
        wrong &= (cells.str.strip() != "").to_numpy()
    if wrong.any():
        commas = cells[wrong].str.fullmatch(r"\s*-?\d+,\d+\s*").all()
        problems.append(
            f"{path}: {int(wrong.sum())} cells of {cells.name!r} are no numbers, e.g. "
            f"{examples(cells[wrong].unique())}."
            + (" Write points for commas in a copy, and name that." if commas else "")
        )
    return numbers


def bad_weights(cells: pd.Series, path: Path) -> Iterator[str]:
    """Yield messages about cells that are no weights of rows."""
    problems: list[str] = []
    weights = read_numbers(cells, path, problems)
    yield from problems
    if not problems and ((weights < 0).any() or not weights.any()):
        yield (
            f"{path}: weights in {cells.name!r} (data.weight) are numbers of at least 0, and not "
            f"all 0; found {examples(cells[weights < 0].unique()) if weights.any() else '0 only'}."
        )


def examples(values: object) -> str:
    """Return the first few of several values, for a message."""
    listed = list(values)
    more = ", ..." if len(listed) > SHOWN else ""
    return f"[{', '.join(repr(str(value)) for value in listed[:SHOWN])}{more}]"


def _flags(columns: pd.DataFrame, task: Task, path: Path, problems: list[str]) -> np.ndarray:
    columns = columns.replace(TRUTH_VALUES)
    wrong = sorted(set(columns.to_numpy().ravel().tolist()) - {"0", "1", "0.0", "1.0"})
    if wrong:
        numbers = pd.to_numeric(pd.Series(wrong), errors="coerce")
        may_be_votes = task.has_one_class_per_row and bool((numbers >= 0).all())
        problems.append(
            f"{path}: multilabel columns hold 0 or 1, found {examples(wrong)}."
            + (" If they are votes or shares of classes: `task.votes: true`." * may_be_votes)
        )
        return np.zeros(columns.shape)
    return columns.to_numpy().astype(float)


def _shares(
    columns: pd.DataFrame, path: Path, problems: list[str], *, ids: pd.Series
) -> np.ndarray:
    """Return votes (N, C) as shares, whose rows sum to 1; add rows without any to `problems`."""
    votes = np.column_stack([read_numbers(columns[name], path, problems) for name in columns])
    votes = np.nan_to_num(votes)  # named already
    if (wrong := (votes < 0).any(axis=1) | (votes.sum(axis=1) <= 0)).any():
        problems.append(
            f"{path}: {wrong.sum()} rows of {list(columns)} have no votes, or some below 0: those "
            f"of ids {examples(ids[wrong])}. Leave them out of a copy, and name that."
        )
    return votes / np.where(wrong, 1.0, votes.sum(axis=1))[:, None]


def _are_numbers(names: list[str]) -> bool:
    return bool(np.isfinite(pd.to_numeric(pd.Series(names, dtype=str), errors="coerce")).all())


def _ascend(names: list[str]) -> bool:
    return all(float(low) < float(high) for low, high in pairwise(names))
