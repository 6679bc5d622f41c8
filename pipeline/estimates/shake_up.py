"""Shake-up: what a public leaderboard of a part of the test rows shows, and how little it says.

Public and private rows are two draws of what the test rows are drawn from; that the score is known
from N rows only moves both alike, and so hardly their difference.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.estimates.bootstrap import resampled_scores
from pipeline.estimates.interval import percentiles, within_limits
from pipeline.estimates.population import draw_scores
from pipeline.metrics.named import Metric


@dataclass(frozen=True)
class ShakeUp:
    """Intervals as (low, high), in the metric's unit.

    Attributes:
        public_rows, private_rows: how many of the test rows.
        public, private: of the scores on them.
        difference: of private less public score of one submission.
        noise: what the public difference of two submissions that are equally good, and as alike as
            the two that were compared, stays below; None where these two are the same.
    """

    public_rows: int
    private_rows: int
    public: tuple[float, float]
    private: tuple[float, float]
    difference: tuple[float, float]
    noise: float | None


def shake_up(
    targets: np.ndarray,
    values: np.ndarray,
    rival: np.ndarray,
    *,
    test_rows: int,
    public_share: float,
    gain: float = 0.0,
    level: float = 0.90,
    metric: Metric,
    **how: Any,
) -> ShakeUp:
    """Foretell a public leaderboard of `public_share` of the test rows, at least one of each part.

    Args:
        targets, values: (N, C), see `Metric.score`.
        rival: (N, C) another submission's out-of-fold predictions, for `noise`.
        gain: see `prediction_interval`.
        how: as for `bootstrap.resampled_scores`.
    """
    how = {"metric": metric, **how}
    rows = min(max(1, round(public_share * test_rows)), test_rows - 1)
    sizes = {"public rows": rows, "private rows": test_rows - rows}
    parts = draw_scores(targets, values, sizes=sizes, **how)
    noise = _noise(targets, values, rival, rows, level, **how)
    intervals = [
        within_limits(targets, values, part, level, gain=gain, **how) for part in parts.values()
    ]
    difference = percentiles(parts["private rows"] - parts["public rows"], level)
    return ShakeUp(*sizes.values(), *intervals, difference, noise)


def _noise(
    targets: np.ndarray, a: np.ndarray, b: np.ndarray, rows: int, level: float, **how: Any
) -> float | None:
    """What `level` of the paired differences on so many rows lie within of their mean."""
    share = min(1.0, rows / len(targets))
    scores = resampled_scores(targets, [a, b], share=share, draws="public rows", **how)
    gains = scores[0] - scores[1]
    gains = gains[~np.isnan(gains)]
    if not len(gains) or not gains.any():
        return None
    distance = np.quantile(np.abs(gains - gains.mean()), level)
    return float(distance * min(1.0, (len(targets) / rows) ** 0.5))
