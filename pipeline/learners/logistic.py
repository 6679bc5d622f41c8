"""Linear classifiers: logistic regression and linear SVM, solved for all inner folds at once."""

from collections.abc import Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.learners.linear import LinearModel, best_temperature, log_loss
from pipeline.learners.projection import rotate
from pipeline.learners.rows import TrainingRows, held_out_parts
from pipeline.learners.solver.softmax import softmax_regression
from pipeline.learners.solver.softmax_loss import Link

MOST_AXES = 6000  # beyond, finding the principal axes would cost more than it saves
PATH_TOLERANCE = 1e-6  # enough to compare penalties


def fit_logistic(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, **params: float
) -> LinearModel:
    """Fit one softmax for all classes or levels, or one sigmoid per column (multilabel).

    Args:
        strengths: penalties; of several, the one with the lowest cross-validated log loss.
        seed: unused, nothing is drawn.
        params: `tolerance` and `max_iter` of softmax_regression.
    """
    output = _output(rows, "logistic")
    learned, coefs, intercepts = _undecided(rows, output)
    strength = strengths[0]
    if learned.any():
        axes = Axes(rows)
        if len(strengths) > 1:
            of_rows, scores = held_out_scores(axes, rows, learned, strengths, link=output)
            share, targets = rows.weights[of_rows], rows.targets[of_rows][:, learned]
            losses = [share @ log_loss(one, targets, output) for one in scores]
            strength = strengths[int(np.argmin(losses))]
        coefs[:, learned], intercepts[learned] = axes.solve(
            rows.targets[:, learned], rows.weights, strength, link=output, **params
        )
    return LinearModel(coefs, intercepts, output, None, np.array([strength]))


def fit_svm(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, **params: float
) -> LinearModel:
    """Fit one linear SVM per column (squared hinge), and a temperature that makes it probabilities.

    Penalty and temperature are those with the lowest log loss of rows that inner folds held out,
    through a softmax where a row has one class, else sigmoids.

    Args: as fit_logistic's.
    """
    output = _output(rows, "svm")
    learned, coefs, intercepts = _undecided(rows, output)
    strength = strengths[0]
    if learned.any():
        axes = Axes(rows)
        of_rows, scores = held_out_scores(axes, rows, learned, strengths, link="hinge")
        share, targets = rows.weights[of_rows], rows.targets[of_rows][:, learned]
        share = share / share.sum()
        found = [best_temperature(one, targets, share, link=output) for one in scores]
        factor, _ = min(found, key=lambda pair: pair[1])
        strength = strengths[found.index((factor, _))]
        solution = axes.solve(
            rows.targets[:, learned], rows.weights, strength, link="hinge", **params
        )
        coefs[:, learned], intercepts[learned] = (factor * part for part in solution)
    return LinearModel(coefs, intercepts, output, None, np.array([strength]))


class Axes:
    """Training rows in principal axes, which suit the solver; solutions are the same in all.

    So held-out rows take no part in them.
    """

    def __init__(self, rows: TrainingRows) -> None:
        self.mean = rows.weights @ rows.features / rows.weights.sum()
        self.features = rows.features - self.mean.astype(rows.features.dtype)
        self.back: np.ndarray | None = None
        if min(self.features.shape) <= MOST_AXES:
            self.features, self.back = rotate(self.features)

    def solve(
        self, targets: np.ndarray, weights: np.ndarray, strength: float, *, link: Link, **params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefs (D, C) and intercepts (C,) for the features as they were."""
        ((coefs,),), ((intercepts,),) = softmax_regression(
            self.features, targets, weights[None], [strength], link=link, **params
        )
        coefs = coefs if self.back is None else self.back @ coefs
        return coefs, intercepts - self.mean @ coefs


def held_out_scores(
    axes: Axes,
    rows: TrainingRows,
    learned: np.ndarray,
    strengths: Sequence[float],
    *,
    link: Link,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of rows by models that did not see their fold, over as many folds as it takes.

    Returns:
        rows (n,) and their scores (S, n, C) at each penalty.
    """
    held_out = held_out_parts(rows.folds)
    coefs, intercepts = softmax_regression(
        axes.features,
        rows.targets[:, learned],
        np.where(held_out, 0, rows.weights),
        strengths,
        link=link,
        tolerance=PATH_TOLERANCE,
    )
    scores = [
        axes.features[mine] @ coefs[:, fold] + intercepts[:, fold, None]
        for fold, mine in enumerate(held_out)
    ]
    return np.concatenate([np.flatnonzero(mine) for mine in held_out]), np.concatenate(scores, 1)


def _output(rows: TrainingRows, learner: str) -> str:
    if rows.task.is_regression:
        raise UserError(f"`learner: {learner}` predicts classes; for regression use `ridge`.")
    return rows.task.link


def _undecided(rows: TrainingRows, output: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns to learn (C,), and coefs and intercepts that are right for all others.

    A class without a training row has no finite optimum; its limit is minus infinity.
    """
    mass = rows.weights @ rows.targets / rows.weights.sum()
    learned = mass > 0 if output == "softmax" else (mass > 0) & (mass < 1)
    coefs = np.zeros((rows.features.shape[1], len(mass)))
    return learned, coefs, np.where(mass > 0, np.inf, -np.inf)
