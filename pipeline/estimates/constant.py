"""The constant that a metric likes best: the baseline without any image."""

import numpy as np

from pipeline.core.task import Task
from pipeline.metrics.find_metric import Metric

CLASSES_TRIED = 10  # the most frequent ones
QUANTILES = np.linspace(0.05, 0.95, 19)  # of numbers: relative errors want a low one


def best_constant(targets: np.ndarray, metric: Metric, task: Task) -> np.ndarray:
    """Return the row (C,) that scores best when it is predicted for all targets (N, C).

    Classes: their shares, one class alone, or all alike; shares and all alike by the metric's
    weights, too. Multilabel: shares, all labels, or the most frequent ones. Numbers: mean, median,
    the mean of logarithms, or a quantile. Of equals, the first.
    """
    candidates = [targets.mean(axis=0)]
    if task.is_regression:
        candidates.append(np.median(targets, axis=0))
        if targets.min() >= 0:
            candidates.append(np.expm1(np.log1p(targets).mean(axis=0)))
        candidates += list(np.quantile(targets, QUANTILES, axis=0))
    elif task.is_multilabel:
        candidates.append(np.ones(targets.shape[1]))
        frequent = np.argsort(-candidates[0], kind="stable")[:CLASSES_TRIED]
        candidates += list(np.tri(len(frequent)) @ np.eye(targets.shape[1])[frequent])
    else:
        frequent = np.argsort(-candidates[0], kind="stable")[:CLASSES_TRIED]
        candidates += list(np.eye(targets.shape[1])[np.sort(frequent)])
        even, weights = np.ones(targets.shape[1]), metric.class_weights
        candidates += [row / row.sum() for row in (even, *_by_weight(candidates[0], weights))]
    scores = [metric.score(targets, np.tile(row, (len(targets), 1)), task) for row in candidates]
    return candidates[metric.best(scores)]


def _by_weight(shares: np.ndarray, weights: tuple[float, ...]) -> list[np.ndarray]:
    """Shares (C,), and equal ones, times the weights of classes, where they have some."""
    rows = [shares * weights, np.array(weights)] if weights else []
    return [row for row in rows if row.sum() > 0]


def cross_fit_constant(
    targets: np.ndarray, folds: np.ndarray, metric: Metric, task: Task
) -> np.ndarray:
    """Return each row's best constant of the other folds' targets: (N, C).

    Args:
        folds: (N,).
    """
    values = np.empty(targets.shape)
    for fold in np.unique(folds):
        values[folds == fold] = best_constant(targets[folds != fold], metric, task)
    return values
