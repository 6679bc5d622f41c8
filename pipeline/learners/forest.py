"""Extra trees on the principal axes of the concatenation, kept as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from pipeline.learners.rows import TrainingRows, columns_to_learn
from pipeline.learners.trees import AXES, num_threads, principal_axes

DEFAULTS: dict[str, Any] = {"n_estimators": 200, "min_samples_leaf": 1, "max_features": 1.0}
ROWS_AT_ONCE = 2048


@dataclass(frozen=True)
class ForestModel:
    """Trees on rotated features; node i of all trees together asks or, if `left` is -1, answers.

    Attributes:
        centre: (D,). axes: (D, A).
        roots: (T,) each tree's first node. feature, threshold, left, right: (nodes,).
        values: (nodes, L) of the learned columns.
        learned: (C,) whether the trees predict a column; others are always `constants` (C,).
    """

    centre: np.ndarray
    axes: np.ndarray
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray
    learned: np.ndarray
    constants: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        predicted = np.tile(self.constants, (len(features), 1))
        if self.learned.any():
            rotated = ((features - self.centre) @ self.axes).astype(np.float32)
            parts = np.array_split(rotated, -(-len(rotated) // ROWS_AT_ONCE))
            predicted[:, self.learned] = np.concatenate([self._mean_leaf(part) for part in parts])
        return predicted

    def _mean_leaf(self, rotated: np.ndarray) -> np.ndarray:
        rows = np.arange(len(rotated))[:, None]
        nodes = np.tile(self.roots, (len(rotated), 1))
        while (asks := self.left[nodes] >= 0).any():
            goes_left = rotated[rows, self.feature[nodes]] <= self.threshold[nodes]
            below = np.where(goes_left, self.left[nodes], self.right[nodes])
            nodes = np.where(asks, below, nodes)
        return self.values[nodes].mean(axis=1, dtype=np.float64)


def fit_extra_trees(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, **params: Any
) -> ForestModel:
    """Fit trees whose splits are drawn at random, for all columns together.

    Classes are targets of 0 and 1 like any other: the mean of squared errors in a node is half
    its Gini impurity, a leaf's mean its classes' shares. So soft targets need no hard rows.

    Args:
        strengths: unused, there is no penalty.
        params: of ExtraTreesRegressor, over DEFAULTS.
    Source: Geurts et al. 2006.
    """
    centre, rotation = principal_axes(rows, axes=AXES, seed=seed)
    learned, constants = columns_to_learn(rows)
    targets = rows.targets[:, learned]
    if not learned.any():
        empty = np.zeros(0, dtype=np.int32)
        return ForestModel(centre, rotation, *(empty,) * 5, np.zeros((0, 0)), learned, constants)
    size = targets.std(axis=0) if rows.task.is_regression else np.ones(targets.shape[1])
    size = np.where(size > 0, size, 1)  # targets of any unit count alike
    forest = ExtraTreesRegressor(
        **(DEFAULTS | params), random_state=seed, n_jobs=num_threads(len(targets))
    )
    rotated = (rows.features - centre) @ rotation
    forest.fit(rotated, (targets / size).squeeze(), sample_weight=rows.weights)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]

    def joined(name: str, kind: type) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in trees]).astype(kind)

    def moved(name: str) -> np.ndarray:
        """Child's positions among the nodes of all trees; a leaf keeps its -1."""
        children = [getattr(tree, name) for tree in trees]
        pairs = zip(children, roots, strict=True)
        return np.concatenate([np.where(c < 0, -1, c + root) for c, root in pairs]).astype(np.int32)

    return ForestModel(
        centre,
        rotation,
        roots.astype(np.int32),
        joined("feature", np.int32),
        joined("threshold", np.float64),
        moved("children_left"),
        moved("children_right"),
        (joined("value", np.float64)[:, :, 0] * size).astype(np.float32),
        learned,
        constants,
    )
