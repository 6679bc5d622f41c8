"""Errors of a regression that grow with the prediction: seen out of fold, and said once."""

import numpy as np

from pipeline.core.results import GrowingErrors

ALPHA = 0.001  # over all target columns
LEAST_CORRELATION = 0.2  # less is of no use to know


def growth_of_errors(oof: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return (C,) rank correlations of |target - prediction| with the prediction, 0 if not sure.

    Args:
        oof, targets: (N, C).
    """
    from scipy.stats import spearmanr  # a run with nothing to do needs none

    found = np.zeros(oof.shape[1])
    for column, (values, truth) in enumerate(zip(oof.T, targets.T, strict=True)):
        errors = np.abs(truth - values)
        if len(values) < 3 or np.ptp(values) == 0 or np.ptp(errors) == 0:
            continue
        correlation, p = spearmanr(errors, values)
        if p < ALPHA / len(found) and correlation > LEAST_CORRELATION:
            found[column] = correlation
    return found


def growing_errors_text(one: GrowingErrors) -> str:
    """Return what was seen, and what to try."""
    advice = (
        "try `task.transform: log1p` (or quantile), and members that differ most there"
        if one.scale == "none"
        else "large values are less sure even on log1p; try metadata or members that know them"
    )
    return (
        f"errors of {one.target} grow with its prediction (rank correlation "
        f"{one.correlation:.2f}): {advice}."
    )
