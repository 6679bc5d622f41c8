"""Scores of numbers: errors row by row, and ratios of means of products (correlation, kappa).

y_true and y_pred are (N,), or (N, C) for several target columns, whose scores are averaged.
"""

import numpy as np

from pipeline.core.numerics import TINY
from pipeline.metrics.scorers import as_columns, mean_of_defined

EPS = np.finfo(np.float64).eps  # of a target of 0, in relative errors, as scikit-learn has it


def absolute_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Of each value, as (N, C)."""
    return np.abs(as_columns(y_true) - as_columns(y_pred))


def squared_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Of each value, as (N, C)."""
    return np.square(as_columns(y_true) - as_columns(y_pred))


def squared_log_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C), of log(1 + value), values of at least 0."""
    return squared_errors(np.log1p(y_true), np.log1p(y_pred))


def relative_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C) absolute errors as shares of the target's size."""
    return absolute_errors(y_true, y_pred) / np.maximum(np.abs(as_columns(y_true)), EPS)


def squared_relative_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C)."""
    return relative_errors(y_true, y_pred) ** 2


def symmetric_relative_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C) absolute errors in per cent of the mean size of target and prediction; 0 / 0 is 0.

    Source: the SMAPE of Makridakis 1993, as leaderboards have it.
    """
    errors = absolute_errors(y_true, y_pred)
    sizes = (np.abs(as_columns(y_true)) + np.abs(as_columns(y_pred))) / 2
    return 100 * np.divide(errors, sizes, out=np.zeros_like(errors), where=sizes > 0)


def mean_over_columns(columns: np.ndarray) -> np.ndarray:
    """Mean over the last axis, of numbers (..., C) per target column."""
    return columns.mean(axis=-1)


def root_mean(means: np.ndarray) -> np.ndarray:
    """Mean squares (..., C) as the mean over columns of their roots."""
    return mean_over_columns(np.sqrt(means))


def median_absolute_error(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Mean over columns of the median of absolute errors."""
    return float(np.median(absolute_errors(y_true, y_pred), axis=0).mean())


def kappa_terms(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, 5): the moments that `kappa` needs."""
    return np.stack([y_true, y_pred, y_true**2, y_pred**2, y_true * y_pred], axis=1).astype(float)


def moments(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C, 5): as `kappa_terms`, of each column less its mean target, for precision."""
    y_true, y_pred = as_columns(y_true), as_columns(y_pred)
    return _products(y_true - y_true.mean(axis=0), y_pred - y_true.mean(axis=0))


def pooled_moments(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C, 5): as `moments`, less the mean of all columns, so that columns can be pooled."""
    return _products(as_columns(y_true) - y_true.mean(), as_columns(y_pred) - y_true.mean())


def kappa(means: np.ndarray) -> np.ndarray:
    """1 - observed / expected squared disagreement, as moments (Cohen 1968, quadratic weights).

    With levels 0, 1, 2 ... it equals the confusion matrix's; other levels count by their distance.
    Of numbers it is the concordance correlation coefficient (Lin 1989).
    """
    a, b, aa, bb, ab = np.moveaxis(means, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = aa + bb - 2 * a * b
        return np.where(expected > TINY, 1 - (aa + bb - 2 * ab) / expected, np.nan)


def concordance(means: np.ndarray) -> np.ndarray:
    """Mean over columns of `kappa`, of moments (..., C, 5)."""
    return mean_of_defined(kappa(means))


def pearson(means: np.ndarray) -> np.ndarray:
    """Mean over columns of the correlation, of moments (..., C, 5).

    A constant prediction correlates with nothing: 0. Constant targets leave it undefined.
    """
    a, b, aa, bb, ab = np.moveaxis(means, -1, 0)
    of_targets, of_values = aa - a**2, bb - b**2
    spread = np.sqrt(np.maximum(of_targets, 0) * np.maximum(of_values, 0))
    varies = of_values > TINY * np.maximum(bb, TINY)
    found = np.divide(ab - a * b, spread, out=np.zeros_like(ab), where=varies & (spread > 0))
    found = np.where(_varies(of_targets, aa), np.clip(found, -1, 1), np.nan)
    return mean_of_defined(found)


def r2(means: np.ndarray) -> np.ndarray:
    """Mean over columns of the share of variance that is explained, of moments (..., C, 5)."""
    a, _, aa, bb, ab = np.moveaxis(means, -1, 0)
    spread = aa - a**2
    with np.errstate(invalid="ignore", divide="ignore"):
        explained = 1 - (aa + bb - 2 * ab) / spread
    return mean_of_defined(np.where(_varies(spread, aa), explained, np.nan))


def pooled_r2(means: np.ndarray, *, weights: np.ndarray | None) -> np.ndarray:
    """R2 of all columns' values together, of `pooled_moments` (..., C, 5).

    Args:
        weights: (C,) of columns, or None: all alike.
    """
    weights = np.ones(means.shape[-2]) if weights is None else weights
    a, _, aa, bb, ab = np.moveaxis(means, -1, 0) @ (weights / weights.sum())
    spread = aa - a**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(_varies(spread, aa), 1 - (aa + bb - 2 * ab) / spread, np.nan)


def linear_kappa_terms(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, L, 4) of L gaps between levels: is below, is predicted below, both differ, the gap."""
    levels = np.unique(np.concatenate([y_true, y_pred]))
    levels = np.append(levels, levels[-1])  # of one level, too, there is a gap
    truth, found = (y[:, None] <= levels[:-1] for y in (y_true, y_pred))
    gaps = np.broadcast_to(np.diff(levels).astype(float), truth.shape)
    return np.stack([truth, found, truth != found, gaps], axis=-1)


def linear_kappa(means: np.ndarray) -> np.ndarray:
    """1 - observed / expected absolute disagreement, of means (..., L, 4): linear weights."""
    truth, found, differ, gaps = np.moveaxis(means, -1, 0)
    observed = (differ * gaps).sum(axis=-1)
    expected = ((truth * (1 - found) + found * (1 - truth)) * gaps).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > TINY, 1 - observed / expected, np.nan)


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a, b, a**2, b**2, a * b], axis=-1).astype(float)


def _varies(spread: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Whether a variance is more than rounding of the mean square."""
    return spread > TINY * np.maximum(square, TINY)
