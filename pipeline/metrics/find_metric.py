"""Metrics by name: what each wants to see, which direction is better, and the score itself.

Importing this module loads numpy only: names and directions are needed wherever work is listed.
"""

import re
from collections.abc import Sequence
from typing import get_args

import numpy as np

from pipeline.config.own_parts import ITEMS
from pipeline.config.schema import Kind, Scale, Task
from pipeline.core.scale import logs_are_symmetric
from pipeline.errors import UserError, did_you_mean
from pipeline.metrics.kaggle_names import depends_on_kind, kaggle_name
from pipeline.metrics.metric import Metric
from pipeline.metrics.own import import_metric, metric_digest
from pipeline.metrics.patterns import ALIASES, PATTERNS
from pipeline.metrics.registry import METRICS, OF_AVERAGE

__all__ = [
    "METRICS_OF_KIND",
    "SUMMARIES",
    "Metric",
    "get_metric",
    "metric_digest",
    "scale_of",
    "task_metric",
]

_SHOWN: dict[str, Metric] = METRICS | {pattern.shown: pattern.metric for pattern in PATTERNS}
METRICS_OF_KIND: dict[str, list[str]] = {
    kind: [name for name, metric in _SHOWN.items() if kind in metric.kinds]
    for kind in get_args(Kind)
}
OF_MEDIANS = ("absolute", "symmetric")  # row errors
SUMMARIES: dict[str, str] = {name: metric.summary for name, metric in _SHOWN.items()}


def task_metric(task: Task, classes: Sequence[str] | None = None) -> Metric:
    """Find the task's metric, with its weights of classes.

    Args:
        classes: (C,) names, in order; None: weights are left out, for they are not known yet.
    Raises:
        UserError: as `get_metric` does, and where weights are missing or name no class.
    """
    metric = get_metric(
        task.metric, task.kind, greater_is_better=task.greater_is_better, wants=task.wants
    )
    if task.class_weights is None:
        if metric.needs_weights:
            raise UserError(
                f"task.metric: {metric.name} needs the weight of each class. Say which count for "
                "more or less than 1, e.g. `task: {class_weights: {NAME: 2.0}}`."
            )
        return metric
    if metric.weigh is None:
        knowing = [
            name for name, known in METRICS.items() if known.weigh and task.kind in known.kinds
        ]
        raise UserError(
            f"task.class_weights: {metric.name} takes no class weights; leave them out, or "
            f"use one of {', '.join(knowing)}."
        )
    if classes is None:
        return metric
    if unknown := [name for name in task.class_weights if name not in classes]:
        raise UserError(
            f"task.class_weights: no class {unknown[0]!r}{did_you_mean(unknown[0], classes)}"
        )
    if not any(task.class_weights.get(name, 1.0) for name in classes):
        raise UserError("task.class_weights: all are 0; give some class or column a weight.")
    return metric.weighted(np.array([task.class_weights.get(name, 1.0) for name in classes]))


def scale_of(task: Task, metric: Metric, targets: np.ndarray) -> Scale:
    """Return the scale of a regression's targets (N, C) between the files.

    The metric's, if it has one. Else log1p where the metric asks for medians, which a monotone
    transform keeps, and logarithms take most of the targets' skewness: blends, too, then work where
    errors are symmetric. It looks at the distribution of targets alone, at no image.
    """
    if task.transform == "none" or not task.is_regression:
        return "none"
    fits = task.transform == "log1p" or (task.transform == "auto" and logs_are_symmetric(targets))
    return "log1p" if metric.row_error in OF_MEDIANS and fits else metric.scale


def get_metric(
    name: str, kind: Kind, *, greater_is_better: bool | None = None, wants: str | None = None
) -> Metric:
    """Find a metric by its name, an alias, Kaggle's name, a plugin's, or `module:function`.

    Args:
        greater_is_better, wants: what the config declares of a function of the user's own, see
            `metrics.own`.
    Raises:
        UserError: if it is unknown, not importable, does not fit the task, or is a function of the
            user's own that does not say what it is.
    """
    if ":" in name or name in ITEMS["metric"]:
        return import_metric(name, kind, greater_is_better=greater_is_better, wants=wants)
    metric = _of_registry(name)
    if metric is None and not depends_on_kind(name):
        metric = _of_registry(kaggle_name(name, kind))
    if metric is None:
        raise UserError(_unknown(name, kind))
    if kind not in metric.kinds:
        if averages := _averages(metric.name, kind):
            raise UserError(
                f"task.metric: {metric.name} is of two classes, but task.kind is {kind}: say how "
                f"it is averaged, {averages} (`make config` lists all metrics)."
            )
        raise UserError(
            f"task.metric: {metric.name} is for {', '.join(sorted(metric.kinds))} tasks, "
            f"but task.kind is {kind}. For {kind}: {', '.join(METRICS_OF_KIND[kind])}."
        )
    return metric


def is_known(name: str) -> bool:
    """Return whether a metric of ours has a name, or answers to it."""
    return _of_registry(name) is not None


def _of_registry(name: str) -> Metric | None:
    canonical = ALIASES.get(_plain(name), _plain(name))
    if canonical in METRICS:
        return METRICS[canonical]
    found = (pattern.find(canonical) for pattern in PATTERNS)
    return next((metric for metric in found if metric is not None), None)


def _plain(name: str) -> str:
    return re.sub(r"_+", "_", re.sub(r"[\s-]", "_", name.strip().lower().replace("@", "_at_")))


def _averages(name: str, kind: Kind) -> str:
    """Return in words which averages a metric of two classes has; "" if it has none."""
    found = (_of_registry(f"{name}_{average}") for average in OF_AVERAGE if average)
    *first, last = ["", *(metric.name for metric in found if metric and kind in metric.kinds)]
    return f"{', '.join(first[1:])} or {last}" if last else ""


def _unknown(name: str, kind: Kind) -> str:
    if depends_on_kind(name) and (ours := kaggle_name(name, kind)):
        return (
            f"task.metric: {name!r} has several forms; did you mean `{ours}`, or another of them "
            "(`make config` lists all metrics)?"
        )
    shown = [pattern.shown.replace("_K", "_3") for pattern in PATTERNS]
    known = [*METRICS, *ALIASES, *ITEMS["metric"], *shown]
    return (
        f"task.metric: {name!r} is unknown; for {kind} there are "
        f"{', '.join((*METRICS_OF_KIND[kind], *ITEMS['metric']))} (capital letters stand for "
        "numbers), and module:function of your own"
        f"{did_you_mean(_plain(name), known, most=3, list_all=False)}"
    )
