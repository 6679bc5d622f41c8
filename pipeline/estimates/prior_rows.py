"""Rows added before resampling: what few rows have not shown yet, but the next ones may.

Resamples of rows that are all right are all right, and no loss in them exceeds the worst one seen.
So what is resampled holds a little more: for shares half a row right and half a row wrong (Jeffreys
1946), for shares by class and agreement one row per class, as often right as classes are on
average; for losses a row beyond the worst one (each of the N + 1 gaps between N losses is as likely
to hold the next one, Hill 1968), as far beyond as the tail is heavy (Hill 1975); else rows of each
class with what was predicted for a row of another one, or rows of numbers with what was for any
other.
"""

import numpy as np

from pipeline.core.task import Task
from pipeline.metrics.scorers import RowMeans

BEYOND = 10  # rows that stand for the distribution beyond the worst one
SWAPPED = 10, 0.2  # rows per class with another's prediction, and what they weigh together


def prior_terms(
    function: RowMeans,
    y_true: np.ndarray,
    y_pred: np.ndarray,
    rng: np.random.Generator,
    *,
    task: Task,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Terms of the rows (N, ...), of those added (P, ...), and how many rows these stand for."""
    if function.of == "moments":
        truth, predicted, masses = swapped_rows(y_true, y_pred, rng, task=task)
        # Together, for terms may depend on which classes, or what mean, all rows have.
        both = function.terms(np.concatenate([y_true, truth]), np.concatenate([y_pred, predicted]))
        return *np.split(both, [len(y_true)]), masses
    terms = function.terms(y_true, y_pred)
    if function.of == "hits":
        return terms, np.array([0.0, 1.0]), np.array([0.5, 0.5])
    if function.of == "shares":
        return terms, *_of_shares(terms, float(function.finish(terms.mean(axis=0))))
    if function.of == "agreement":
        return terms, *_of_agreement(terms)
    losses = terms.reshape(len(terms), -1).mean(axis=1)
    worst = terms[losses.argmax()]
    return terms, np.multiply.outer(_beyond(losses), worst), np.full(BEYOND, 1 / BEYOND)


def swapped_rows(
    y_true: np.ndarray, y_pred: np.ndarray, rng: np.random.Generator, *, task: Task
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of each class, with predictions for rows of other classes: y_true, y_pred, masses.

    Args:
        y_true, y_pred: as `Metric.inputs` gives them; none has a row where there is one class only.
            Rows of a regression get those of any other row.
    """
    if task.is_regression:
        number = SWAPPED[0] if len(y_true) > 1 else 0
        rows = rng.integers(len(y_true), size=number)
        others = (rows + rng.integers(1, max(2, len(y_true)), size=number)) % len(y_true)
        return y_true[rows], y_pred[others], np.full(number, SWAPPED[1] / SWAPPED[0])
    columns = y_true.ndim == 2
    members = y_true.T == 1 if columns else [y_true == label for label in np.unique(y_true)]
    truth, predicted = [np.empty(0, dtype=int)], [np.empty(0, dtype=int)]
    for rows in members:
        if rows.any() and not rows.all():
            truth.append(rng.choice(np.flatnonzero(rows), SWAPPED[0]))
            predicted.append(rng.choice(np.flatnonzero(~rows), SWAPPED[0]))
    rows = np.concatenate(truth)
    return (
        y_true[rows],
        y_pred[np.concatenate(predicted)],
        np.full(len(rows), SWAPPED[1] / SWAPPED[0]),
    )


def _of_shares(terms: np.ndarray, score: float) -> tuple[np.ndarray, np.ndarray]:
    """Make a right row and a wrong one of each class, of the mass of one row together."""
    num_classes = terms.shape[1]
    right = _share_right(np.nan_to_num(score), num_classes)
    rows = np.zeros((2, num_classes, num_classes, 2))
    each = np.arange(num_classes)
    rows[:, each, each, 1] = 1
    rows[0, each, each, 0] = 1
    return rows.reshape(-1, num_classes, 2), np.repeat([right, 1 - right], num_classes)


def _of_agreement(terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make a right row and one taken for the next class, of each class: one row's mass together.

    Else decisions that are nearly all for one class would hardly vary: none of the few others is
    ever right, or wrong.
    """
    num_classes = terms.shape[1]
    right = _share_right(float(terms[..., 0].sum(axis=1).mean()), num_classes)
    rows, each = np.zeros((2, num_classes, num_classes, 3)), np.arange(num_classes)
    rows[:, each, each, 1] = 1
    rows[0, each, each, 0] = rows[0, each, each, 2] = 1
    rows[1, each, (each + 1) % num_classes, 2] = 1
    return rows.reshape(-1, num_classes, 3), np.repeat([right, 1 - right], num_classes)


def _share_right(score: float, num_classes: int) -> float:
    """How often a class that is not known is right, classes being so on average."""
    return (score * num_classes + 0.5) / (num_classes + 1)


def _beyond(losses: np.ndarray) -> np.ndarray:
    """How many times the worst loss rows beyond it have: middles of tenths of a Pareto tail."""
    ordered = np.sort(losses)[::-1]
    tail = min(max(2, int(len(losses) ** 0.5)), len(losses) - 1)
    if tail < 1 or ordered[tail] <= 0:
        return np.ones(BEYOND)
    # A heavier tail than this has no mean: no resample could show it.
    shape = min(1.0, float(np.mean(np.log(ordered[:tail] / ordered[tail]))))
    return ((np.arange(BEYOND) + 0.5) / BEYOND) ** -shape
