"""LightGBM on the principal axes of the concatenation: the same trees for the same seed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from scipy.linalg import block_diag
from sklearn.decomposition import PCA

from pipeline.config.schema import Kind
from pipeline.core.task import Task
from pipeline.learners.half_rows import HalfRows
from pipeline.learners.rows import TrainingRows, columns_to_learn

# Trees that split thousands of correlated dimensions are slow and weak: the first principal axes
# gave a better log loss in a small part of the time.
AXES = 64
ENOUGH_ROWS = 2**16  # to find the axes, where features do not fit into 32 bits
ROWS_PER_THREAD = 10_000
SMALLEST_SHARE = 1e-3  # of a soft row in a class; less is not worth a row
DEFAULTS: dict[str, Any] = {
    "num_iterations": 200,
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 5,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass(frozen=True)
class TreesModel:
    """Boosters on rotated features.

    Attributes:
        centre: (D,). axes: (D, A).
        boosters: one for classes or levels, one per learned column else.
        kind: the task's.
        learned: (C,) whether the boosters predict a column; others are always `constants` (C,).
    """

    centre: np.ndarray
    axes: np.ndarray
    boosters: list[lgb.Booster]
    kind: Kind
    learned: np.ndarray
    constants: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        rotated = (features - self.centre) @ self.axes
        scores = [
            booster.predict(rotated, num_threads=num_threads(len(features)))
            for booster in self.boosters
        ]
        values = np.tile(self.constants, (len(features), 1))
        if scores:
            values[:, self.learned] = as_columns(scores, self.kind)
        return values


def as_columns(scores: list[np.ndarray], kind: Kind) -> np.ndarray:
    """Return what boosters of `booster_tasks` predict as columns (N, L) of what they learned."""
    if not Task(kind).has_one_class_per_row:
        return np.stack(scores, axis=1)
    of_classes = scores[0]
    if of_classes.ndim == 1:  # of two classes a booster returns the second one's
        of_classes = np.stack([1 - of_classes, of_classes], axis=1)
    return of_classes


def fit_lightgbm(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, axes: int = AXES, **params: Any
) -> TreesModel:
    """Boost trees on the first principal axes of the blocks, and on metadata as it is.

    Args:
        strengths: the L2 penalty of leaves, `lambda_l2`; the first one is taken.
        axes: how many principal axes.
        params: LightGBM's, over DEFAULTS.
    """
    centre, rotation = principal_axes(rows, axes=axes, seed=seed)
    learned, constants = columns_to_learn(rows)
    boosters = [
        lgb.train(
            {
                **DEFAULTS,
                "lambda_l2": strengths[0],
                "seed": seed,
                "num_threads": num_threads(len(rows.features)),
                **objective,
                **params,
            },
            lgb.Dataset((rows.features[used] - centre) @ rotation, label, weight=weights),
        )
        for objective, used, label, weights in booster_tasks(rows, learned)
    ]
    return TreesModel(centre, rotation, boosters, rows.task.kind, learned, constants)


def principal_axes(rows: TrainingRows, *, axes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the features' first axes, metadata columns as they are: a centre (D,) and (D, A)."""
    num_rotated = rows.features.shape[1] - rows.num_columns
    if not num_rotated:
        return np.zeros(rows.num_columns), np.eye(rows.num_columns)
    features = rows.features
    if isinstance(features, HalfRows):
        features = np.asarray(features[:: -(-len(features) // ENOUGH_ROWS)])
    to_rotate = features[:, :num_rotated]
    pca = PCA(min(axes, *to_rotate.shape), svd_solver="randomized", random_state=seed)
    pca.fit(to_rotate)
    centre = np.concatenate([pca.mean_, np.zeros(rows.num_columns)])
    return centre, block_diag(pca.components_.T, np.eye(rows.num_columns))


def booster_tasks(
    rows: TrainingRows, learned: np.ndarray
) -> list[tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]]:
    """List what each booster learns: its objective, rows (indices), labels and weights.

    Classes and levels: one multiclass booster; a soft row becomes weighted hard ones. (Levels by
    regression on their values were worse in squared error too.) Two classes and multilabel
    columns: cross-entropy, which takes soft targets as they are.
    """
    targets, used = rows.targets[:, learned], np.flatnonzero(rows.weights)
    weights = rows.weights[used]
    if not learned.any():
        return []
    if rows.task.is_regression:
        return [({"objective": "regression"}, used, column[used], weights) for column in targets.T]
    if rows.task.is_multilabel or targets.shape[1] == 2:
        columns = targets.T if rows.task.is_multilabel else targets.T[1:]
        return [({"objective": "cross_entropy"}, used, column[used], weights) for column in columns]
    parents, classes = np.nonzero(targets[used] > SMALLEST_SHARE)
    objective = {"objective": "multiclass", "num_class": targets.shape[1]}
    shares = targets[used][parents, classes]
    return [(objective, used[parents], classes, weights[parents] * shares)]


def num_threads(num_rows: int) -> int:
    """Threads that pay: over few rows they only wait for each other, long on a busy machine."""
    return min(1 + num_rows // ROWS_PER_THREAD, os.cpu_count() or 1)
