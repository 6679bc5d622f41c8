"""How sure a score is, how sure the score of hidden test rows is, and which of two is better.

By `population.draw_scores`, and for two of them by `paired_resampling.resampled_scores`.
"""

import logging

import numpy as np

from pipeline.core.task import Task
from pipeline.estimates.paired_resampling import resampled_scores
from pipeline.estimates.population import draw_scores
from pipeline.estimates.resampling import Resampling
from pipeline.estimates.row_loss import smooth_task, surely_knows
from pipeline.estimates.units import student_share, units_of
from pipeline.metrics.find_metric import Metric

log = logging.getLogger(__name__)


def interval_of_score(
    targets: np.ndarray, values: np.ndarray, metric: Metric, task: Task, resampling: Resampling
) -> tuple[float, float]:
    """Find the interval that holds `resampling.level` of populations' scores: of the score itself.

    Args:
        targets, values: (N, C), see `Metric.score`.
    Returns:
        (low, high), both NaN if the metric is undefined on every resample.
    """
    about = (metric, task, resampling)
    drawn = draw_scores(targets, values, *about, sizes={})["population"]
    drawn = _spread_of_guesses(drawn, targets, values, *about, test_rows=np.inf)
    return within_limits(targets, values, drawn, metric, task, level=resampling.level)


def interval_of_test_score(
    targets: np.ndarray,
    values: np.ndarray,
    metric: Metric,
    task: Task,
    resampling: Resampling,
    *,
    test_rows: int,
    gain: float = 0.0,
) -> tuple[float, float]:
    """Find the interval that holds the score of `test_rows` hidden rows with `resampling.level`.

    Two errors add up: the score is measured on N rows only, and the test set is itself a draw. Of
    100 test rows the second rules, of 1,000,000 the first alone is left. What the test rows' score
    is biased by their number (F1 of few rows is low) is in it. It never leaves the metric's range.

    Args:
        targets, values: (N, C), see `Metric.score`.
        test_rows: size of the test set.
        gain: how much higher the score is of what predicts test rows, see `averaging_gain`.
    Returns:
        (low, high), both NaN if the metric is undefined on every resample.
    """
    about = (metric, task, resampling)
    drawn = draw_scores(targets, values, *about, sizes={"test rows": test_rows})["test rows"]
    drawn = _spread_of_guesses(drawn, targets, values, *about, test_rows=test_rows)
    return within_limits(targets, values, drawn, metric, task, level=resampling.level, gain=gain)


def _spread_of_guesses(
    drawn: np.ndarray,
    targets: np.ndarray,
    values: np.ndarray,
    metric: Metric,
    task: Task,
    resampling: Resampling,
    *,
    test_rows: float,
) -> np.ndarray:
    """Widen drawn scores (rounds,) of predictions without signal: of ranks, and in groups.

    What models learn of noise makes the scores of two folds, each predicted by a model that learnt
    from the other, one and the same number: the out-of-fold score varies as that of half the rows.
    (No estimate of its variance sees this, see Bengio and Grandvalet 2004.) Other metrics are of
    predictions that keep near a constant there, which varies little, but with groups.
    """
    groups = resampling.groups
    num_units = units_of(len(targets), groups).max() + 1
    varies = metric.ranks or 2 * num_units <= len(targets)
    if not varies or surely_knows(values, targets, smooth_task(task, metric), groups=groups):
        return drawn
    of_train, of_test = 1 / len(targets), 1 / test_rows
    factor = np.sqrt((2 * of_train + of_test) / (of_train + of_test))
    centre = np.nanmean(drawn) if np.isfinite(drawn).any() else 0.0
    return centre + factor * (drawn - centre)


def within_limits(
    targets: np.ndarray,
    values: np.ndarray,
    drawn: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    level: float,
    gain: float = 0.0,
) -> tuple[float, float]:
    """Return the middle `level` of drawn scores (rounds,) plus `gain`, ended where the metric ends.

    It holds what is expected, the score itself plus `gain`: where all rows are right, populations
    are nearly so, but a test set may be.
    """
    undefined = np.isnan(drawn).mean()
    if undefined:
        log.info(
            "interval %s: undefined on %.1f%% of resamples, which are left out",
            *(metric.name, 100 * undefined),
        )
    score, ends = metric.score(targets, values, task), metric.limits(targets, task)
    # A function of the user's own may score higher than what it gives to the truth itself.
    ends = np.fmin(ends[0], score), np.fmax(ends[1], score)
    low, high = percentiles(np.clip(drawn + gain, *ends), level)
    if np.isnan(low):
        return low, high
    expected = np.clip(score + gain, *ends)
    return float(np.fmin(low, expected)), float(np.fmax(high, expected))


def probability_better(
    targets: np.ndarray,
    values_a: np.ndarray,
    values_b: np.ndarray,
    metric: Metric,
    task: Task,
    resampling: Resampling,
) -> tuple[float, float, float]:
    """Compare a with b on the same resampled rows (paired), arguments as in `interval_of_score`.

    Returns:
        (probability, low, high): the share of resamples where a beats b, ties counting half, and
        the interval of how much better a is, in the metric's unit; above 0 means that a is better
        even where the metric is better low.
    """
    share = student_share(int(units_of(len(targets), resampling.groups).max()) + 1)
    rivals = [values_a, values_b]
    a, b = resampled_scores(targets, rivals, metric, task, resampling, share=share)
    gains = a - b if metric.greater_is_better else b - a
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        return np.nan, np.nan, np.nan
    return float(np.mean(gains > 0) + np.mean(gains == 0) / 2), *percentiles(
        gains, resampling.level
    )


def percentiles(scores: np.ndarray, level: float) -> tuple[float, float]:
    """Return the ends of the middle `level` of the scores that are defined; NaN if none is."""
    defined = scores[~np.isnan(scores)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
