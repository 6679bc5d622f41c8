"""The constant that a metric likes best: what is predicted by who has seen no image."""

from typing import Any

import numpy as np

from pipeline.config.schema import Kind
from pipeline.core.metrics import Metric

CLASSES_TRIED = 10  # the most frequent ones


def best_constant(targets: np.ndarray, *, kind: Kind, metric: Metric, **scoring: Any) -> np.ndarray:
    """Return the row (C,) that scores best when it is predicted for all targets (N, C).

    Classes: their shares, or one class alone. Multilabel: shares, or all labels. Numbers: mean,
    median, or the mean of logarithms. Of equals, the first.

    Args:
        scoring: levels and threshold, as `Metric.score` takes them.
    """
    candidates = [targets.mean(axis=0)]
    if kind == "regression":
        candidates.append(np.median(targets, axis=0))
        if targets.min() >= 0:
            candidates.append(np.expm1(np.log1p(targets).mean(axis=0)))
    elif kind == "multilabel":
        candidates.append(np.ones(targets.shape[1]))
    else:
        frequent = np.argsort(-candidates[0], kind="stable")[:CLASSES_TRIED]
        candidates += list(np.eye(targets.shape[1])[np.sort(frequent)])
    scores = [
        metric.score(targets, np.tile(row, (len(targets), 1)), kind=kind, **scoring)
        for row in candidates
    ]
    return candidates[metric.best(scores)]


def cross_fit_constant(targets: np.ndarray, folds: np.ndarray, **how: Any) -> np.ndarray:
    """Return each row's best constant of the other folds' targets: (N, C).

    Args:
        folds: (N,). how: as `best_constant` takes it.
    """
    values = np.empty(targets.shape)
    for fold in np.unique(folds):
        values[folds == fold] = best_constant(targets[folds != fold], **how)
    return values
