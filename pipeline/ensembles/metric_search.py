"""Weights by the metric itself, without derivatives, from where the smooth loss is least."""

import numpy as np

from pipeline.config.schema import Kind
from pipeline.ensembles.weights import MixtureLoss, weighted_mean
from pipeline.estimates.row_loss import loss_kind
from pipeline.metrics.named import Metric

STEPS = (0.2, 0.1, 0.05)
BAGS = 5  # random halves of the rows; their weights are averaged


def search_weights(
    members: np.ndarray,
    targets: np.ndarray,
    *,
    kind: Kind,
    metric: Metric,
    levels: np.ndarray | None,
    threshold: float = 0.5,
    rng: np.random.Generator,
) -> np.ndarray:
    """Find weights (M,) on the simplex of a better metric than where `MixtureLoss` is least.

    Steps go towards a member or away from it, and shrink. A metric that counts labels is full of
    small steps of its own that mean nothing; averaging over halves of the rows evens them out.
    """
    smooth = MixtureLoss.of(members, targets, kind=loss_kind(kind, metric), levels=levels)
    start = smooth.least()
    how = {"kind": kind, "levels": levels, "threshold": threshold}
    found = np.zeros(len(members))
    for _ in range(BAGS):
        rows = np.sort(rng.choice(len(targets), max(1, len(targets) // 2), replace=False))
        found += _descend(members[:, rows], targets[rows], start, metric, how)
    return found / BAGS


def _descend(
    members: np.ndarray, targets: np.ndarray, start: np.ndarray, metric: Metric, how: dict
) -> np.ndarray:
    def score(weights: np.ndarray) -> float:
        return metric.score(targets, weighted_mean(members, weights=weights), **how)

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
