"""Ordinal levels: a number as probabilities of its two neighbouring levels."""

import numpy as np


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
