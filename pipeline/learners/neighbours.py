"""Nearest neighbours by cosine: the training rows most alike vote, the closer the louder."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from pipeline.config.competition import Link
from pipeline.config.schema import Kind
from pipeline.core.numerics import unit_rows
from pipeline.core.task import Task
from pipeline.learners.rows import TrainingRows, columns_to_learn
from pipeline.metrics.scorers import EPS

COUNTS = (5, 10, 20, 40, 80)  # of neighbours, tried inside the fold
TEMPERATURES = (0.02, 0.05, 0.1, 0.3)  # in cosine: how much closer is e times as loud
ROWS_AT_ONCE = 1024  # of similarities to all training rows


@dataclass(frozen=True)
class NeighboursModel:
    """Training rows and how they vote.

    Attributes:
        rows: (N, D) of length 1. targets: (N, C). weights: (N,) mean 1.
        k: neighbours that vote. temperature: a vote is exp(cosine / temperature).
        kind: the task's.
        learned: (C,) whether a column is voted on; others are always `constants` (C,).
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    k: int
    temperature: float
    kind: Kind
    learned: np.ndarray
    constants: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        nearest, cosines = nearest_rows(unit_rows(features), self.rows, k=self.k)
        return np.where(self.learned, self.vote(nearest, cosines), self.constants)

    def vote(self, nearest: np.ndarray, cosines: np.ndarray) -> np.ndarray:
        """Return the neighbours' weighted mean target: (n, C).

        Where targets are classes, all training rows together vote once, as the last neighbour:
        nothing is impossible because a few rows agree.

        Args:
            nearest: (n, k) training rows, closest first. cosines: (n, k).
        """
        votes = np.exp((cosines - cosines[:, :1]) / self.temperature)
        weighted = votes * self.weights[nearest]
        sums = np.einsum("nk,nkc->nc", weighted, self.targets[nearest])
        total = weighted.sum(axis=1)
        if not Task(self.kind).is_regression:
            prior = self.weights @ self.targets / self.weights.sum()
            sums, total = sums + votes[:, -1:] * prior, total + votes[:, -1]
        return sums / total[:, None]


def fit_neighbours(
    rows: TrainingRows,
    *,
    strengths: Sequence[float],
    seed: int,
    k: int | None = None,
    temperature: float | None = None,
) -> NeighboursModel:
    """Keep the rows; choose k and temperature by rows of other inner folds.

    Args:
        strengths, seed: unused, nothing is penalised or drawn.
        k, temperature: None for the one that suits best: least log loss, or squared error.
    """
    features, targets = unit_rows(rows.features), rows.targets.astype(np.float64)
    weights = rows.weights / rows.weights.mean()
    columns = columns_to_learn(rows)
    counts = [min(count, len(features)) for count in ([k] if k else COUNTS)]
    temperatures = [temperature] if temperature else TEMPERATURES
    choices = [
        NeighboursModel(features, targets, weights, count, at, rows.task.kind, *columns)
        for count, at in product(counts, temperatures)
    ]
    if len(choices) == 1:
        return choices[0]
    nearest, cosines = nearest_rows(features, features, k=max(counts), folds=rows.folds)
    errors = [
        weights
        @ error(model.vote(nearest[:, : model.k], cosines[:, : model.k]), targets, rows.task.link)
        for model in choices
    ]
    return choices[int(np.argmin(errors))]


def error(values: np.ndarray, targets: np.ndarray, link: Link) -> np.ndarray:
    """(N,) what a prediction misses: log loss, or squared error in units of the target's spread."""
    if link == "identity":
        spread = np.maximum(targets.var(axis=0), np.finfo(float).tiny)
        return ((values - targets) ** 2 / spread).mean(axis=1)
    losses = -targets * np.log(np.maximum(values, EPS))
    if link == "sigmoid":
        losses -= (1 - targets) * np.log(np.maximum(1 - values, EPS))
    return losses.sum(axis=1)


def nearest_rows(
    queries: np.ndarray, rows: np.ndarray, *, k: int, folds: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k rows of the highest cosine with each query, closest first, and the cosines.

    Args:
        folds: (N,) where queries are the rows themselves; those of one fold do not see each other
            unless too few others are left.
    """
    nearest, cosines = [], []
    for first in range(0, len(queries), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        similar = queries[part] @ rows.T
        if folds is not None:
            similar[folds[part, None] == folds] = -1
        found = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        of_found = np.take_along_axis(similar, found, axis=1).astype(np.float64)
        order = np.argsort(-of_found, axis=1, kind="stable")
        nearest.append(np.take_along_axis(found, order, axis=1))
        cosines.append(np.take_along_axis(of_found, order, axis=1))
    return np.concatenate(nearest), np.concatenate(cosines)
