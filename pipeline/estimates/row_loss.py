"""Smooth losses row by row, and whether one set of predictions is surely better than another.

A metric such as accuracy or AUC is too noisy to choose by; the smooth loss that stands in for it
is not (see `loss_kind`).
"""

import numpy as np
from scipy.stats import norm, t

from pipeline.config.schema import Kind
from pipeline.metrics.named import Metric
from pipeline.metrics.scorers import EPS

STANDARD_ERRORS = 2.0
ROUNDING = 1e-9  # losses of the same predictions may differ by so much


def row_losses(
    values: np.ndarray, targets: np.ndarray, *, kind: Kind, levels: np.ndarray | None
) -> np.ndarray:
    """Return each row's log loss, or squared error of a regression or an expected level.

    Args:
        values, targets: (N, C).
        kind: see `loss_kind`.
    Returns:
        (N,); mean over columns for multilabel and regression, whose columns are first divided by
        their targets' standard deviation.
    """
    if kind == "regression":
        spread = targets.std(axis=0)
        return np.mean(((values - targets) / np.where(spread > 0, spread, 1.0)) ** 2, axis=1)
    if kind == "ordinal":
        assert levels is not None, "an ordinal task has levels"
        return ((values - targets) @ levels) ** 2
    if kind == "multilabel":
        probs = np.clip(values, EPS, 1 - EPS)
        return -np.mean(targets * np.log(probs) + (1 - targets) * np.log(1 - probs), axis=1)
    return -np.sum(targets * np.log(np.maximum(values, EPS)), axis=1)


def surely_positive(differences: np.ndarray, groups: np.ndarray | None = None) -> bool:
    """Return whether the mean of paired differences (N,) is over two standard errors above 0."""
    return bool(differences.mean() > margin(differences, groups) + ROUNDING)


def surely_knows(
    values: np.ndarray,
    targets: np.ndarray,
    *,
    kind: Kind,
    levels: np.ndarray | None,
    groups: np.ndarray | None = None,
) -> bool:
    """Return whether predictions (N, C) are over two standard errors better than a constant.

    Args:
        kind: see `loss_kind`.
    """
    how = {"kind": kind, "levels": levels}
    constant = np.tile(targets.mean(axis=0), (len(targets), 1))
    gains = row_losses(constant, targets, **how) - row_losses(values, targets, **how)
    return surely_positive(gains, groups)


def margin(differences: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Return two standard errors of the mean of differences (N,).

    Args:
        groups: (N,) rows of one group vary together. Of few groups, two standard errors become
            more, as Student's t says; of a single one they are infinite.
    """
    if groups is not None:
        _, groups = np.unique(groups, return_inverse=True)
        centred = np.bincount(groups, differences - differences.mean())
    else:
        centred = differences - differences.mean()
    units = len(centred)
    if units < 2:
        return np.inf
    error = np.sqrt(units / (units - 1) * np.sum(centred**2)) / len(differences)
    return float(t.ppf(norm.cdf(STANDARD_ERRORS), units - 1) * error)


def loss_kind(kind: Kind, metric: Metric) -> Kind:
    """The kind whose smooth loss stands in for the metric.

    Ordinal: the expected level matters where the metric looks at it, else the levels are classes.
    """
    by_level = metric.wants in ("values", "levels")
    return "multiclass" if kind == "ordinal" and not by_level else kind
