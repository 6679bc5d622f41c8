"""Linear learners: logistic and ridge, their L2 penalty chosen inside the training rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logsumexp, softmax

from pipeline.config.errors import UserError
from pipeline.core.levels import interpolate_levels
from pipeline.core.targets import ONE_CLASS_PER_ROW
from pipeline.learners.rows import TrainingRows
from pipeline.learners.softmax import Link, softmax_regression

Output = Literal["softmax", "sigmoid", "identity", "levels"]
ENOUGH_HELD_OUT = 1000  # rows that tell penalties apart; more folds would only cost time
RIDGE_OUTPUT: dict[str, Output] = {
    "binary": "softmax",
    "multiclass": "softmax",
    "multilabel": "sigmoid",
    "ordinal": "levels",
    "regression": "identity",
}


@dataclass(frozen=True)
class LinearModel:
    """Scores `features @ coefs + intercepts`, and what makes predictions of them.

    Attributes:
        coefs: (D, C); (D, 1) for `levels`.
        intercepts: (C,); -inf or inf says that a class never or always occurred in training.
        output: the function from scores to predictions.
        levels: (C,) where output is `levels`.
        strength: (C,) or (1,) penalties in use, for the log.
    """

    coefs: np.ndarray
    intercepts: np.ndarray
    output: Output
    levels: np.ndarray | None
    strength: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        scores = features @ self.coefs.astype(features.dtype) + self.intercepts
        if self.output == "softmax":
            return softmax(scores, axis=1)
        if self.output == "sigmoid":
            return expit(scores)
        if self.output == "levels":
            return interpolate_levels(scores[:, 0], self.levels)
        return scores


def fit_logistic(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, **params: float
) -> LinearModel:
    """Fit one softmax for all classes or levels, or one sigmoid per column (multilabel).

    Args:
        strengths: penalties; of several, the one with the lowest cross-validated log loss.
        seed: unused, nothing is drawn.
        params: `tolerance` and `max_iter` of softmax_regression.
    """
    if rows.kind == "regression":
        raise UserError("`learner: logistic` predicts classes; for regression use `ridge`.")
    link: Link = "softmax" if rows.kind in ONE_CLASS_PER_ROW else "sigmoid"
    mass = rows.weights @ rows.targets / rows.weights.sum()
    learned = mass > 0 if link == "softmax" else (mass > 0) & (mass < 1)
    coefs = np.zeros((rows.features.shape[1], len(mass)))
    # A class without a training row has no finite optimum; its limit is minus infinity.
    intercepts = np.where(mass > 0, np.inf, -np.inf)
    strength = strengths[0]
    if learned.any():
        if len(strengths) > 1:
            losses = cross_validated_losses(rows, learned, strengths, link=link)
            strength = strengths[int(losses.argmin())]
        (coefs[:, learned],), (intercepts[learned],) = softmax_regression(
            rows.features, rows.targets[:, learned], rows.weights, [strength], link=link, **params
        )
    return LinearModel(coefs, intercepts, link, None, np.array([strength]))


def cross_validated_losses(
    rows: TrainingRows, learned: np.ndarray, strengths: Sequence[float], *, link: Link
) -> np.ndarray:
    """(S,) log loss of each penalty, summed over the rows of as many inner folds as it takes."""
    targets, losses = rows.targets[:, learned], np.zeros(len(strengths))
    for fold in np.unique(rows.folds):
        held_out = rows.folds == fold
        path = softmax_regression(
            rows.features[~held_out],
            targets[~held_out],
            rows.weights[~held_out],
            strengths,
            link=link,
            tolerance=1e-6,  # enough to compare penalties
        )
        for index, (coefs, intercepts) in enumerate(zip(*path, strict=True)):
            scores = rows.features[held_out] @ coefs + intercepts
            losses[index] += rows.weights[held_out] @ log_loss(scores, targets[held_out], link)
        if np.count_nonzero(rows.folds <= fold) >= ENOUGH_HELD_OUT:
            break
    return losses


def log_loss(scores: np.ndarray, targets: np.ndarray, link: Link) -> np.ndarray:
    """(N,) cross-entropy of scores against (soft) targets, both (N, C), summed over columns."""
    partition = logsumexp(scores, axis=1) if link == "softmax" else np.logaddexp(0, scores).sum(1)
    return partition - (targets * scores).sum(axis=1)


def fit_ridge(rows: TrainingRows, *, strengths: Sequence[float], seed: int) -> LinearModel:
    """Fit sum_i w_i |y_i - x_i W - b|^2 + strength |W|^2 in closed form, for all kinds.

    Classes and labels are -1/2 and 1/2; a softmax or sigmoid makes probabilities of the scores,
    with the temperature that suits held-out ones. Ordinal: the level's value, interpolated.

    Args:
        strengths: penalties; of several, the one with the lowest cross-validated log loss or,
            where values are predicted, squared error; each regression target has its own.
        seed: unused, nothing is drawn.
    """
    output = RIDGE_OUTPUT[rows.kind]
    if output == "levels":
        values = rows.targets @ rows.levels[:, None]
    else:
        values = rows.targets if output == "identity" else rows.targets - 0.5
    share = rows.weights / rows.weights.sum()
    feature_mean, value_mean = share @ rows.features, share @ values
    root = np.sqrt(rows.weights)[:, None]
    rotated, back = rotate(root * (rows.features - feature_mean))
    centred = root * (values - value_mean)
    energy, moments = np.sum(rotated**2, axis=0), rotated.T @ centred
    factors, losses = np.ones(len(strengths)), np.zeros((len(strengths), values.shape[1]))
    for index, strength in enumerate(strengths):
        residuals = held_out_residuals(
            rotated, energy + strength, moments, centred, root=root, folds=rows.folds
        )
        if output in ("softmax", "sigmoid"):  # one loss for all columns, which share a penalty
            factors[index], losses[index] = best_temperature(
                values - residuals, rows.targets, share, link=output
            )
        else:
            losses[index] = share @ residuals**2
    choice = losses.argmin(axis=0)
    strength, factor = np.array(strengths)[choice], factors[choice]
    coefs = back @ (moments / (energy[:, None] + strength)) * factor
    intercepts = value_mean * factor - feature_mean @ coefs
    if output in ("softmax", "sigmoid"):
        mass = share @ rows.targets
        certain = mass == 0 if output == "softmax" else (mass == 0) | (mass == 1)
        coefs[:, certain], intercepts[certain] = 0, np.where(mass > 0, np.inf, -np.inf)[certain]
    return LinearModel(coefs, intercepts, output, rows.levels, strength)


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
    (I - H_ff)^-1 r_f, exactly (leave-one-out's identity for blocks: Hastie 2009, 7.10).
    """
    left = rotated / np.sqrt(penalised_energy)
    residuals = centred - rotated @ (moments / penalised_energy[:, None])
    held_out = np.zeros_like(residuals)
    for fold in np.unique(folds):
        mine = folds == fold
        hat = left[mine] @ left[mine].T + root[mine] @ root[mine].T / np.sum(root**2)
        held_out[mine] = np.linalg.solve(np.eye(len(hat)) - hat, residuals[mine])
    return np.divide(held_out, root, out=np.zeros_like(held_out), where=root > 0)


def rotate(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Express rows (N, D) in their R <= min(N, D) principal axes: L2 penalties stay the same.

    Returns:
        rotated (N, R) with orthogonal columns, and back (D, R): coefs = back @ rotated coefs.
    """
    rows = rows.astype(np.float64)
    wide = rows.shape[1] > rows.shape[0]
    energy, vectors = np.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    kept = energy > 1e-10 * max(energy[-1], np.finfo(float).tiny)
    if not wide:
        return rows @ vectors[:, kept], vectors[:, kept]
    size = np.sqrt(energy[kept])
    return vectors[:, kept] * size, rows.T @ (vectors[:, kept] / size)


def best_temperature(
    scores: np.ndarray, targets: np.ndarray, share: np.ndarray, *, link: Link
) -> tuple[float, float]:
    """The factor on scores (N, C) that makes the mean log loss least, and that loss.

    Source: Guo et al. 2017, temperature scaling; ours is fitted to cross-validated scores.
    """

    def mean_loss(log_factor: float) -> float:
        return share @ log_loss(np.exp(log_factor) * scores, targets, link)

    found = minimize_scalar(mean_loss, bounds=(-3, 5), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
