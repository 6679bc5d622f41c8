"""Scores of the populations that rows may come from, and of test sets drawn from each of them.

The Bayesian bootstrap (Rubin 1981): each round weighs units (rows, or groups of them) at random,
and test sets are drawn by these weights. A score of weighted rows never leaves its metric's range.
Rows that were not seen join, see `prior_rows`. With few units, weights vary more, so that scores
vary as Student's t does.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.estimates.paired_resampling import SLOW_SHARE
from pipeline.estimates.prior_rows import prior_terms, swapped_rows
from pipeline.estimates.resampling import Resampling
from pipeline.estimates.units import Units, find_units
from pipeline.metrics.find_metric import Metric
from pipeline.metrics.scorers import RowMeans

MANY = 10**12  # test rows whose score is their population's
CELLS = 1_000_000  # numbers in a matrix of weights
SLOW_UNITS = 4  # times the units is the largest test set of a metric that is no function of means


def draw_scores(
    targets: np.ndarray,
    values: np.ndarray,
    metric: Metric,
    task: Task,
    resampling: Resampling,
    *,
    sizes: dict[str, int],
) -> dict[str, np.ndarray]:
    """Score test sets, each drawn from a population; all of a round from the same one.

    Args:
        targets, values: (N, C), see `Metric.score`.
        sizes: rows of each test set by name, which names its random stream.
    Returns:
        (rounds,) for each name, NaN where the metric is undefined; without any `sizes`, scores of
        the populations themselves, as "population". What they are biased by resampling is taken
        off, so that they may lie beyond the range.
    """
    inputs = metric.inputs(targets, values, task)
    seed, rounds = resampling.seed, resampling.rounds
    rng = stream(seed, "rows that were not seen")
    single_label = task.has_one_class_per_row
    units = find_units(
        targets,
        resampling.groups,
        by_class=metric.by_class and single_label,
        stratified=resampling.stratified and single_label,
        test_rows=sum(sizes.values()) or MANY,
        rng=rng,
    )
    shares = {name: size / len(targets) for name, size in sizes.items()}
    if isinstance(metric.function, RowMeans):
        terms, prior, masses = prior_terms(metric.function, *inputs, rng, task=task)
        if metric.function.of == "losses" and units.seen == len(terms):
            units = _without_half_of(units, terms.reshape(len(terms), -1).mean(axis=1).argmax())
        units = units.joined(masses)
        return _of_means(metric, _stacked(terms, prior, units), units, shares, seed, rounds)
    *swapped, masses = swapped_rows(*inputs, rng, task=task)
    if task.is_regression and not metric.ranks:  # single rows may rule such a score
        *swapped, masses = (part[:0] for part in (*swapped, masses))
    units = units.joined(masses)
    rows = [_stacked(real, more, units) for real, more in zip(inputs, swapped, strict=True)]
    return _of_rows(metric, rows, units, shares, seed, -(-rounds // SLOW_SHARE))


def _of_means(
    metric: Metric,
    terms: np.ndarray,
    units: Units,
    shares: dict[str, float],
    seed: int,
    rounds: int,
) -> dict[str, np.ndarray]:
    """Scores of a metric of row means, given terms (N + P, ...)."""
    flat = np.column_stack([np.ones(len(terms)), terms.reshape(len(terms), -1)])
    sums = np.stack([np.bincount(units.of_rows, column) for column in flat.T], axis=1)

    def means(draws: Iterator[np.ndarray], seen: int | None = None) -> np.ndarray:
        found = np.concatenate([part[:, :seen] @ sums[:seen] for part in draws])
        return (found[:, 1:] / found[:, :1]).reshape(-1, *terms.shape[1:])

    bias = 0.0
    if metric.function.of in (
        "shares",
        "agreement",
        "moments",
    ):  # others: none, or ruled by outliers
        for shapes in (units.shapes, units.masses):
            rng = stream(seed, "bias")
            as_wide = _populations(replace(units, shapes=shapes), -(-rounds // 5), rng)
            found = means(as_wide, units.seen)
            scores = metric.function.finish(found)
            if not np.isnan(scores).all():
                bias += np.nanmean(scores) - metric.function.finish(found.mean(axis=0))
    return {
        name: metric.function.finish(means(weights)) - bias
        for name, weights in _draws(units, shares, seed, rounds).items()
    }


def _of_rows(
    metric: Metric,
    rows: list[np.ndarray],
    units: Units,
    shares: dict[str, float],
    seed: int,
    rounds: int,
) -> dict[str, np.ndarray]:
    """Scores of a metric that is called on the rows (N + P) themselves."""
    shares = {name: min(share, SLOW_UNITS) for name, share in shares.items()}
    y_true, y_pred = rows
    scores = {}
    for name, drawn in _draws(units, shares, seed, rounds, whole=True).items():
        each = (counts for part in drawn for counts in part)
        places = (np.repeat(np.arange(len(y_true)), counts[units.of_rows]) for counts in each)
        scores[name] = np.array([metric.of_rows(y_true[at], y_pred[at]) for at in places])
    return scores


def _draws(
    units: Units, shares: dict[str, float], seed: int, rounds: int, *, whole: bool = False
) -> dict[str, Iterator[np.ndarray]]:
    """Weights of units (part of the rounds, U + P) by name: of populations, or of test sets.

    Args:
        whole: populations, too, are counts: as many units as weights vary like.
    """

    def populations() -> Iterator[np.ndarray]:
        return _populations(units, rounds, stream(seed, "populations"))

    def test_sets(name: str, share: float) -> Iterator[np.ndarray]:
        rng = stream(seed, name)
        return (units.counts(weights, share, rng) for weights in populations())

    if shares:
        return {name: test_sets(name, share) for name, share in shares.items()}
    if not whole:
        return {"population": populations()}
    share = max(0.5, units.shapes[: units.seen].mean())
    even = np.tile(units.masses / units.masses.sum(), (rounds, 1))
    return {"population": iter([units.counts(even, share, stream(seed, "populations"))])}


def _populations(units: Units, rounds: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Weights of all rounds, as many at once as fit well into memory."""
    at_once = max(1, CELLS // len(units.masses))
    for start in range(0, rounds, at_once):
        yield units.weights(min(at_once, rounds - start), rng)


def _without_half_of(units: Units, worst: int) -> Units:
    """Half of the gap below the worst row: the other half, and the gap beyond, are the prior's."""
    halves = np.ones(units.seen)
    halves[worst] = 0.5
    return replace(units, masses=units.masses * halves, shapes=units.shapes * halves)


def _stacked(real: np.ndarray, more: np.ndarray, units: Units) -> np.ndarray:
    """Rows (N, ...) and those that were not seen (P, ...), as `Units.joined` has them."""
    return np.concatenate([real] + [more] * (int(units.strata.max()) + 1))
