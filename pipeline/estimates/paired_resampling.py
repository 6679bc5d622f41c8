"""Scores on resampled rows (bootstrap, Efron 1979): whole groups, and class by class where asked.

The members and blends are taken as they are, so it shows how a score varies with the rows that it
is measured on, not with training.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.estimates.resampling import Resampling
from pipeline.estimates.units import parts_of_strata, strata_of, units_of
from pipeline.metrics.find_metric import Metric
from pipeline.metrics.scorers import RowMeans

# A metric that is no function of row means is called once per resample, so it gets fewer of them.
SLOW_SHARE = 5


def resampled_scores(
    targets: np.ndarray,
    rivals: list[np.ndarray],
    metric: Metric,
    task: Task,
    resampling: Resampling,
    *,
    share: float = 1.0,
    draws: str = "bootstrap",
) -> np.ndarray:
    """Score each rival on the same resamples.

    Args:
        targets: (N, C); rivals: each (N, C), see `Metric.score`.
        share: a resample's size as a share of the rows.
        draws: the random stream's name.
    Returns:
        (rivals, rounds), NaN where the metric is undefined.
    """
    pairs = [metric.inputs(targets, values, task) for values in rivals]
    fast = isinstance(metric.function, RowMeans)
    rounds = resampling.rounds if fast else -(-resampling.rounds // SLOW_SHARE)
    units = units_of(len(targets), resampling.groups)
    strata = np.zeros(units.max() + 1, dtype=int)
    if resampling.stratified and task.has_one_class_per_row:
        strata = strata_of(targets, units)
    drawn = _row_counts(units, strata, stream(resampling.seed, draws), rounds, share)
    if fast:
        tables = [metric.function.terms(*pair) for pair in pairs]
        flat = [table.reshape(len(table), -1) for table in tables]
        # One product for each rival: in a common one, equal columns differ in their last bits.
        means = [[counts @ rival / counts.sum() for rival in flat] for counts in drawn]
        of_rivals = zip(zip(*means, strict=True), tables, strict=True)
        return np.stack(
            [
                metric.function.finish(np.stack(rows).reshape(rounds, *table.shape[1:]))
                for rows, table in of_rivals
            ]
        )
    resamples = [np.repeat(np.arange(len(targets)), counts) for counts in drawn]
    return np.array(
        [
            [metric.of_rows(y_true[rows], y_pred[rows]) for rows in resamples]
            for y_true, y_pred in pairs
        ]
    )


def _row_counts(
    units: np.ndarray, strata: np.ndarray, rng: np.random.Generator, rounds: int, share: float
) -> Iterator[np.ndarray]:
    """How often each row (N,) is in each resample."""
    order = np.argsort(strata, kind="stable")
    sizes = np.bincount(strata)
    ends = np.cumsum(sizes)
    for _ in range(rounds):
        counts = parts_of_strata(sizes, share, rng)
        places = np.repeat(ends - sizes, counts) + rng.integers(np.repeat(sizes, counts))
        yield np.bincount(order[places], minlength=len(strata))[units]
