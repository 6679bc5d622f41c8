"""Averages of predictions of several views, or of several folds' models."""

from typing import Literal

import numpy as np

from pipeline.core.numerics import TINY
from pipeline.core.task import Task

Average = Literal["probabilities", "logits", "geometric"]


def average_values(values: np.ndarray, average: Average, *, task: Task) -> np.ndarray:
    """Average predictions over their first axis: (V, N, C) to (N, C).

    Args:
        values: probabilities, or values for regression, which always takes the plain mean.
        average: "probabilities" is the mean; "geometric" the mean of logarithms; "logits" the mean
            of log-odds (multilabel), or of logits: for classes these are log-probabilities up to a
            constant per row, so that it equals "geometric".
    Returns:
        Rows sum to 1 for single-label tasks.
    """
    if task.is_regression or average == "probabilities":
        return values.mean(0)
    logs = np.log(np.clip(values, TINY, None))
    if not task.is_multilabel:
        mean = np.exp(logs.mean(0))
        return mean / mean.sum(-1, keepdims=True)
    if average == "geometric":
        return np.exp(logs.mean(0))
    log_odds = (logs - np.log(np.clip(1 - values, TINY, None))).mean(0)
    return 1 / (1 + np.exp(-log_odds))
