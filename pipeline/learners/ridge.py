"""Ridge regression in closed form, its penalty chosen by exact residuals of held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.learners.linear import LinearModel, Output, best_temperature
from pipeline.learners.projection import rotate
from pipeline.learners.rows import TrainingRows


def fit_ridge(rows: TrainingRows, *, strengths: Sequence[float], seed: int) -> LinearModel:
    """Fit sum_i w_i |y_i - x_i W - b|^2 + strength |W|^2 in closed form, for all kinds.

    Classes and labels are -1/2 and 1/2; a softmax or sigmoid makes probabilities of the scores,
    with the temperature that suits held-out ones. Ordinal: the level's value, interpolated.

    Args:
        strengths: penalties; of several, the one with the lowest cross-validated log loss or,
            where values are predicted, squared error; each regression target has its own.
        seed: unused, nothing is drawn.
    """
    task = rows.task
    output: Output = "levels" if task.is_ordinal else task.link
    if output == "levels":
        values = rows.targets @ task.levels[:, None]
    else:
        values = rows.targets if output == "identity" else rows.targets - 0.5
    share = rows.weights / rows.weights.sum()
    problem = RotatedRows.of(rows, values)
    factors, losses = np.ones(len(strengths)), np.zeros((len(strengths), values.shape[1]))
    for index, strength in enumerate(strengths):
        residuals = problem.held_out_residuals(strength)
        if output in ("softmax", "sigmoid"):  # one loss for all columns, which share a penalty
            factors[index], losses[index] = best_temperature(
                values - residuals, rows.targets, share, link=output
            )
        else:
            losses[index] = share @ residuals**2
    choice = losses.argmin(axis=0)
    strength, factor = np.array(strengths)[choice], factors[choice]
    coefs = problem.back @ (problem.moments / (problem.energy[:, None] + strength)) * factor
    intercepts = problem.value_mean * factor - problem.feature_mean @ coefs
    if output in ("softmax", "sigmoid"):
        mass = share @ rows.targets
        certain = mass == 0 if output == "softmax" else (mass == 0) | (mass == 1)
        coefs[:, certain], intercepts[certain] = 0, np.where(mass > 0, np.inf, -np.inf)[certain]
    return LinearModel(coefs, intercepts, output, task.levels, strength)


def held_out_predictions(
    rows: TrainingRows, values: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Predict values (N, K) of each row by the ridge without its inner fold, (N, K).

    Each column has the penalty of the least squared error.
    """
    share, problem = rows.weights / rows.weights.sum(), RotatedRows.of(rows, values)
    residuals = np.stack([problem.held_out_residuals(strength) for strength in strengths])
    best = np.einsum("n,snk->sk", share, residuals**2).argmin(axis=0)
    return values - np.take_along_axis(residuals, best[None, None], axis=0)[0]


@dataclass(frozen=True)
class RotatedRows:
    """Weighted rows in their principal axes, and what a ridge for some values needs of them.

    Attributes:
        rotated: (N, R). back: (D, R). root: (N, 1) of weights. folds: (N,).
        feature_mean: (D,). value_mean: (K,). centred: (N, K) values, weighted.
        energy: (R,) of each axis. moments: (R, K) of axes with values.
    """

    rotated: np.ndarray
    back: np.ndarray
    root: np.ndarray
    folds: np.ndarray
    feature_mean: np.ndarray
    value_mean: np.ndarray
    centred: np.ndarray
    energy: np.ndarray
    moments: np.ndarray

    @classmethod
    def of(cls, rows: TrainingRows, values: np.ndarray) -> Self:
        """Rotate rows, for values (N, K)."""
        share, root = rows.weights / rows.weights.sum(), np.sqrt(rows.weights)[:, None]
        feature_mean, value_mean = share @ rows.features, share @ values
        rotated, back = rotate(root * (rows.features - feature_mean).astype(np.float64))
        centred = root * (values - value_mean)
        energy, moments = np.sum(rotated**2, axis=0), rotated.T @ centred
        return cls(
            *(rotated, back, root, rows.folds, feature_mean, value_mean, centred, energy, moments)
        )

    def held_out_residuals(self, strength: float) -> np.ndarray:
        """Return residuals (N, K) of each row under the ridge fitted without its fold."""
        return held_out_residuals(
            *(self.rotated, self.energy + strength, self.moments, self.centred),
            root=self.root,
            folds=self.folds,
        )


def held_out_residuals(
    rotated: np.ndarray,
    penalised_energy: np.ndarray,
    moments: np.ndarray,
    centred: np.ndarray,
    *,
    root: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """(N, C) residuals of each row under the ridge fitted without its fold, without refitting.

    With the hat matrix H of all rows, intercept included, the residuals r of a held-out fold f are
    (I - H_ff)^-1 r_f, exactly (leave-one-out's identity for blocks: Hastie 2009, 7.10). Where the
    fold has more rows than axes, H_ff = A A' is inverted by A' A (Woodbury).
    """
    left = np.append(rotated / np.sqrt(penalised_energy), root / np.sqrt(np.sum(root**2)), axis=1)
    residuals = centred - rotated @ (moments / penalised_energy[:, None])
    held_out = np.zeros_like(residuals)
    for fold in np.unique(folds):
        mine = folds == fold
        part, of_fold = left[mine], residuals[mine]
        if len(part) <= part.shape[1]:
            held_out[mine] = np.linalg.solve(np.eye(len(part)) - part @ part.T, of_fold)
        else:
            inner = np.linalg.solve(np.eye(part.shape[1]) - part.T @ part, part.T @ of_fold)
            held_out[mine] = of_fold + part @ inner
    return np.divide(held_out, root, out=np.zeros_like(held_out), where=root > 0)
