"""Folds: which training rows are held out together.

Folds are a function of the rows' order in train.csv, their targets, which rows `groups` unite (not
what the groups are called), and the seed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import KFold, StratifiedKFold

from pipeline.config.errors import UserError
from pipeline.config.schema import Folds, Kind
from pipeline.core.runtime import stream_seed

KINDS_OF_SCHEME: dict[str, tuple[Kind, ...]] = {
    "multilabel_stratified": ("multilabel",),
    "binned_stratified": ("regression", "ordinal"),
}
# What a grouped scheme comes to where every row is its own group.
PLAIN_SCHEMES = {"group": "kfold", "stratified_group": "stratified"}
REPEAT_SPREAD = 0.5  # up to this share of its size a group loses its turn in later repeats
FEW_GROUPS = 500  # balancing classes over fewer flatters, see `_draw_groups`
MAX_DRAWS = 20

TIE = 1e-9  # relative; folds that are this near each other are equally even


@dataclass(frozen=True)
class Assignment:
    """Where each row is held out.

    Attributes:
        folds: (N,) int in 0..K-1, every fold at least once.
        scheme: the scheme used, which `stratified` leaves open.
        notes: what a person should know about these folds; empty where all is well.
    """

    folds: np.ndarray
    scheme: str
    notes: list[str]


def assign_folds(
    settings: Folds,
    targets: np.ndarray,
    *,
    kind: Kind,
    seed: int,
    groups: np.ndarray | None = None,
    column: np.ndarray | None = None,
    repeat: int = 0,
    classes: Sequence[str] | None = None,
) -> Assignment:
    """Hold out every row once, in folds as alike as can be; a group never crosses folds.

    Args:
        settings: scheme, number of folds (not for `column`, which brings its own), bins.
        targets: (N, C), see contracts; soft rows count as their likeliest class.
        groups: (N,) names of what must share a fold, by `merge_groups`; missing: a row of its own.
        column: (N,) ready folds, for the scheme `column`; these may part a group, which is noted.
        repeat: which draw of the same kind it is; each has a stream of its own.
        classes: C names, for notes; without them these count from 0.
    Raises:
        UserError: if the scheme does not fit the task, or there is less to part than folds.
    """
    if settings.scheme in PLAIN_SCHEMES and groups is None:
        raise UserError(
            f"folds.scheme is {settings.scheme}, but no groups are given. "
            "Name the column of groups in data.group, or use `stratified`."
        )
    groups = merge_groups(groups)
    if groups is not None and len(np.unique(groups)) == len(groups):
        groups = None  # nothing is united: the plain scheme is the more even one
    labels = _stratification_labels(targets, kind, num_bins=_num_bins(settings, len(targets)))
    scheme = _resolve_scheme(settings.scheme, kind, has_groups=groups is not None)
    if scheme == "column":
        folds = _read_folds(column, settings.column)
    else:
        units = len(targets) if groups is None else groups.max() + 1
        if units < settings.n:
            raise UserError(_too_few(units, settings.n, grouped=groups is not None))
        draw = stream_seed(seed, "folds", repeat) if repeat else stream_seed(seed, "folds")
        spread = REPEAT_SPREAD if repeat else 0.0
        how = {"num_folds": settings.n, "seed": draw, "spread": spread}
        folds = None
        if settings.scheme in ("stratified", "scenes") and groups is not None:
            named = labels[:, :0] if kind == "regression" else labels
            folds = _draw_groups(named, groups, **how) if units < FEW_GROUPS else None
        if folds is None:
            folds = _split(scheme, labels, groups, **how)
        else:
            scheme = "group"
    notes = _group_notes(folds, groups)
    if kind != "regression":
        notes += _label_notes(folds, labels, classes)
    return Assignment(folds, scheme, notes)


def merge_groups(*groupings: np.ndarray | None) -> np.ndarray | None:
    """Unite rows that share a value in any grouping, directly or through other rows.

    Args:
        groupings: each (N,) or None; a missing or blank value unites a row with no other.
    Returns:
        (N,) int group numbers in order of appearance; None where there is no grouping at all.
    """
    given = [pd.Series(grouping) for grouping in groupings if grouping is not None]
    if not given:
        return None
    num_rows = num_nodes = len(given[0])
    rows, values = [], []  # edges between a row and a node for each value it has
    for grouping in given:
        blank = grouping.isna() | (grouping.astype(str).str.strip() == "")
        codes, names = pd.factorize(grouping.mask(blank))
        present = np.flatnonzero(codes >= 0)
        rows.append(present)
        values.append(num_nodes + codes[present])
        num_nodes += len(names)
    ends = (np.concatenate(rows), np.concatenate(values))
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(num_nodes, num_nodes))
    return pd.factorize(connected_components(graph, directed=False)[1][:num_rows])[0]


def _too_few(units: int, num_folds: int, *, grouped: bool) -> str:
    """What to do where there is less to part than folds."""
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


def _resolve_scheme(scheme: str, kind: Kind, *, has_groups: bool) -> str:
    """The scheme that is meant, for this task and with or without groups."""
    if kind not in KINDS_OF_SCHEME.get(scheme, (kind,)):
        fits = " or ".join(KINDS_OF_SCHEME[scheme])
        raise UserError(
            f"folds.scheme {scheme} is for {fits} tasks, task.kind is {kind}. "
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
        return fitting.get(kind, scheme)
    return scheme


def _num_bins(settings: Folds, num_rows: int) -> int:
    """Bins that hold at least one row for each fold."""
    return max(1, min(settings.bins, num_rows // settings.n))


def _stratification_labels(targets: np.ndarray, kind: Kind, *, num_bins: int) -> np.ndarray:
    """What every fold should have its share of, (N, L) bool: classes, labels or bins of values."""
    if kind == "multilabel":
        return targets >= 0.5
    if kind == "regression":
        return np.hstack([_one_hot(_binned(values, num_bins)) for values in targets.T])
    return _one_hot(targets.argmax(axis=1), targets.shape[1])


def _binned(values: np.ndarray, num_bins: int) -> np.ndarray:
    """Number each value's bin: the value itself where there are few, else equally many rows each.

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
        return _balance_groups(labels, groups, num_folds=num_folds, seed=seed, spread=spread)
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
    """Deal each class's rows out to the folds, within one row of even.

    scikit-learn refuses where every class has fewer rows than folds (thousands of classes of two or
    three photos). One more class, with a row for each fold, makes it deal all the same.
    """
    padded = np.append(classes, np.full(num_folds, classes.max() + 1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # in notes, in our words
        splitter = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
        return _held_out(splitter, padded)[: len(classes)]


def _stratify_labels(labels: np.ndarray, *, num_folds: int, seed: int) -> np.ndarray:
    """Deal rows of several labels out, each label near even (Sechidis 2011).

    A fold without rows wants every label most, so none stays empty.
    """
    splitter = MultilabelStratifiedKFold(num_folds, shuffle=True, random_state=seed)
    return _held_out(splitter, labels)


def _draw_groups(
    labels: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int, spread: float
) -> np.ndarray | None:
    """Even out sizes alone, the rest by lot; None if that leaves folds without one of the labels.

    With few groups whose rows are alike, balanced classes make a held-out fold more like the others
    than new groups are. The squared error of a constant, three classes, 5 folds: too good by
    3.7 ± 0.4% with 15 groups, 1.2 ± 0.2% with 60, 0.7 ± 0.2% with 120; by lot -0.1 ± 0.4% with 15,
    and it varies as much.
    """
    wanted = [column for column in labels.T if len(np.unique(groups[column])) >= num_folds]
    for attempt in range(MAX_DRAWS):
        folds = _balance_groups(
            labels[:, :0],
            groups,
            num_folds=num_folds,
            seed=seed if attempt == 0 else stream_seed(seed, "attempt", attempt),
            spread=spread if attempt == 0 else REPEAT_SPREAD,
        )
        if all(len(np.unique(folds[column])) == num_folds for column in wanted):
            return folds
    return None


def _balance_groups(
    labels: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int, spread: float
) -> np.ndarray:
    """Give each group, large ones first, to the fold that stays most even by it.

    Evenness: squares of each label's counts per fold, over the square of its total, so that rare
    labels weigh most; sizes are one more label. scikit-learn's StratifiedGroupKFold has the same
    idea for one class per row; this takes any labels, and 15 microseconds a group. A fold without
    rows is always the most even choice, so none stays empty where there are groups enough.

    Args:
        spread: groups of different sizes leave nothing to the lot, so that every seed gives the
            same folds. Above 0, the turn goes by sizes up to this share smaller than they are.
    """
    with_size = np.column_stack([labels, np.ones(len(labels), dtype=bool)])
    counts = np.zeros((groups.max() + 1, with_size.shape[1]))
    np.add.at(counts, groups, with_size)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    # Equal sizes: the rarest labels first, while there is still room to even out; then by lot.
    rng = np.random.default_rng(seed)
    lot = rng.permutation(len(counts))
    sizes = counts[:, -1] * rng.uniform(1 - spread, 1, len(counts))
    order = np.lexsort([lot, -shares.max(axis=1), -sizes])
    held = np.zeros((num_folds, shares.shape[1]))
    fold_of_group = np.empty(len(counts), dtype=int)
    for group in order:
        # (held + share)^2 - held^2, less what is the same for every fold
        costs = held @ shares[group]
        # Equally even folds differ in the last bits, otherwise on each kind of processor.
        fold = np.argmax(costs <= costs.min() * (1 + TIE))
        held[fold] += shares[group]
        fold_of_group[group] = fold
    return fold_of_group[groups]


def _read_folds(column: np.ndarray | None, name: str | None) -> np.ndarray:
    """Ready-made folds as integers 0..K-1.

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
    """Say which classes some folds lack."""
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
