"""Smooth losses row by row, and whether one set of predictions is surely better than another.

A metric such as accuracy or AUC is too noisy to choose by; the smooth loss that stands in for it
is not (see `smooth_task`).
"""

from dataclasses import replace

import numpy as np
from scipy.stats import norm, t

from pipeline.core.numerics import standard_error
from pipeline.core.task import Task
from pipeline.metrics.find_metric import Metric
from pipeline.metrics.scorers import EPS

STANDARD_ERRORS = 2.0
ROUNDING = 1e-9  # losses of the same predictions may differ by so much


def row_losses(values: np.ndarray, targets: np.ndarray, task: Task) -> np.ndarray:
    """Return each row's log loss, or squared error of a regression or an expected level.

    Args:
        values, targets: (N, C).
        task: see `smooth_task`.
    Returns:
        (N,); mean over columns for multilabel and regression, whose columns are first divided by
        their targets' standard deviation.
    """
    if task.is_regression:
        spread = targets.std(axis=0)
        return np.mean(((values - targets) / np.where(spread > 0, spread, 1.0)) ** 2, axis=1)
    if task.is_ordinal:
        return task.expected_levels(values - targets) ** 2
    if task.is_multilabel:
        probs = np.clip(values, EPS, 1 - EPS)
        return -np.mean(targets * np.log(probs) + (1 - targets) * np.log(1 - probs), axis=1)
    return -np.sum(targets * np.log(np.maximum(values, EPS)), axis=1)


def surely_positive(differences: np.ndarray, groups: np.ndarray | None = None) -> bool:
    """Return whether the mean of paired differences (N,) is over two standard errors above 0."""
    return bool(differences.mean() > margin(differences, groups) + ROUNDING)


def surely_knows(
    values: np.ndarray,
    targets: np.ndarray,
    task: Task,
    *,
    groups: np.ndarray | None = None,
) -> bool:
    """Return whether predictions (N, C) are over two standard errors better than a constant.

    Args:
        task: see `smooth_task`.
    """
    constant = np.tile(targets.mean(axis=0), (len(targets), 1))
    gains = row_losses(constant, targets, task) - row_losses(values, targets, task)
    return surely_positive(gains, groups)


def margin(differences: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Return two standard errors of the mean of differences (N,).

    Args:
        groups: (N,) rows of one group vary together. Of few groups, two standard errors become
            more, by Student's t; of a single one they are infinite.
    """
    error, units = standard_error(differences, groups)
    return float(t.ppf(norm.cdf(STANDARD_ERRORS), units - 1) * error) if units > 1 else np.inf


def smooth_task(task: Task, metric: Metric) -> Task:
    """Return the task whose smooth loss stands in for the metric.

    Ordinal: the expected level matters where the metric looks at it, else the levels are classes.
    """
    if task.is_ordinal and metric.wants not in ("values", "levels"):
        return replace(task, kind="multiclass")
    return task
