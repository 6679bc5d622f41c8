"""How sure a score is: percentile bootstrap (Efron 1979) over rows, or over whole groups.

Rows are drawn without regard to their class, as a new test set would be: fixing the classes' counts
would make the interval too narrow. The members and blends are taken as they are, so it tells how a
score varies with the rows it is measured on, not with training.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.config.schema import Kind
from pipeline.core.metrics import Metric
from pipeline.core.runtime import stream
from pipeline.core.scorers import RowMeans

# A metric that is no function of row means is called once per resample, so it gets fewer of them.
SLOW_SHARE = 5


def bootstrap_interval(
    targets: np.ndarray,
    values: np.ndarray,
    *,
    metric: Metric,
    kind: Kind,
    levels: np.ndarray | None,
    groups: np.ndarray | None = None,
    seed: int,
    level: float = 0.90,
    rounds: int = 1000,
    threshold: float = 0.5,
) -> tuple[float, float]:
    """Find the interval that holds `level` of the scores on resampled rows.

    Args:
        targets, values: (N, C), see `Metric.score`.
        groups: (N,) what is drawn whole (a person, a site); None: each row on its own.
        rounds: resamples; a fifth of it for AUC, average precision and functions of the user's own.
            Resamples where the metric is undefined are left out.
    Returns:
        (low, high), both NaN if the metric is undefined on every resample.
    """
    (scores,) = _resampled_scores(
        targets, [values], metric, groups, seed, rounds,
        kind=kind, levels=levels, threshold=threshold,
    )  # fmt: skip
    return _percentiles(scores, level)


def probability_better(
    targets: np.ndarray,
    values_a: np.ndarray,
    values_b: np.ndarray,
    *,
    metric: Metric,
    kind: Kind,
    levels: np.ndarray | None,
    groups: np.ndarray | None = None,
    seed: int,
    level: float = 0.90,
    rounds: int = 1000,
    threshold: float = 0.5,
) -> tuple[float, float, float]:
    """Compare a with b on the same resampled rows (paired), arguments as in `bootstrap_interval`.

    Returns:
        (probability, low, high): the share of resamples where a beats b, ties counting half, and
        the interval of how much better a is, in the metric's unit; above 0 means that a is better
        even where the metric is better low.
    """
    a, b = _resampled_scores(
        targets, [values_a, values_b], metric, groups, seed, rounds,
        kind=kind, levels=levels, threshold=threshold,
    )  # fmt: skip
    gains = a - b if metric.greater_is_better else b - a
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        return np.nan, np.nan, np.nan
    return float(np.mean(gains > 0) + np.mean(gains == 0) / 2), *_percentiles(gains, level)


def _percentiles(scores: np.ndarray, level: float) -> tuple[float, float]:
    defined = scores[~np.isnan(scores)]
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_scores(
    targets: np.ndarray,
    rivals: list[np.ndarray],
    metric: Metric,
    groups: np.ndarray | None,
    seed: int,
    rounds: int,
    **how: object,
) -> np.ndarray:
    """Score each rival on the same resamples: (rivals, rounds)."""
    pairs = [metric.inputs(targets, values, **how) for values in rivals]
    fast = isinstance(metric.function, RowMeans)
    rounds = rounds if fast else -(-rounds // SLOW_SHARE)
    draws = _row_counts(len(targets), groups, stream(seed, "bootstrap"), rounds)
    if fast:
        tables = [metric.function.terms(*pair) for pair in pairs]
        flat = np.concatenate([table.reshape(len(table), -1) for table in tables], axis=1)
        means = np.stack([counts @ flat / counts.sum() for counts in draws])
        parts = np.split(means, np.cumsum([table[0].size for table in tables])[:-1], axis=1)
        return np.stack(
            [
                metric.function.finish(part.reshape(rounds, *table.shape[1:]))
                for part, table in zip(parts, tables, strict=True)
            ]
        )
    resamples = [np.repeat(np.arange(len(targets)), counts) for counts in draws]
    return np.array(
        [
            [metric.function(y_true[rows], y_pred[rows]) for rows in resamples]
            for y_true, y_pred in pairs
        ]
    )


def _row_counts(
    num_rows: int, groups: np.ndarray | None, rng: np.random.Generator, rounds: int
) -> Iterator[np.ndarray]:
    """How often each row (N,) is in each resample."""
    units = np.arange(num_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    num_units = int(units.max()) + 1
    for _ in range(rounds):
        drawn = rng.integers(num_units, size=num_units)
        yield np.bincount(drawn, minlength=num_units)[units]
