"""Shake-up: what a public leaderboard of a part of the test rows shows, and how uncertain that is.

Public and private rows are two draws of what the test rows are drawn from; that the score is known
from N rows only moves both alike, and so hardly their difference.
"""

import numpy as np

from pipeline.core.results import ShakeUp
from pipeline.core.task import Task
from pipeline.estimates.interval import percentiles, within_limits
from pipeline.estimates.paired_resampling import resampled_scores
from pipeline.estimates.population import draw_scores
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import Metric


def shake_up(
    targets: np.ndarray,
    values: np.ndarray,
    rival: np.ndarray,
    metric: Metric,
    task: Task,
    resampling: Resampling,
    *,
    rows: tuple[int, int],
    gain: float = 0.0,
) -> ShakeUp:
    """Predict what a public leaderboard shows, and how far the private one differs.

    Args:
        targets, values: (N, C), see `Metric.score`.
        rival: (N, C) another submission's out-of-fold predictions, for `noise`.
        rows: public and private ones of the test set, see `public_and_private`.
        gain: see `interval_of_test_score`.
    """
    sizes = dict(zip(("public rows", "private rows"), rows, strict=True))
    parts = draw_scores(targets, values, metric, task, resampling, sizes=sizes)
    share = min(1.0, rows[0] / len(targets))
    pair = resampled_scores(
        targets, [values, rival], metric, task, resampling, share=share, draws="public rows"
    )
    noise = _noise(pair[0] - pair[1], len(targets) / rows[0], resampling.level)
    intervals = [
        within_limits(targets, values, part, metric, task, level=resampling.level, gain=gain)
        for part in parts.values()
    ]
    difference = percentiles(parts["private rows"] - parts["public rows"], resampling.level)
    return ShakeUp(*rows, *intervals, difference, noise)


def public_and_private(test_rows: int, public_share: float) -> tuple[int, int]:
    """Return how many test rows are public and private, at least one of each."""
    public = min(max(1, round(public_share * test_rows)), test_rows - 1)
    return public, test_rows - public


def _noise(gains: np.ndarray, ratio: float, level: float) -> float | None:
    """Return what `level` of paired differences (rounds,) lie within of their mean.

    Args:
        ratio: of training rows to public rows.
    """
    gains = gains[~np.isnan(gains)]
    if not len(gains) or not gains.any():
        return None
    distance = np.quantile(np.abs(gains - gains.mean()), level)
    return float(distance * min(1.0, ratio**0.5))
