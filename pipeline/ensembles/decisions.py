"""Decision rules fitted to a metric: thresholds, cut-points for kappa, factors of classes.

A rule is kept as a rising function of predictions (or of their odds), so that deciding as always
(at the config's threshold, by the likeliest class, by the nearest level) decides by the rule.
Estimate, submission and report then need no rule of their own, and layers of several folds' rules
can be averaged.
"""

from collections.abc import Callable

import numpy as np

from pipeline.core.levels import interpolate_levels
from pipeline.core.task import Task
from pipeline.ensembles.class_factors import fit_class_factors, fit_joint_thresholds
from pipeline.ensembles.thresholds import (
    EDGE,
    fit_column_thresholds,
    fit_common_threshold,
    fit_pooled_threshold,
    fit_threshold,
    move_threshold,
)
from pipeline.metrics.find_metric import Metric
from pipeline.metrics.scorers import RowMeans

Rule = Callable[[np.ndarray], np.ndarray]  # (N, C) -> (N, C)

BAGS = 5  # bootstrap samples that cut-points are the mean of
CANDIDATES = 30  # positions tried for each cut-point, between its neighbours
PASSES = 3
CLASS_LOSSES = ("f1_macro", "balanced_accuracy")  # metrics that factors of classes are fitted to


def has_rule(metric: Metric, task: Task) -> bool:
    """Whether another decision than the usual may do the metric good, and there is one to fit."""
    if task.kind == "multiclass":
        return metric.name in CLASS_LOSSES
    if not isinstance(metric.function, RowMeans):
        return False
    if task.is_ordinal:
        return metric.wants == "levels"
    if metric.wants != "labels":
        return False
    if task.is_binary:  # shares of right rows want the likelier class
        return metric.function.of != "hits" and metric.average != "micro"
    return task.is_multilabel and (metric.average != "" or metric.name == "accuracy")


def fit_rule(
    values: np.ndarray,
    targets: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    rng: np.random.Generator,
) -> Rule:
    """Fit the decision that `has_rule` names to predictions (N, C) of rows not trained on."""
    if task.is_ordinal:
        expected, wanted = task.expected_levels(values), task.expected_levels(targets)
        cuts = fit_cuts(expected, wanted, task.levels, metric=metric, rng=rng)
        return lambda probs: move_cuts(probs, cuts, task.levels)
    if task.is_binary:
        found = fit_threshold(targets[:, 1], values[:, 1], function=metric.function, rng=rng)
        return lambda probs: _two_columns(move_threshold(probs[:, 1], found, to=0.5))
    if task.kind == "multiclass":
        factors = fit_class_factors(values, targets, goal=metric.name, rng=rng)
        return lambda probs: task.normalise(probs * factors)
    if metric.name == "accuracy":
        found = fit_joint_thresholds(values, targets, plain=task.threshold, rng=rng)
    else:
        fit = {"micro": fit_pooled_threshold, "samples": fit_common_threshold}
        fit_all = fit.get(metric.average, fit_column_thresholds)
        found = fit_all(targets, values, function=metric.function, rng=rng)
    return lambda probs: move_threshold(probs, found, to=task.threshold)


def _two_columns(positive: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive, positive], axis=1)


def fit_cuts(
    expected: np.ndarray,
    wanted: np.ndarray,
    levels: np.ndarray,
    *,
    metric: Metric,
    rng: np.random.Generator,
) -> np.ndarray:
    """Find the C - 1 expectations at which one level gives way to the next: rising.

    They start where the levels' shares are those of the truth, and move one by one. Only moves
    that gain are made; the mean over bootstrap samples is taken.
    """
    found = []
    for _ in range(BAGS):
        rows = rng.integers(len(expected), size=len(expected))
        found.append(_cuts_of(expected[rows], wanted[rows], levels, metric))
    return np.mean(found, axis=0)


def _cuts_of(
    expected: np.ndarray, wanted: np.ndarray, levels: np.ndarray, metric: Metric
) -> np.ndarray:
    def score(cuts: np.ndarray) -> float:
        return metric.function(wanted, levels[np.searchsorted(cuts, expected, side="right")])

    middles = (levels[1:] + levels[:-1]) / 2
    below = np.array([np.mean(wanted <= level) for level in levels[:-1]])
    starts = [middles, np.maximum.accumulate(np.quantile(expected, below))]
    best = max(starts, key=lambda cuts: np.nan_to_num(score(cuts), nan=-np.inf))
    best_score = score(best)
    for _ in range(PASSES):
        before = best_score
        for c in range(len(best)):
            low = best[c - 1] if c else levels[0]
            high = best[c + 1] if c + 1 < len(best) else levels[-1]
            for cut in np.linspace(low, high, CANDIDATES + 2)[1:-1]:
                tried = best.copy()
                tried[c] = cut
                if metric.is_better(tried_score := score(tried), best_score):
                    best, best_score = tried, tried_score
        if best_score == before:
            break
    return best


def move_cuts(probs: np.ndarray, cuts: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Give rows (N, C) the expectation whose nearest level is the one that the cut-points name."""
    middles = (levels[1:] + levels[:-1]) / 2
    rising = np.clip(cuts, levels[0], levels[-1])
    gaps = EDGE * (levels[-1] - levels[0]) * np.arange(1, len(cuts) + 1)
    at = np.concatenate([[levels[0]], rising + gaps, [levels[-1] + gaps[-1] + gaps[0]]])
    moved = np.interp(probs @ levels, at, np.concatenate([[levels[0]], middles, [levels[-1]]]))
    return interpolate_levels(moved, levels)
