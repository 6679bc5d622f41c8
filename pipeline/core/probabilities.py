"""Probabilities: logs that stay finite, and rows that sum to 1."""

import numpy as np
from scipy.special import logit

from pipeline.core.task import Task

# A probability is lifted to this before its log: one member's hard zero must not veto all others.
EPS = 1e-6


def clipped_logit(probs: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, finite."""
    return logit(np.clip(probs, EPS, 1 - EPS))


def clipped_log(probs: np.ndarray) -> np.ndarray:
    """Log of probabilities, finite."""
    return np.log(np.maximum(probs, EPS))


def log_scale(values: np.ndarray, task: Task) -> np.ndarray:
    """Return log odds of multilabel, logs of other probabilities, values of a regression."""
    if task.is_regression:
        return values
    return clipped_logit(values) if task.is_multilabel else clipped_log(values)
