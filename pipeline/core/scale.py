"""The scale of a regression's targets and predictions between the files, and their skewness.

Files of the competition, and what a person sees, have the target's own unit.
"""

import warnings

import numpy as np
from scipy.stats import kurtosis, skew

from pipeline.config.competition import Scale

LARGEST_LOG = 700.0  # its exponential is still a number
LOG_MARGIN = 0.25  # of the range of training targets' logarithms
SKEWED, HEAVY = 1.0, 3.0  # skewness, excess kurtosis: an exponential distribution has 2 and 6


def to_scale(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Bring values in the target's own unit to a scale; log1p takes what is below 0 as 0."""
    return values if scale == "none" else np.log1p(np.maximum(values, 0.0))


def from_scale(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Bring values on a scale to the target's own unit."""
    return values if scale == "none" else np.expm1(np.minimum(values, LARGEST_LOG))


def clip_logs(values: np.ndarray, targets: np.ndarray, scale: Scale) -> np.ndarray:
    """Keep logarithms (..., n, C) near training targets (N, C): an exponential goes far.

    Values in the target's own unit stay as they are.
    """
    if scale == "none":
        return values
    low, high = targets.min(axis=0), targets.max(axis=0)
    margin = LOG_MARGIN * (high - low)
    return np.clip(values, np.maximum(low - margin, 0.0), high + margin)


def logs_are_symmetric(targets: np.ndarray) -> bool:
    """Return whether log1p takes most of the skewness of each column of targets (N, C)."""
    if targets.min() < 0:
        return False
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings(action="ignore"):
        before, after = skew(targets, axis=0), skew(np.log1p(targets), axis=0)
    return bool(((before > SKEWED) & (np.abs(after) < before / 2)).all())


def is_skewed(targets: np.ndarray) -> bool:
    """Return whether any column of targets (N, C) is far from symmetric, or has heavy tails."""
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings(action="ignore"):
        skewed = np.abs(skew(targets, axis=0)) > SKEWED
        return bool((skewed | (kurtosis(targets, axis=0) > HEAVY)).any())
