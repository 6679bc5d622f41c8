"""Probabilities: logs that stay finite, and rows that sum to 1."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logit

from pipeline.core.task import Task

# The lowest probability before a log: one member's zero must not make all others' vanish.
EPS = 1e-6


def clipped_logit(probs: np.ndarray) -> np.ndarray:
    """Return log odds of probabilities, finite."""
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
    found = minimize_scalar(lambda log: loss(np.exp(log)), bounds=logs, method="bounded")
    return float(np.exp(found.x)), float(found.fun)


def log_scale(values: np.ndarray, task: Task) -> np.ndarray:
    """Return log odds of multilabel, logs of other probabilities, values of a regression."""
    if task.is_regression:
        return values
    return clipped_logit(values) if task.is_multilabel else clipped_log(values)
