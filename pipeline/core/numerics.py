"""Numbers kept finite: logs of probabilities, rows of length 1, factors of least loss."""

from collections.abc import Callable

import numpy as np

from pipeline.core.task import Task

# The lowest probability before a log: one member's zero must not make all others' vanish.
EPS = 1e-6
TINY = 1e-12  # keeps logarithms and quotients finite; a smaller norm or spread is rounding


def clipped_logit(probs: np.ndarray) -> np.ndarray:
    """Return log odds of probabilities, finite."""
    from scipy.special import logit  # metrics use this module where nothing heavy is loaded

    return logit(np.clip(probs, EPS, 1 - EPS))


def clipped_log(probs: np.ndarray) -> np.ndarray:
    """Return logs of probabilities, finite."""
    return np.log(np.maximum(probs, EPS))


def best_factor(
    loss: Callable[[float], float], *, logs: tuple[float, float]
) -> tuple[float, float]:
    """Return the factor (one over a temperature) of least loss, and that loss.

    Args:
        logs: the factor's logarithm lies between these.
    Source: Guo et al. 2017, temperature scaling.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda log: loss(np.exp(log)), bounds=logs, method="bounded")
    return float(np.exp(found.x)), float(found.fun)


def standard_error(
    differences: np.ndarray, units: np.ndarray | None = None, weights: np.ndarray | None = None
) -> tuple[float, int]:
    """Return the standard error of the mean of differences (N,), infinite for one unit; and units.

    Args:
        units: (N,) rows of one vary together: a group, an image's views; None: each row alone.
        weights: (N,) of a weighted mean.
    """
    if weights is None:
        centred, total = differences - differences.mean(), len(differences)
    else:
        total = weights.sum()
        centred = weights * (differences - weights @ differences / total)
    if units is not None:
        _, units = np.unique(units, return_inverse=True)
        centred = np.bincount(units, centred)
    count = len(centred)
    if count < 2:
        return np.inf, count
    return np.sqrt(count / (count - 1) * np.sum(centred**2)) / total, count


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Divide each row (N, D) by its length; a row of zeros stays."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), TINY)


def log_scale(values: np.ndarray, task: Task) -> np.ndarray:
    """Return log odds of multilabel, logs of other probabilities, values of a regression."""
    if task.is_regression:
        return values
    return clipped_logit(values) if task.is_multilabel else clipped_log(values)
