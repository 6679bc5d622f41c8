"""Intervals at the edges of a metric, of few rows, of rare classes, of heavy tails."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import CASES
from test_interval import how, right_rows

from pipeline.core.task import Task
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.estimates.interval import interval_of_score, interval_of_test_score
from pipeline.estimates.resampling import Resampling
from pipeline.estimates.shake_up import public_and_private, shake_up
from pipeline.metrics.find_metric import Metric


@pytest.mark.parametrize("test_rows", [120, 1_000_000])
def test_all_right_is_not_sure_to_stay_so(test_rows):
    """Jeffreys: after 120 of 120 the share is above 0.9841 with 95%; of 120 more, 2.5 are wrong."""
    targets, values = right_rows(np.ones(120))
    low, high = interval_of_test_score(
        targets, values, *how("accuracy", "binary", rounds=4000), test_rows=test_rows
    )
    assert high == 1
    assert low == pytest.approx({120: 117.5 / 120, 1_000_000: 0.9841}[test_rows], abs=0.0045)
    low, high = interval_of_test_score(
        targets, 1 - values, *how("accuracy", "binary", rounds=4000), test_rows=test_rows
    )
    assert low == 0
    assert high == pytest.approx({120: 2.5 / 120, 1_000_000: 0.0159}[test_rows], abs=0.0045)


def test_a_rare_class_that_is_all_right_is_not_sure_to_stay_so():
    labels = np.repeat([0, 1], [297, 3])
    targets = np.eye(2)[labels]
    for name in ("balanced_accuracy", "f1_macro", "roc_auc", "average_precision"):
        low, high = interval_of_score(targets, targets * 0.98 + 0.01, *how(name, "binary"))
        assert 0.3 < low < 0.97, name
        assert high == 1, name


@pytest.mark.parametrize("name", ["matthews_correlation", "cohen_kappa"])
def test_decisions_for_one_class_may_yet_agree_or_not(name):
    """All rows, or all but two that are wrong, said to be of the common class."""
    targets = np.eye(2)[(np.arange(300) % 4 == 0) + 0]
    for said in (np.zeros(300), np.isin(np.arange(300), [1, 2])):
        low, high = interval_of_score(targets, np.eye(2)[said.astype(int)], *how(name, "binary"))
        assert -0.2 < low < 0 < high < 0.2
    low, high = interval_of_score(targets, targets, *how(name, "binary"))
    assert 0.95 < low < high == 1


def test_heavy_tails_may_hold_worse_rows_than_the_worst():
    # Errors 1 / u: half of all such test sets exceed the worst of 200, and the tail has no mean.
    targets = 1 / ((np.arange(200) + 0.5) / 200)[:, None]
    _, high = interval_of_test_score(targets, 0 * targets, *how("mae", "regression"), test_rows=200)
    bound = (targets.sum() + 4 * targets.max()) / 200  # the worst five times, and all others
    assert high > bound
    even = np.linspace(0.5, 1, 200)[:, None]  # no tail
    _, high = interval_of_test_score(even, 0 * even, *how("mae", "regression"), test_rows=200)
    spread = 0.5 / 12**0.5 * (1 / 200 + 1 / 200) ** 0.5
    assert high == pytest.approx(0.75 + 1.645 * spread, abs=4e-3)


@settings(deadline=None, max_examples=250)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 7),
    num_groups=st.integers(0, 3),
    test_rows=st.integers(1, 9),
    constant=st.booleans(),
    stratified=st.booleans(),
    case=st.sampled_from(CASES),
)
def test_it_never_leaves_the_metrics_range(
    seed, rows, num_groups, test_rows, constant, stratified, case
):
    name, kind = case
    targets, models = tiny_task(kind, rows, seed, constant=constant)
    metric, task, resampling = how(name, kind, seed, rounds=20, stratified=stratified)
    gain = gain_of_averaging(models, models[0], targets, metric, task, seed=seed)
    groups = np.arange(rows) % num_groups if num_groups else None
    about = (metric, task, replace(resampling, groups=groups))
    score = metric.score(targets, models[0], task)
    intervals = [
        interval_of_score(targets, models[0], *about),
        interval_of_test_score(targets, models[0], *about, test_rows=test_rows + 1, gain=gain),
    ]
    rows = public_and_private(test_rows + 1, 0.3)
    shaken = shake_up(targets, models[0], models[1], *about, rows=rows, gain=gain)
    intervals += [shaken.public, shaken.private]
    for low, high in intervals:
        assert np.isnan(low) == np.isnan(high)
        assert np.isnan(low) or metric.low <= low <= high <= metric.high
    assert np.isnan(score) or metric.low - 1e-12 <= score + gain <= metric.high + 1e-12


def tiny_task(kind, rows, seed, *, constant):
    """Targets (N, C) and predictions of three models (3, N, C)."""
    rng = np.random.default_rng(seed)
    classes = {"binary": 2, "regression": 2}.get(kind, 3)
    if kind == "regression":
        targets, models = rng.exponential(size=(rows, 2)), rng.normal(size=(3, rows, 2))
        return (0 * targets + 1, 0 * models + 1) if constant else (targets, models)
    targets = np.eye(classes)[rng.integers(classes, size=rows) * (not constant)]
    if kind == "multilabel":
        targets = (rng.random((rows, classes)) < 0.3) * 1.0 * (not constant)
        return targets, rng.random((3, rows, classes))
    return targets, rng.dirichlet(np.ones(classes) * 0.2, size=(3, rows))


def test_an_expected_score_is_one_that_there_is():
    """Models that disagree on all test rows gain 0.4 of drawn labels; the score is 0.95."""
    targets, values = right_rows(np.arange(100) < 95)
    models = np.tile(np.eye(5)[:, None, :1], (1, 50, 1))
    models = np.concatenate([1 - models, models], axis=-1)  # each says 1 where others say 0
    gain = gain_of_averaging(models, values, targets, *how("accuracy", "binary")[:2], seed=0)
    assert 0.01 < gain < 0.05
    low, high = interval_of_test_score(
        targets, values, *how("accuracy", "binary"), test_rows=50, gain=gain
    )
    assert low < 0.95 + gain < high == 1


def test_undefined_resamples_are_left_out():
    targets, values = right_rows([1, 1, 1])
    nothing = interval_of_score(targets, values, *how("roc_auc", "binary"))
    assert np.isnan(nothing).all()
    nothing = interval_of_test_score(targets, values, *how("roc_auc", "binary"), test_rows=2)
    assert np.isnan(nothing).all()


def test_undefined_resamples_are_counted(caplog):
    # One row or two are drawn, half of the time each; two are of both classes in 0.46.
    targets = np.eye(2)[[0, 0, 1]]
    values = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    with caplog.at_level("INFO"):
        low, high = interval_of_score(targets, values, *how("roc_auc", "binary"))
    assert low < high == 1
    (line,) = caplog.messages
    share = float(line.split("undefined on ")[1].split("%")[0])
    assert share == pytest.approx(100 * (1 - 0.46 / 2), abs=9)


def test_a_metric_of_the_users_own_that_scores_the_truth_low_is_not_cut_there():
    """A loss that is said to be better high: its perfect score, 0, is no end."""
    metric = Metric(
        "own", True, "values", frozenset({"regression"}), lambda y, p: np.abs(y - p).mean()
    )
    targets = np.arange(50.0)[:, None]
    low, high = interval_of_score(targets, 0 * targets, metric, Task("regression"), Resampling(0))
    assert 15 < low < 24.5 <= high
