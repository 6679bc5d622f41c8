"""How sure a score is, how sure the score of hidden test rows is, and which of two is better.

All by `bootstrap.resampled_scores`, whose arguments (metric, kind, levels, groups, seed ...) each
function here takes and hands on.
"""

from typing import Any

import numpy as np

from pipeline.core.metrics import Metric
from pipeline.ensembles.bootstrap import resampled_scores


def bootstrap_interval(
    targets: np.ndarray, values: np.ndarray, *, level: float = 0.90, **how: Any
) -> tuple[float, float]:
    """Find the interval that holds `level` of the scores on resampled rows: of the score itself.

    Args:
        targets, values: (N, C), see `Metric.score`.
    Returns:
        (low, high), both NaN if the metric is undefined on every resample.
    """
    (scores,) = resampled_scores(targets, [values], **how)
    return percentiles(scores, level)


def prediction_interval(
    targets: np.ndarray,
    values: np.ndarray,
    *,
    test_rows: int,
    gain: float = 0.0,
    level: float = 0.90,
    metric: Metric,
    **how: Any,
) -> tuple[float, float]:
    """Find the interval that the score of `test_rows` hidden rows falls into with `level`.

    Two errors add up: the score is measured on N rows only, and the test set is itself a draw. Of
    100 test rows the second rules, of 1,000,000 the first alone is left. What the test rows' score
    is biased by their number (F1 of few rows is low) is in it. It ends at the perfect score.

    Args:
        targets, values: (N, C), see `Metric.score`.
        test_rows: size of the test set.
        gain: how much higher the score is of what predicts test rows, see `averaging_gain`.
    Returns:
        (low, high), both NaN if the metric is undefined on every resample.
    """
    how = {"metric": metric, **how}
    errors, of_tests = deviations(targets, values, sizes={"test rows": test_rows}, **how)
    return around_score(targets, values, gain + np.add.outer(errors, *of_tests), level, **how)


def deviations(
    targets: np.ndarray, values: np.ndarray, *, sizes: dict[str, int], **how: Any
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw how far scores lie from their mean: of N rows, and of test sets of other `sizes`.

    A resample never has more rows than there are: beyond, scores of n rows differ from the mean as
    those of N do, times the root of N / n.

    Returns:
        Of N rows (rounds,), and of each size (rounds,), from streams named as it is; where the
        metric is undefined, nothing is left of a resample.
    """
    num_rows = len(targets)
    (scores,) = resampled_scores(targets, [values], **how)
    scores = scores[~np.isnan(scores)]
    centre = scores.mean() if len(scores) else np.nan
    found = []
    for name, rows in sizes.items():
        share = min(1.0, rows / num_rows)
        (drawn,) = resampled_scores(targets, [values], share=share, draws=name, **how)
        found.append((drawn[~np.isnan(drawn)] - centre) * min(1.0, (num_rows / rows) ** 0.5))
    return scores - centre, found


def around_score(
    targets: np.ndarray,
    values: np.ndarray,
    spread: np.ndarray,
    level: float,
    *,
    metric: Metric,
    **how: Any,
) -> tuple[float, float]:
    """The middle `level` of the score plus its `spread` (any shape), ended at a perfect score."""
    scoring = {key: how[key] for key in ("kind", "levels", "threshold") if key in how}
    low, high = percentiles(metric.score(targets, values, **scoring) + spread.ravel(), level)
    perfect = metric.score(targets, targets.astype(float), **scoring)
    end = np.fmin if metric.greater_is_better else np.fmax
    return float(end(low, perfect)), float(end(high, perfect))


def probability_better(
    targets: np.ndarray,
    values_a: np.ndarray,
    values_b: np.ndarray,
    *,
    metric: Metric,
    level: float = 0.90,
    **how: Any,
) -> tuple[float, float, float]:
    """Compare a with b on the same resampled rows (paired), arguments as in `bootstrap_interval`.

    Returns:
        (probability, low, high): the share of resamples where a beats b, ties counting half, and
        the interval of how much better a is, in the metric's unit; above 0 means that a is better
        even where the metric is better low.
    """
    a, b = resampled_scores(targets, [values_a, values_b], metric=metric, **how)
    gains = a - b if metric.greater_is_better else b - a
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        return np.nan, np.nan, np.nan
    return float(np.mean(gains > 0) + np.mean(gains == 0) / 2), *percentiles(gains, level)


def percentiles(scores: np.ndarray, level: float) -> tuple[float, float]:
    """The ends of the middle `level` of the scores that are defined; NaN if none is."""
    defined = scores[~np.isnan(scores)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
