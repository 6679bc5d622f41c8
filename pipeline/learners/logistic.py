"""Linear classifiers: logistic regression and linear SVM, solved for all inner folds at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.numerics import standard_error
from pipeline.errors import UserError
from pipeline.learners.linear import LinearModel, best_temperature, log_loss
from pipeline.learners.projection import rotate
from pipeline.learners.rows import TrainingRows, held_out_parts
from pipeline.learners.solver.softmax import Solution, softmax_path
from pipeline.learners.solver.softmax_loss import Link

FEWER_ROWS = 3000  # than this, and than dimensions: their own axes are found quickly
PATH_TOLERANCE = 1e-5  # enough to compare penalties
SURELY_WORSE = 3.0  # standard errors; weaker penalties would be worse still

# Scores (n, C) and targets (n, C) of held-out rows, and their shares -> a factor on scores, and the
# loss of each row (n,) with it.
Rating = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def fit_logistic(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, **params: float
) -> LinearModel:
    """Fit one softmax for all classes or levels, or one sigmoid per column (multilabel).

    Args:
        strengths: penalties; of several, the one with the lowest cross-validated log loss.
        seed: unused, nothing is drawn.
        params: `tolerance` and `max_iter` of softmax_path.
    """
    output = _output(rows, "logistic")

    def rate(scores: np.ndarray, targets: np.ndarray, share: np.ndarray) -> tuple:
        return 1.0, log_loss(scores, targets, output)

    return _fit(rows, strengths, output, output, rate if len(strengths) > 1 else None, params)


def fit_svm(
    rows: TrainingRows, *, strengths: Sequence[float], seed: int, **params: float
) -> LinearModel:
    """Fit one linear SVM per column (squared hinge), and a temperature that makes it probabilities.

    Penalty and temperature are those with the lowest log loss of rows that inner folds held out,
    through a softmax where a row has one class, else sigmoids.

    Args: as fit_logistic's.
    """
    output = _output(rows, "svm")

    def rate(scores: np.ndarray, targets: np.ndarray, share: np.ndarray) -> tuple:
        factor, _ = best_temperature(scores, targets, share, link=output)
        return factor, log_loss(factor * scores, targets, output)

    return _fit(rows, strengths, output, "hinge", rate, params)


def _fit(
    rows: TrainingRows,
    strengths: Sequence[float],
    output: Link,
    link: Link,
    rate: Rating | None,
    params: dict[str, float],
) -> LinearModel:
    """Choose a penalty where there is something to rate, and fit all rows with it."""
    learned, coefs, intercepts = _undecided(rows, output)
    choice = Choice(strengths[0])
    if learned.any():
        axes, targets = Axes(rows), rows.targets[:, learned]
        if rate is not None:
            choice = choose_strength(axes, rows, targets, strengths, link=link, rate=rate)
        solution = axes.solve(targets, rows.weights, choice, link=link, **params)
        coefs[:, learned], intercepts[learned] = (choice.factor * part for part in solution)
    return LinearModel(coefs, intercepts, output, None, np.array([choice.strength]))


@dataclass(frozen=True)
class Choice:
    """A penalty, a factor on its scores, and a solution (D, C), (C,) near that of all rows."""

    strength: float
    factor: float = 1.0
    start: Solution | None = None


class Axes:
    """Centred training rows; where they are few, in the axes that they span, which are fewer.

    Solutions are the same in all axes, so held-out rows take no part in them.
    """

    def __init__(self, rows: TrainingRows) -> None:
        self.mean = rows.weights @ rows.features / rows.weights.sum()
        self.features = rows.features - self.mean.astype(rows.features.dtype)
        self.back: np.ndarray | None = None
        if len(self.features) < min(FEWER_ROWS, self.features.shape[1]):
            self.features, self.back = rotate(self.features)

    def solve(
        self, targets: np.ndarray, weights: np.ndarray, choice: Choice, *, link: Link, **params
    ) -> Solution:
        """Coefs (D, C) and intercepts (C,) for the features as they were."""
        ((_, ((coefs,), (intercepts,))),) = softmax_path(
            *(self.features, targets, weights[None], [choice.strength]),
            link=link,
            start=choice.start,
            **params,
        )
        coefs = coefs if self.back is None else self.back @ coefs
        return coefs, intercepts - self.mean @ coefs


def choose_strength(
    axes: Axes,
    rows: TrainingRows,
    targets: np.ndarray,
    strengths: Sequence[float],
    *,
    link: Link,
    rate: Rating,
) -> Choice:
    """Choose the penalty by rows that inner folds hold out, over as many folds as it takes.

    Penalties are tried from the strongest on, until one is surely worse than the best before.

    Args:
        targets: (N, C) of the columns to learn.
    """
    parts = held_out_parts(rows.folds)
    held_out = np.concatenate([np.flatnonzero(part) for part in parts])
    share = rows.weights[held_out] / rows.weights[held_out].sum()
    best, least = Choice(strengths[0]), None
    for strength, (coefs, intercepts) in softmax_path(
        *(axes.features, targets, np.where(parts, 0, rows.weights), strengths),
        link=link,
        tolerance=PATH_TOLERANCE,
    ):
        scores = np.concatenate(
            [
                axes.features[part] @ of_fold + constants
                for part, of_fold, constants in zip(parts, coefs, intercepts, strict=True)
            ]
        )
        factor, losses = rate(scores, targets[held_out], share)
        if least is None or share @ losses < share @ least:
            start = coefs.mean(axis=0), intercepts.mean(axis=0)
            best, least = Choice(strength, factor, start), losses
            continue
        error, _ = standard_error(losses - least, weights=share)
        if share @ (losses - least) > SURELY_WORSE * error:
            break
    return best


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
