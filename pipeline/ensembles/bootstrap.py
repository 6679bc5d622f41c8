"""Scores on resampled rows (bootstrap, Efron 1979): whole groups, and class by class where asked.

The members and blends are taken as they are, so it tells how a score varies with the rows that it
is measured on, not with training.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.config.schema import Kind
from pipeline.core.metrics import Metric
from pipeline.core.runtime import stream
from pipeline.core.scorers import RowMeans
from pipeline.core.targets import ONE_CLASS_PER_ROW

# A metric that is no function of row means is called once per resample, so it gets fewer of them.
SLOW_SHARE = 5


def resampled_scores(
    targets: np.ndarray,
    rivals: list[np.ndarray],
    *,
    metric: Metric,
    kind: Kind,
    levels: np.ndarray | None,
    threshold: float = 0.5,
    groups: np.ndarray | None = None,
    stratified: bool = False,
    seed: int,
    rounds: int = 1000,
    share: float = 1.0,
    draws: str = "bootstrap",
) -> np.ndarray:
    """Score each rival on the same resamples.

    Args:
        targets: (N, C); rivals: each (N, C), see `Metric.score`.
        groups: (N,) what is drawn whole (a person, a site, copies of one image); None: each row on
            its own.
        stratified: draw each class's share, as a test set that was parted by class has it; without
            effect on multilabel and regression. Groups of several classes are a share of their own.
        rounds: resamples; a fifth of it for AUC, average precision and functions of the user's own.
        share: a resample's size as a share of the rows.
        draws: the random stream's name.
    Returns:
        (rivals, rounds), NaN where the metric is undefined.
    """
    how = {"kind": kind, "levels": levels, "threshold": threshold}
    pairs = [metric.inputs(targets, values, **how) for values in rivals]
    fast = isinstance(metric.function, RowMeans)
    rounds = rounds if fast else -(-rounds // SLOW_SHARE)
    units = np.arange(len(targets)) if groups is None else np.unique(groups, return_inverse=True)[1]
    strata = _strata(targets, units, by_class=stratified and kind in ONE_CLASS_PER_ROW)
    drawn = _row_counts(units, strata, stream(seed, draws), rounds, share)
    if fast:
        tables = np.stack([metric.function.terms(*pair) for pair in pairs])
        flat = tables.reshape(*tables.shape[:2], -1)
        # One product for each rival: in a common one, equal columns differ in their last bits.
        means = [[counts @ rival / counts.sum() for rival in flat] for counts in drawn]
        of_rivals = np.swapaxes(means, 0, 1).reshape(len(rivals), rounds, *tables.shape[2:])
        return np.stack([metric.function.finish(of_rival) for of_rival in of_rivals])
    resamples = [np.repeat(np.arange(len(targets)), counts) for counts in drawn]
    return np.array(
        [
            [metric.function(y_true[rows], y_pred[rows]) for rows in resamples]
            for y_true, y_pred in pairs
        ]
    )


def _strata(targets: np.ndarray, units: np.ndarray, *, by_class: bool) -> np.ndarray:
    """What each unit is drawn among: all, or those of its class; C for units of several classes."""
    num_units, num_classes = int(units.max()) + 1, targets.shape[1]
    if not by_class:
        return np.zeros(num_units, dtype=int)
    labels = targets.argmax(axis=1)
    lowest, highest = np.full(num_units, num_classes), np.zeros(num_units, dtype=int)
    np.minimum.at(lowest, units, labels)
    np.maximum.at(highest, units, labels)
    return np.where(lowest == highest, lowest, num_classes)


def _row_counts(
    units: np.ndarray, strata: np.ndarray, rng: np.random.Generator, rounds: int, share: float
) -> Iterator[np.ndarray]:
    """How often each row (N,) is in each resample.

    Strata get whole numbers of units by systematic sampling: their parts of a unit, laid end to
    end, are cut at a random place, so that the total is right and each part is right on average.
    """
    order = np.argsort(strata, kind="stable")
    sizes = np.bincount(strata)
    ends = np.cumsum(sizes)
    share = max(share, 1 / len(strata))
    for _ in range(rounds):
        counts = np.diff(np.floor(ends * share + rng.random()), prepend=0).astype(int)
        places = np.repeat(ends - sizes, counts) + rng.integers(np.repeat(sizes, counts))
        yield np.bincount(order[places], minlength=len(strata))[units]
