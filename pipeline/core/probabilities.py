"""Probabilities: logs that stay finite, and rows that sum to 1."""

import numpy as np
from scipy.special import logit

from pipeline.config.schema import Kind

# The lowest probability before a log: one member's zero must not make all others' vanish.
EPS = 1e-6


def clipped_logit(probs: np.ndarray) -> np.ndarray:
    """Return log odds of probabilities, finite."""
    return logit(np.clip(probs, EPS, 1 - EPS))


def clipped_log(probs: np.ndarray) -> np.ndarray:
    """Return logs of probabilities, finite."""
    return np.log(np.maximum(probs, EPS))


def normalise(scores: np.ndarray, *, kind: Kind) -> np.ndarray:
    """Make (..., C) scores the task's probabilities: in [0, 1], rows sum to 1 but for multilabel.

    A row without a positive score becomes uniform. Regression values stay as they are.
    """
    if kind == "regression":
        return scores
    if kind == "multilabel":
        return np.clip(scores, 0.0, 1.0)
    positive = np.maximum(scores, 0.0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1 / scores.shape[-1])
