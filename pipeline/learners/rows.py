"""The rows that a learner is fitted on, their balanced weights, and their inner folds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pipeline.core.task import Task
from pipeline.errors import UserError

ENOUGH_HELD_OUT = 1000  # enough rows to compare settings; more folds would only cost time


@dataclass(frozen=True)
class TrainingRows:
    """What every learner is fitted on; each uses what it needs.

    Attributes:
        features: (N, D) concatenated, or a `HalfRows`; the last `num_columns` dimensions are what
            is stacked, and metadata.
        targets: (N, C) in the form of the task, may be soft.
        weights: (N,) not negative, not all 0.
        folds: (N,) inner folds, for what is chosen or calibrated inside the training rows.
    """

    features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    task: Task
    folds: np.ndarray
    num_columns: int

    def of(self, chosen: np.ndarray) -> "TrainingRows":
        """Return some of the rows, or some several times: positions."""
        names = ("features", "targets", "weights", "folds")
        return self.having(**{name: getattr(self, name)[chosen] for name in names})

    def having(self, **arrays: np.ndarray) -> "TrainingRows":
        """Return the rows with other features, targets, weights or folds."""
        return replace(self, **arrays)


def chosen_rows(
    chosen: np.ndarray, blocks: Mapping[str, np.ndarray], *arrays: np.ndarray | None
) -> tuple:
    """Return some rows, by position or mask, of blocks and of arrays; None stays None."""
    some = {name: block[chosen] for name, block in blocks.items()}
    return some, *(None if array is None else array[chosen] for array in arrays)


def columns_to_learn(rows: TrainingRows) -> tuple[np.ndarray, np.ndarray]:
    """Which columns are not the same in all rows (C,), and what the others are always (C,)."""
    mass = rows.weights @ rows.targets / rows.weights.sum()
    if rows.task.is_regression:
        return np.ones(len(mass), dtype=bool), mass
    return (mass > 0) & (mass < 1), (mass > 0).astype(float)


def balanced(
    targets: np.ndarray, weights: np.ndarray, *, task: Task
) -> tuple[np.ndarray, np.ndarray]:
    """Rescale rows so that all classes have the same mass; the total stays the same.

    Returns:
        (N, C) targets, moved only where they are soft: each class's share counts by its own factor;
        and (N,) weights.
    Raises:
        UserError: where a row has not one class.
    """
    if not task.has_one_class_per_row:
        raise UserError(
            f"`class_weights: balanced` needs one class per row, but the task is {task.kind}. "
            "Remove it from the member."
        )
    mass = weights @ targets
    per_class = np.divide(weights.sum(), mass * np.sum(mass > 0), where=mass > 0, out=mass.copy())
    factors = targets @ per_class
    return targets * per_class / factors[:, None], weights * factors


def inner_folds(
    targets: np.ndarray, *, num_folds: int, groups: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Deal rows (or whole groups) sorted by class or value out to folds, so each has its share.

    Args:
        targets: (N, C). groups: (N,) rows that must stay together, or None.
    Returns:
        (N,) int, 0 ... num_folds - 1.
    """
    _, member = np.unique(
        np.arange(len(targets)) if groups is None else groups, return_inverse=True
    )
    means = np.zeros((member.max() + 1, targets.shape[1]))
    np.add.at(means, member, targets)
    means /= np.bincount(member)[:, None]
    ranked = means.argmax(axis=1) if targets.shape[1] > 1 else means[:, 0]
    order = np.lexsort((rng.random(len(means)), ranked))
    fold_of_group = np.empty(len(means), dtype=int)
    fold_of_group[order] = np.arange(len(means)) % num_folds
    return fold_of_group[member]


def held_out_parts(folds: np.ndarray) -> np.ndarray:
    """(F, N) bool: the rows that each inner fold holds out, of as many folds as it takes."""
    sizes = np.cumsum(np.bincount(folds))
    num_folds = 1 + np.searchsorted(sizes[:-1], ENOUGH_HELD_OUT)
    return folds == np.arange(num_folds)[:, None]
