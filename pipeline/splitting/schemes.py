"""Folds: which training rows are held out together.

Folds depend on the rows' order in train.csv, their targets, which rows `groups` unite (not on
the groups' names), and the seed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from sklearn.model_selection import KFold, StratifiedKFold

from pipeline.config.schema import Folds, Kind
from pipeline.core.runtime import stream_seed
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.splitting.group_folds import REPEAT_SPREAD, balance_groups, draw_groups, merge_groups

KINDS_OF_SCHEME: dict[str, tuple[Kind, ...]] = {
    "multilabel_stratified": ("multilabel",),
    "binned_stratified": ("regression", "ordinal"),
}
# The scheme that replaces a grouped one where every row is its own group.
PLAIN_SCHEMES = {"group": "kfold", "stratified_group": "stratified"}
LEFT_OPEN = ("stratified", "scenes")  # schemes that leave open how groups are given to folds
FEW_GROUPS = 500  # balancing classes over fewer flatters, see `draw_groups`


@dataclass(frozen=True)
class Assignment:
    """Folds of all rows, and notes on them.

    Attributes:
        folds: (N,) int in 0..K-1, every fold at least once.
        scheme: the scheme used, which `stratified` leaves open.
        notes: on unusual folds; else empty.
    """

    folds: np.ndarray
    scheme: str
    notes: list[str]


def assign_folds(
    settings: Folds,
    targets: np.ndarray,
    *,
    task: Task,
    seed: int,
    groups: np.ndarray | None = None,
    column: np.ndarray | None = None,
    repeat: int = 0,
    classes: Sequence[str] | None = None,
) -> Assignment:
    """Hold out every row once, in folds as similar as possible; a group never crosses folds.

    Args:
        settings: scheme, number of folds (not for `column`, which brings its own), bins.
        targets: (N, C); soft rows count as their likeliest class.
        groups: (N,) names of rows that must share a fold, by `merge_groups`; missing: alone.
        column: (N,) ready folds, for the scheme `column`; these may split a group, which is noted.
        repeat: number of the repeat; each has a stream of its own.
        classes: C names, for notes; without them these count from 0.
    Raises:
        UserError: if the scheme does not fit the task, or there are too few groups or rows.
    """
    if settings.scheme in PLAIN_SCHEMES and groups is None:
        raise UserError(
            f"folds.scheme is {settings.scheme}, but no groups are given. "
            "Name the column of groups in data.group, or use `stratified`."
        )
    groups = merge_groups(groups)
    if groups is not None and len(np.unique(groups)) == len(groups):
        groups = None  # nothing is united: the plain scheme is the more even one
    labels = _stratification_labels(targets, task, num_bins=_num_bins(settings, len(targets)))
    scheme = _resolve_scheme(settings.scheme, task, has_groups=groups is not None)
    if scheme == "column":
        folds = _read_folds(column, settings.column)
    else:
        units = len(targets) if groups is None else groups.max() + 1
        if units < settings.n:
            raise UserError(_too_few(units, settings.n, grouped=groups is not None))
        draw = stream_seed(seed, "folds", repeat) if repeat else stream_seed(seed, "folds")
        spread = REPEAT_SPREAD if repeat else 0.0
        how = {"num_folds": settings.n, "seed": draw, "spread": spread}
        at_random = groups is not None and settings.scheme in LEFT_OPEN and units < FEW_GROUPS
        named = labels[:, :0] if task.is_regression else labels
        folds = draw_groups(named, groups, **how) if at_random else None
        if folds is None:
            folds = _split(scheme, labels, groups, **how)
        else:
            scheme = "group"
    notes = _group_notes(folds, groups)
    if not task.is_regression:
        notes += _label_notes(folds, labels, classes)
    return Assignment(folds, scheme, notes)


def _too_few(units: int, num_folds: int, *, grouped: bool) -> str:
    """Describe what to do where there are fewer groups or rows than folds."""
    if units >= 2:
        what = "groups of training rows" if grouped else "training rows"
        return (
            f"folds.n is {num_folds}, but there are only {units} {what}. "
            f"Set folds.n to {units} or less."
        )
    if not grouped:
        return "there is one training row, and none to learn from while it is held out. Add rows."
    return (
        "all training rows are of one group, so that none can be held out: `data.group` names one "
        "group only, or their images are copies of each other (are the paths in data.train_images "
        "right?). Name another group, or set folds.keep_duplicates_together to false."
    )


def _resolve_scheme(scheme: str, task: Task, *, has_groups: bool) -> str:
    """Return the scheme that is meant, for this task and with or without groups."""
    if task.kind not in KINDS_OF_SCHEME.get(scheme, (task.kind,)):
        fits = " or ".join(KINDS_OF_SCHEME[scheme])
        raise UserError(
            f"folds.scheme {scheme} is for {fits} tasks, task.kind is {task.kind}. "
            "Use `stratified`, which suits every task."
        )
    if scheme == "column":
        return scheme
    scheme = PLAIN_SCHEMES.get(scheme, scheme)
    if scheme == "scenes":  # the caller unites each scene's rows
        scheme = "stratified"
    if has_groups:
        return "group" if scheme == "kfold" else "stratified_group"
    if scheme == "stratified":
        fitting = {"multilabel": "multilabel_stratified", "regression": "binned_stratified"}
        return fitting.get(task.kind, scheme)
    return scheme


def _num_bins(settings: Folds, num_rows: int) -> int:
    """Count bins that hold at least one row for each fold."""
    return max(1, min(settings.bins, num_rows // settings.n))


def _stratification_labels(targets: np.ndarray, task: Task, *, num_bins: int) -> np.ndarray:
    """Return (N, L) bool what every fold gets its share of: classes, labels or bins of values."""
    if task.is_multilabel:
        return targets >= 0.5
    if task.is_regression:
        return np.hstack([_one_hot(_binned(values, num_bins)) for values in targets.T])
    return _one_hot(targets.argmax(axis=1), targets.shape[1])


def _binned(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Return each value's bin: the value itself where there are few, else quantile bins.

    Bins are cut by rank: quantiles would put a target that is mostly zero into a single bin.
    """
    distinct, position = np.unique(values, return_inverse=True)
    if len(distinct) <= num_bins:
        return position
    return np.argsort(np.argsort(values, kind="stable")) * num_bins // len(values)


def _one_hot(codes: np.ndarray, num_codes: int | None = None) -> np.ndarray:
    return codes[:, None] == np.arange(codes.max() + 1 if num_codes is None else num_codes)


def _split(
    scheme: str,
    labels: np.ndarray,
    groups: np.ndarray | None,
    *,
    num_folds: int,
    seed: int,
    spread: float,
) -> np.ndarray:
    if scheme == "kfold":
        return _held_out(KFold(num_folds, shuffle=True, random_state=seed), labels)
    if scheme == "group":
        labels = labels[:, :0]
    if scheme in ("group", "stratified_group"):
        return balance_groups(labels, groups, num_folds=num_folds, seed=seed, spread=spread)
    if labels.shape[1] == 1:
        return _stratify_classes(labels[:, 0].astype(int), num_folds=num_folds, seed=seed)
    if (labels.sum(axis=1) == 1).all():
        return _stratify_classes(labels.argmax(axis=1), num_folds=num_folds, seed=seed)
    return _stratify_labels(labels, num_folds=num_folds, seed=seed)


def _held_out(splitter: KFold, labels: np.ndarray) -> np.ndarray:
    folds = np.empty(len(labels), dtype=int)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels)):
        folds[held_out] = fold
    return folds


def _stratify_classes(classes: np.ndarray, *, num_folds: int, seed: int) -> np.ndarray:
    """Spread each class's rows over the folds, within one row of even.

    scikit-learn refuses where every class has fewer rows than folds (thousands of classes of two or
    three photos). One more class, with a row for each fold, makes it accept them.
    """
    padded = np.append(classes, np.full(num_folds, classes.max() + 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # in notes, in our words
        splitter = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
        return _held_out(splitter, padded)[: len(classes)]


def _stratify_labels(labels: np.ndarray, *, num_folds: int, seed: int) -> np.ndarray:
    """Spread multilabel rows over the folds, each label near even (Sechidis 2011).

    A fold without rows lacks every label most, so none stays empty.
    """
    splitter = MultilabelStratifiedKFold(num_folds, shuffle=True, random_state=seed)
    return _held_out(splitter, labels)


def _read_folds(column: np.ndarray | None, name: str | None) -> np.ndarray:
    """Read ready-made folds as integers 0..K-1.

    Raises:
        UserError: on a value that is no whole number, a gap, or a single fold.
    """
    assert column is not None, "the caller hands over the column that the scheme names"
    given = pd.Series(np.asarray(column))
    numbers = pd.to_numeric(given, errors="coerce").astype(float)
    wrong = given[~(numbers >= 0) | (numbers % 1 != 0)]
    if len(wrong):
        examples = ", ".join(f"{value!r} (row {row})" for row, value in wrong.head(3).items())
        raise UserError(
            f"folds.column {name}: {len(wrong)} of {len(given)} values are not whole numbers "
            f"from 0: {examples}. Every training row needs its fold, 0 to K-1."
        )
    folds = numbers.to_numpy().astype(int)
    present = np.unique(folds)
    if len(present) < 2 or present[-1] != len(present) - 1:
        raise UserError(
            f"folds.column {name} holds {present[:10].tolist()}, expected every number from 0 "
            "to K-1 and K at least 2. Renumber the folds."
        )
    return folds


def _group_notes(folds: np.ndarray, groups: np.ndarray | None) -> list[str]:
    if groups is None:
        return []
    notes = []
    crossing = pd.Series(folds).groupby(groups).nunique() > 1
    if crossing.any():
        example = np.flatnonzero(groups == crossing.idxmax())[:5].tolist()
        notes.append(
            f"{crossing.sum()} groups cross the given folds (e.g. rows {example}): "
            "the estimate may flatter"
        )
    sizes = np.bincount(folds)
    if sizes.max() > 1.5 * sizes.mean():
        notes.append(f"folds are uneven: {sizes.tolist()} rows; some groups are large")
    return notes


def _label_notes(folds: np.ndarray, labels: np.ndarray, classes: Sequence[str] | None) -> list[str]:
    """Note the classes that some folds lack."""
    names = np.array(range(labels.shape[1]) if classes is None else classes)
    per_fold = np.stack([np.bincount(folds, column) for column in labels.T])
    present = per_fold.sum(axis=1) > 0
    confined = np.flatnonzero(present & ((per_fold > 0).sum(axis=1) == 1))
    absent = np.flatnonzero(present & (per_fold == 0).any(axis=1))
    notes = []
    if len(absent):
        notes.append(
            f"{len(absent)} classes are missing from some held-out folds, having too few rows or "
            f"groups: {names[absent[:5]].tolist()} with "
            f"{per_fold[absent[:5]].sum(axis=1).astype(int).tolist()} rows"
        )
    if len(confined):
        notes.append(
            f"{len(confined)} classes lie in one fold only, and the model that is scored on them "
            f"never saw one: {names[confined[:5]].tolist()}"
        )
    return notes
