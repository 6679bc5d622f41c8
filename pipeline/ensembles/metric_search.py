"""Weights by the metric itself, without derivatives, from where the smooth loss is least."""

import numpy as np

from pipeline.core.task import Task
from pipeline.ensembles.weights import MixtureLoss, weighted_mean
from pipeline.estimates.row_loss import smooth_task
from pipeline.metrics.find_metric import Metric

STEPS = (0.2, 0.1, 0.05)
BAGS = 5  # random halves of the rows; their weights are averaged


def search_weights(
    members: np.ndarray,
    targets: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    rng: np.random.Generator,
) -> np.ndarray:
    """Find weights (M,) on the simplex of a better metric than where `MixtureLoss` is least.

    Steps go towards a member or away from it, and shrink. A metric that counts labels is full of
    small steps of its own that mean nothing; averaging over halves of the rows evens them out.
    """
    smooth = MixtureLoss.of(members, targets, smooth_task(task, metric))
    start = smooth.least()
    found = np.zeros(len(members))
    for _ in range(BAGS):
        rows = np.sort(rng.choice(len(targets), max(1, len(targets) // 2), replace=False))
        found += _descend(members[:, rows], targets[rows], start, metric, task)
    return found / BAGS


def _descend(
    members: np.ndarray, targets: np.ndarray, start: np.ndarray, metric: Metric, task: Task
) -> np.ndarray:
    def score(weights: np.ndarray) -> float:
        return metric.score(targets, weighted_mean(members, weights=weights), task)

    best, best_score = start, score(start)
    for step in STEPS:
        for m in range(len(members)):
            for change in (step, -step):
                tried = best.copy()
                tried[m] = np.clip(tried[m] + change, 0.0, 1.0)
                if tried.sum() <= 0:
                    continue
                tried = tried / tried.sum()
                tried_score = score(tried)
                if metric.is_better(tried_score, best_score):
                    best, best_score = tried, tried_score
    return best
