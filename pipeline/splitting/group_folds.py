"""Folds of groups: rows that belong together are merged and assigned as a whole."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.core.runtime import stream_seed

REPEAT_SPREAD = 0.5  # in repeats, groups are ordered by size less up to this random share
MAX_DRAWS = 20
TIE = 1e-9  # relative; folds that are this near each other are equally even


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


def draw_groups(
    labels: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int, spread: float
) -> np.ndarray | None:
    """Assign groups at random with even sizes; None if that leaves folds without a label.

    With few groups whose rows are alike, balanced classes make a held-out fold more like the others
    than new groups are. The squared error of a constant, three classes, 5 folds: too good by
    3.7 ± 0.4% with 15 groups, 1.2 ± 0.2% with 60, 0.7 ± 0.2% with 120; at random, with 15,
    -0.1 ± 0.4%, and it varies as much.
    """
    wanted = [column for column in labels.T if len(np.unique(groups[column])) >= num_folds]
    for attempt in range(MAX_DRAWS):
        folds = balance_groups(
            labels[:, :0],
            groups,
            num_folds=num_folds,
            seed=seed if attempt == 0 else stream_seed(seed, "attempt", attempt),
            spread=spread if attempt == 0 else REPEAT_SPREAD,
        )
        if all(len(np.unique(folds[column])) == num_folds for column in wanted):
            return folds
    return None


def balance_groups(
    labels: np.ndarray, groups: np.ndarray, *, num_folds: int, seed: int, spread: float
) -> np.ndarray:
    """Assign each group, large ones first, to the fold that it keeps most even.

    Evenness: squares of each label's counts per fold, over the square of its total, so that rare
    labels weigh most; sizes are one more label. scikit-learn's StratifiedGroupKFold has the same
    idea for one class per row; this takes any labels, and 15 microseconds a group. A fold without
    rows is always the most even choice, so none stays empty where there are groups enough.

    Args:
        spread: at 0, groups of different sizes have one order, so that every seed gives the same
            folds. Above 0, they are ordered by size less up to this random share.
    """
    with_size = np.column_stack([labels, np.ones(len(labels), dtype=bool)])
    counts = np.zeros((groups.max() + 1, with_size.shape[1]))
    np.add.at(counts, groups, with_size)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    # Equal sizes: the rarest labels first, while there is still room to even out; then at random.
    rng = np.random.default_rng(seed)
    tie_break = rng.permutation(len(counts))
    sizes = counts[:, -1] * rng.uniform(1 - spread, 1, len(counts))
    order = np.lexsort([tie_break, -shares.max(axis=1), -sizes])
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
