"""From scores to the one form of predictions, and from several views to one."""

from typing import Literal

import numpy as np

Average = Literal["probabilities", "logits", "geometric"]
EPS = 1e-7  # zeros are lifted to it before a logarithm

ONE_CLASS_PER_ROW = ("binary", "multiclass", "ordinal")


def interpolate_levels(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Split each value between its two neighbouring levels, so that the expectation is the value.

    Args:
        values: (N,), clipped to the levels' range.
        levels: (C,) ascending, C >= 2.
    Returns:
        (N, C), rows sum to 1, at most two entries are not 0.
    """
    values = np.clip(values, levels[0], levels[-1])
    upper = np.clip(np.searchsorted(levels, values), 1, len(levels) - 1)
    share = (values - levels[upper - 1]) / (levels[upper] - levels[upper - 1])
    probs = np.zeros((len(values), len(levels)))
    rows = np.arange(len(values))
    probs[rows, upper - 1] = 1 - share
    probs[rows, upper] = share
    return probs


def average_views(view_values: np.ndarray, *, kind: str, average: Average) -> np.ndarray:
    """Average predictions over views: (N, V, C) -> (N, C), in the form of the kind.

    `geometric` averages log probabilities; where one class is true per row it is renormalised and
    equals `logits`. Values of a regression are averaged as they are.
    """
    if kind == "regression" or average == "probabilities" or view_values.shape[1] == 1:
        return view_values.mean(axis=1)
    probs = np.clip(view_values, EPS, 1 - EPS)
    if kind in ONE_CLASS_PER_ROW:
        product = np.exp(np.log(probs).mean(axis=1))
        return product / product.sum(axis=1, keepdims=True)
    if average == "geometric":
        return np.exp(np.log(probs).mean(axis=1))
    return 1 / (1 + np.exp(-(np.log(probs) - np.log1p(-probs)).mean(axis=1)))
