"""Every metric with every kind of task that it fits: range, direction, the ensemble stage."""

import numpy as np
import pytest
from metric_cases import CASES, levels_of, random_rows

from pipeline.core.task import Task
from pipeline.ensembles.choice import choose_by_fold
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.estimates.constant import best_constant, cross_fit_constant
from pipeline.estimates.evidence import Evidence
from pipeline.estimates.interval import (
    interval_of_score,
    interval_of_test_score,
    probability_better,
)
from pipeline.estimates.label_free import judge_test_rows
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import get_metric

MANY = pytest.mark.parametrize(("name", "kind"), CASES)
ROUNDING = 1e-9


def scoring_of(name, kind):
    return get_metric(name, kind), Task(kind, levels_of(kind))


def score(name, kind, targets, values):
    metric, task = scoring_of(name, kind)
    return metric.score(targets, values, task)


@MANY
def test_the_truth_scores_best_and_what_is_wrong_worse(name, kind):
    targets, (values,) = random_rows(kind)
    metric, perfect = get_metric(name, kind), score(name, kind, targets, targets)
    end = metric.high if metric.greater_is_better else metric.low
    assert perfect == pytest.approx(end, abs=1e-12)
    shuffled = np.random.default_rng(1).permutation(values)
    scores = [perfect, score(name, kind, targets, values), score(name, kind, targets, shuffled)]
    assert sorted(scores, reverse=metric.greater_is_better) == scores
    assert scores[0] != scores[2]
    assert all(metric.low - ROUNDING <= s <= metric.high + ROUNDING for s in scores)


@MANY
def test_the_order_of_rows_does_not_matter(name, kind):
    targets, (values,) = random_rows(kind, rows=40)
    values = np.round(values, 1) + 0.01  # many are equal
    plain = score(name, kind, targets, values)
    for seed in range(5):
        moved = np.random.default_rng(seed).permutation(len(targets))
        assert score(name, kind, targets[moved], values[moved]) == pytest.approx(plain, abs=1e-9)


@MANY
def test_a_constant_never_beats_the_truth_and_is_scored(name, kind):
    targets, _ = random_rows(kind)
    metric, task = scoring_of(name, kind)
    row = best_constant(targets, metric, task)
    found = score(name, kind, targets, np.tile(row, (len(targets), 1)))
    assert np.isfinite(found)
    shares = score(name, kind, targets, np.tile(targets.mean(axis=0), (len(targets), 1)))
    assert not metric.is_better(shares, found)
    assert not metric.is_better(found, score(name, kind, targets, targets))


@MANY
def test_it_goes_through_the_whole_ensemble_stage(name, kind):
    """Blends, decisions, the choice, a constant, intervals and what is told without labels."""
    targets, models = random_rows(kind, rows=90, models=8, skill=1.0)
    metric, task = scoring_of(name, kind)
    folds, ends = np.arange(90) % 3, None
    test = models[3:8, None, :40].repeat(3, axis=1)
    test = test + 0.02 * np.random.default_rng(0).random(test.shape)  # folds' models differ
    if kind in ("binary", "multiclass", "ordinal"):
        test = test / test.sum(axis=-1, keepdims=True)
    elif kind == "multilabel":
        test = np.clip(test, 0, 1)
    fitting = BlendFitting(task, metric, 0, calibrate="temperature", decisions=True)
    fits = {
        blend: cross_fit(blend, models[:3], test[:3], targets, folds, fitting)
        for blend in ("soft_vote", "weighted_metric", "greedy")
    }
    chosen, _ = choose_by_fold(fits, targets, folds, metric, task, choice="metric")
    ours = metric.score(targets, chosen.scored_oof, task)
    constant = cross_fit_constant(targets, folds, metric, task)
    assert metric.is_better(ours, metric.score(targets, constant, task))
    gain = gain_of_averaging(chosen.test, chosen.oof, targets, metric, task, seed=0)
    assert np.isfinite(gain)
    ends = metric.low - ROUNDING, metric.high + ROUNDING
    about = (metric, task, Resampling(0, rounds=50))
    intervals = [
        interval_of_score(targets, chosen.scored_oof, *about),
        interval_of_test_score(targets, chosen.scored_oof, *about, test_rows=40, gain=gain),
    ]
    assert all(ends[0] <= low <= high <= ends[1] for low, high in intervals)
    assert intervals[0][0] <= ours <= intervals[0][1]
    compared = probability_better(targets, chosen.scored_oof, models[0], *about)
    assert np.isfinite(compared).all()
    evidence = Evidence(
        *(chosen.scored_oof, targets, chosen.submitted_test, folds),
        *(metric, task),
        **{"members_oof": models[:3], "members_test": test[:3]},
    )
    judged = judge_test_rows(evidence, gain=gain, seed=0)
    assert ends[0] <= judged.low <= judged.expected <= judged.high <= ends[1] or not judged.by_way
