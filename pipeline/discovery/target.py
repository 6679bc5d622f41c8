"""Which columns are the target, of which kind, and what a metric and a separator follow."""

import json
from dataclasses import dataclass, field

import pandas as pd

from pipeline.core.labels import labels_in
from pipeline.discovery.guess import Guess
from pipeline.discovery.image_names import words_of
from pipeline.discovery.sample_form import SampleForm, columns_per_class, long_labels
from pipeline.discovery.tables import Table, Tables
from pipeline.discovery.target_kind import find_kind, kind_of_columns, separator_of
from pipeline.errors import UserError, did_you_mean

# Words in the name of a target's column, the most usual first.
TARGET_WORDS = ("target", "label", "labels", "class", "category", "species", "breed", "tags")
TARGET_WORDS += ("diagnosis", "grade", "level", "severity", "type", "score", "rating", "y")
SPLIT_VALUES = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}
FEW_REPEATED = 0.9  # images per row, where rows are labels
MAX_COLUMNS = 100  # columns of 0 and 1 that are taken as targets without a sample


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        columns: of train.csv.
        per_class: whether the sample has a column per class of a single target column.
        decisions: keys of `task` and `data`.
    """

    columns: list[str]
    kind: Guess
    per_class: bool
    decisions: dict[str, Guess] = field(default_factory=dict)


def find_target(
    tables: Tables, test: Table | None, form: SampleForm, key: str, asked: str = ""
) -> Target:
    """Find the target columns and their kind.

    Args:
        test: the CSV of test rows.
        key: the column of ids.
        asked: TARGET=, columns separated by commas; empty: what is found.
    Raises:
        UserError: if `asked` names no column.
    """
    train = tables.train
    assert train is not None, "folders per class have a target of their own"
    candidates = _candidates(train, test, tables.sample, key)
    columns, found = _asked(asked, train) if asked else _columns(train, form, tables, candidates)
    rows = train.rows
    if repeated := _rows_per_label(rows, key, columns):
        values = rows[columns[0]].nunique()
        decisions = {"task.target": found, "data.rows": Guess("label", "likely", repeated)}
        kind = Guess("multilabel", "likely", f"{values:,} labels, several rows of one image")
        return Target(columns, kind, False, decisions)
    decisions = {"task.target": found}
    if len(columns) > 1:
        return Target(columns, kind_of_columns(rows, columns), False, decisions)
    cells = rows[columns[0]]
    values = {cell for cell in cells if cell.strip()}
    per_class = columns_per_class(form, sorted(values))
    kind = find_kind(columns[0], cells, form, per_class)
    joint = separator_of(cells, form) or " "
    if not per_class and columns_per_class(form, sorted(labels_in(values, joint))):
        kind = Guess("multilabel", "sure", "cells are lists, and the sample has a column per label")
        per_class = True
    if kind.value == "multilabel" and joint != " ":
        reason = f"between labels of a cell, {len(labels_in(values, joint)):,} different ones"
        decisions["task.separator"] = Guess(joint, "likely", reason)
    if kind.value == "binary":
        decisions |= _positive(values, form)
    return Target(columns, kind, per_class, decisions)


def _asked(asked: str, train: Table) -> tuple[list[str], Guess]:
    columns = [name.strip() for name in asked.split(",") if name.strip()]
    for name in columns:
        if name not in train.columns:
            raise UserError(
                f"TARGET={asked}: {train.path} has no column {name!r}; it has {train.columns}"
                f"{did_you_mean(name, train.columns, list_all=False) or '.'}"
            )
    return columns, Guess(_single(columns), "sure", "TARGET=")


def _single(columns: list[str]) -> str | list[str]:
    return columns[0] if len(columns) == 1 else columns


def _candidates(train: Table, test: Table | None, sample: Table | None, key: str) -> list[str]:
    """Return train's columns that may be targets, the likeliest first."""
    of_test = set(test.columns) if test is not None and test is not sample else set()

    def rank(name: str) -> tuple:
        words = words_of(name)
        best = min((TARGET_WORDS.index(w) for w in words if w in TARGET_WORDS), default=99)
        return best, -train.columns.index(name)  # else the last column

    columns = [name for name in train.columns if name not in (key, train.image)]
    columns = [name for name in columns if not parts_splits(train.rows[name])]
    # Test rows seldom have targets; where they have all columns, names decide.
    columns = [name for name in columns if name not in of_test] or columns
    repeated = [
        n
        for n in columns
        if train.rows[n].nunique() <= len(train.rows) / 2 or _is_number(train.rows[n])
    ]
    return sorted(repeated or columns or train.columns[-1:], key=rank)


def parts_splits(cells: pd.Series) -> bool:
    """Return whether a column says which rows are for training and which for testing."""
    values = {cell.strip().lower() for cell in cells.unique()}
    return values <= SPLIT_VALUES and len(values) > 1


def _is_number(cells: pd.Series) -> bool:
    return bool(pd.to_numeric(cells, errors="coerce").notna().all())


def _columns(
    train: Table, form: SampleForm, tables: Tables, candidates: list[str]
) -> tuple[list[str], Guess]:
    """Return the target columns, by the sample where there is one."""
    shared = [name for name in form.columns if name in train.columns and not form.is_long]
    if shared:
        partly = len(shared) < len(form.columns)
        reason = "the sample's columns" if len(shared) > 1 else "the sample's column"
        return shared, Guess(_single(shared), "likely" if partly else "sure", reason)
    if form.is_long and tables.sample is not None:
        labels = long_labels(form, tables.sample)
        if labels and labels <= set(train.columns):
            columns = [name for name in train.columns if name in labels]
            return columns, Guess(_single(columns), "sure", "labels in the sample's rows")
        for name in candidates:
            if labels & _labels(train, name):
                return [name], Guess(name, "sure", "its labels are in the sample's rows")
    if len(form.columns) > 1:
        for name in candidates:
            if columns_per_class(form, sorted(_labels(train, name))):
                return [name], Guess(name, "sure", "the sample has a column for each of its values")
    others = tuple(candidates[1:4])
    if form.column:
        for name in candidates:
            if form.holds in ("words", "lists") and tables.sample.cells(form.column) & _labels(
                train, name
            ):
                return [name], Guess(name, "likely", "it holds the sample's labels", others)
        reason = f"the sample's column `{form.column}` is none of train's"
        certainty = "a guess" if others else "likely"
        return candidates[:1], Guess(candidates[0], certainty, reason, others)
    flags = [name for name in candidates if train.cells(name) <= {"0", "1", "0.0", "1.0"}]
    if 1 < len(flags) <= MAX_COLUMNS and candidates[0] in flags:
        columns = [name for name in train.columns if name in flags]
        reason = "columns of 0 and 1 without a sample to confirm them"
        return columns, Guess(columns, "a guess", reason)
    certainty = "sure" if len(candidates) == 1 else "a guess"
    reason = "the only column left" if len(candidates) == 1 else "its name, or it is the last"
    return candidates[:1], Guess(candidates[0], certainty, reason, others)


def _labels(train: Table, name: str) -> set[str]:
    """Return a column's values, and the parts of them that spaces separate."""
    values = train.cells(name)
    joint = separator_of(train.rows[name], SampleForm()) or " "
    return values | labels_in(values, joint)


def _rows_per_label(rows: pd.DataFrame, key: str, columns: list[str]) -> str:
    """Return a reason, if rows of one id name different labels of it."""
    images = rows[key].nunique()
    if len(columns) != 1 or images > FEW_REPEATED * len(rows):
        return ""  # a few ids twice are mistakes
    if 2 * rows[columns[0]].nunique() > images:
        return ""  # numbers, or names of their own
    pairs = rows[[key, columns[0]]].drop_duplicates()
    if len(pairs) < len(rows) * 0.9:
        return ""
    return f"{len(rows):,} rows of {images:,} images, one for each label"


def _positive(values: set[str], form: SampleForm) -> dict[str, Guess]:
    """Return a comment on which class is positive, where its name does not say so."""
    if values <= {"0", "1", "0.0", "1.0", "True", "False", "TRUE", "FALSE", "true", "false"}:
        return {}
    last = sorted(values)[-1:]
    others = tuple(json.dumps(name) for name in sorted(values)[:-1])
    if form.column in values or len(form.columns) > 1:
        return {}
    reason = f"default: {last[0]!r}, the last in order" if last else "no values"
    return {"task.positive": Guess(None, "a guess", reason, others)}
