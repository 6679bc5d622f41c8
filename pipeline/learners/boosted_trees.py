"""Trees of other libraries than LightGBM, learning the same tasks, kept in their own formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pipeline.config.schema import Kind
from pipeline.learners.rows import TrainingRows, columns_to_learn
from pipeline.learners.trees import AXES, as_columns, booster_tasks, principal_axes

# (objective as LightGBM calls it, features, labels, weights) -> a booster as bytes
Train = Callable[[dict[str, Any], np.ndarray, np.ndarray, np.ndarray], bytes]


@dataclass(frozen=True)
class BoostedTrees:
    """Boosters on rotated features; a library's class says how one of them predicts.

    Attributes:
        centre: (D,). axes: (D, A).
        files: bytes of all boosters, uint8. ends: (B,) where each one's end.
        kind: the task's.
        learned: (C,) whether the boosters predict a column; others are always `constants` (C,).
    """

    centre: np.ndarray
    axes: np.ndarray
    files: np.ndarray
    ends: np.ndarray
    kind: Kind
    learned: np.ndarray
    constants: np.ndarray

    @classmethod
    def fit(cls, rows: TrainingRows, train: Train, *, seed: int, axes: int = AXES) -> Self:
        """Fit boosters on the first principal axes of the blocks, and on metadata as it is."""
        centre, rotation = principal_axes(rows, axes=axes, seed=seed)
        learned, constants = columns_to_learn(rows)
        boosters = [
            train(objective, (rows.features[used] - centre) @ rotation, label, weights)
            for objective, used, label, weights in booster_tasks(rows, learned)
        ]
        files = np.frombuffer(b"".join(boosters), dtype=np.uint8)
        ends = np.cumsum([len(booster) for booster in boosters], dtype=np.int64)
        return cls(centre, rotation, files, ends, rows.task.kind, learned, constants)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        rotated = (features - self.centre) @ self.axes
        starts: Sequence[int] = [0, *self.ends[:-1]]
        scores = [
            self.score(self.files[start:end].tobytes(), rotated)
            for start, end in zip(starts, self.ends, strict=False)
        ]
        values = np.tile(self.constants, (len(features), 1))
        if scores:
            values[:, self.learned] = as_columns(scores, self.kind)
        return values

    @staticmethod
    def score(booster: bytes, rotated: np.ndarray) -> np.ndarray:
        """Predict with one booster: (N, A) -> (N,), or (N, L) of several classes."""
        raise NotImplementedError
