"""The scale of a regression's targets and predictions between the files, and their skewness.

Files of the competition, and what a person sees, have the target's own unit.
"""

import numpy as np

from pipeline.config.competition import Scale
from pipeline.core.numerics import TINY

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


def clip_to_targets(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Move predictions (..., n, C) into the range of training targets (N, C), column by column."""
    return np.clip(values, targets.min(axis=0), targets.max(axis=0))


def logs_are_symmetric(targets: np.ndarray) -> bool:
    """Return whether log1p takes most of the skewness of each column of targets (N, C)."""
    if targets.min() < 0:
        return False
    before, after = _standard_moment(targets, 3), _standard_moment(np.log1p(targets), 3)
    return bool(((before > SKEWED) & (np.abs(after) < before / 2)).all())


def is_skewed(targets: np.ndarray) -> bool:
    """Return whether any column of targets (N, C) is far from symmetric, or has heavy tails."""
    skewness, excess = _standard_moment(targets, 3), _standard_moment(targets, 4) - 3
    return bool(((np.abs(skewness) > SKEWED) | (excess > HEAVY)).any())


def _standard_moment(columns: np.ndarray, power: int) -> np.ndarray:
    """(C,) of columns (N, C); without SciPy, which a list of metrics must not wait for."""
    centred, spread = columns - columns.mean(axis=0), columns.std(axis=0)
    varies = spread > TINY * np.abs(columns).max(axis=0, initial=0)
    scaled = np.divide(centred, spread, out=np.zeros(centred.shape), where=varies)
    return np.mean(scaled**power, axis=0)
