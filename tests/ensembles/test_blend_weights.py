"""Weights: the optimum against SLSQP, per class, by the metric; power means; two levels."""

from typing import get_args

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from test_ensembles import LEVELS, fitting_of, make_task, scoring_of

from pipeline.config.schema import Kind
from pipeline.core.task import Task
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.greedy import select_greedily, select_in_bags
from pipeline.ensembles.nested import inner_oof
from pipeline.ensembles.voting import EXPONENTS, fit_exponent, geometric, power_mean, soft_vote
from pipeline.ensembles.weights import (
    MixtureLoss,
    class_weighted_mean,
    fit_class_weights,
    search_weights,
)

PROBABILITIES = ("binary", "multiclass", "ordinal", "multilabel")


def slsqp(loss, num_members):
    found = minimize(
        lambda w: loss(np.maximum(w, 1e-12)),
        np.full(num_members, 1 / num_members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * num_members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"maxiter": 500, "ftol": 1e-14},
    )
    weights = np.maximum(found.x, 0.0)
    return weights / weights.sum()


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("members", [1, 2, 5, 9])
def test_the_optimum_is_that_of_slsqp(kind, members):
    for seed in range(5):
        targets, values = make_task(kind, members=members, rows=60, seed=seed)
        loss = MixtureLoss.of(values, targets, Task(kind, LEVELS))
        found, other = loss.least(), slsqp(loss, members)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1)
        assert loss(found)[0] == pytest.approx(loss(other)[0], abs=1e-8)
        assert_allclose(found, other, atol=1e-4)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_copies_and_perfect_members_are_no_error(kind):
    targets, values = make_task(kind, members=3)
    for members in (
        np.stack([values[0]] * 4),
        np.stack([values[0], targets]),
        np.stack([targets, targets]),
    ):
        loss = MixtureLoss.of(members, targets, Task(kind, LEVELS))
        found = loss.least()
        assert found.sum() == pytest.approx(1)
        assert loss(found)[0] <= loss(slsqp(loss, len(members)))[0] + 1e-7


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 30])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_the_log_loss_is_the_metrics_own(kind, rows):
    targets, members = make_task(kind, rows=rows)
    members[:, 0] = 1e-12 if kind == "multilabel" else [1e-12, 1e-12, 1 - 2e-12]
    even = np.full(4, 0.25)
    loss = MixtureLoss.of(members, targets, Task(kind))(even)[0]
    metric, _ = scoring_of(kind, "log_loss")
    assert loss == pytest.approx(metric.score(targets, members.mean(axis=0), Task(kind)))
    soft = 0.8 * targets + 0.1  # classes that count differently
    mixed, by_hand = np.log(members.mean(axis=0)), soft / soft.sum()
    if kind == "multiclass":
        loss = MixtureLoss.of(members, soft, Task(kind))(even)[0]
        assert loss == pytest.approx(-(by_hand * mixed).sum())


def test_many_unlikely_rows_do_not_run_out_of_floats():
    members, targets = np.zeros((2, 64, 3)), np.eye(3)[np.zeros(64, int)]
    loss = MixtureLoss.of(members, targets, Task("multiclass"))(np.full(2, 0.5))[0]
    assert loss == pytest.approx(-np.log(1e-15))


def test_greedy_on_log_loss_skips_no_candidate_that_is_better(monkeypatch):
    """The bounds that spare most candidates change no pick of the plain search."""
    monkeypatch.setattr("pipeline.ensembles.greedy.PATIENCE", 20)
    for seed in range(5):
        targets, members = make_task("multiclass", members=6, seed=seed)
        loss = MixtureLoss.of(members, targets, Task("multiclass"))
        counts, path = np.zeros(6), []
        for size in range(1, 21):
            losses = [loss((counts + one) / size)[0] for one in np.eye(6)]
            counts = counts + np.eye(6)[np.argmin(losses)]
            path.append((min(losses), counts / size))
        how = scoring_of("multiclass", "log_loss")
        found = select_greedily(members, targets, *how, rounds=20)
        assert_allclose(found, min(path, key=lambda entry: entry[0])[1])


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_bags_are_the_mean_of_their_selections(metric):
    targets, members = make_task("multiclass", members=5)
    how = scoring_of("multiclass", metric)
    parts = [np.array([0, 2, 3]), np.array([1, 3, 4])]
    wanted = np.zeros(5)
    for part in parts:
        wanted[part] += select_greedily(members[part], targets, *how) / 2
    assert_allclose(select_greedily(members, targets, *how, bags=parts), wanted)


def test_bags_that_lack_the_best_member_pick_others(monkeypatch):
    monkeypatch.setattr("pipeline.ensembles.greedy.BAGS", 40)
    targets, members = make_task("binary", members=8)
    members[3] = 0.9 * targets + 0.05
    how = scoring_of("binary", "log_loss")
    assert_array_equal(select_greedily(members, targets, *how), np.eye(8)[3])
    bagged = select_in_bags(members, targets, *how, rng=np.random.default_rng(0))
    assert bagged.sum() == pytest.approx(1)
    assert 0.6 < bagged[3] < 0.9  # it is in 6 of 8 places of a bag
    same = select_in_bags(members, targets, *how, rng=np.random.default_rng(0))
    assert_array_equal(bagged, same)


@pytest.mark.parametrize("num_members", [2, 3, 4, 5, 7])
def test_of_few_members_each_is_left_out_once_and_of_three_none(num_members):
    targets, members = make_task("binary", members=num_members, seed=1)
    how = scoring_of("binary", "log_loss")
    found = select_in_bags(members, targets, *how, rng=np.random.default_rng(0))
    wanted = np.zeros(num_members)
    for m in range(num_members):
        others = np.delete(np.arange(num_members), m)
        wanted[others] += select_greedily(members[others], targets, *how) / num_members
    if num_members <= 3:
        wanted = select_greedily(members, targets, *how)
    assert_allclose(found, wanted)


def test_each_class_leans_on_the_member_that_knows_it():
    rng = np.random.default_rng(0)
    targets = np.eye(3)[rng.integers(3, size=3000)]
    # One member tells class 0 from the rest, the other class 2.
    odds = rng.normal(size=(2, 3000, 3)) * 0.3
    odds[0, :, 0] += 3 * targets[:, 0] - 1
    odds[1, :, 2] += 3 * targets[:, 2] - 1
    members = np.exp(odds) / np.exp(odds).sum(axis=-1, keepdims=True)
    weights = fit_class_weights(members, targets, Task("multiclass"))
    assert_allclose(weights.sum(axis=0), 1)
    assert weights[0, 0] > 0.8
    assert weights[1, 2] > 0.8
    blended = class_weighted_mean(members, weights=weights, task=Task("multiclass"))
    assert_allclose(blended.sum(axis=1), 1)
    assert -np.log(blended[targets > 0]).mean() < -np.log(members.mean(0)[targets > 0]).mean()


def test_a_class_without_rows_keeps_the_common_weights():
    targets, members = make_task("multilabel")
    targets[:, 2] = 0
    common = MixtureLoss.of(members, targets, Task("multilabel")).least()
    weights = fit_class_weights(members, targets, Task("multilabel"))
    assert_allclose(weights[:, 2], common)


def test_weights_by_the_metric_beat_those_by_the_loss_where_they_are_fitted():
    targets, members = make_task("binary", members=5, rows=400, seed=3, skill=0.5)
    members[0] = members[0] ** 8 / (members[0] ** 8).sum(axis=-1, keepdims=True)  # no log loss
    metric, task = scoring_of("binary", "roc_auc")
    found = search_weights(members, targets, metric, task, rng=np.random.default_rng(0))
    start = MixtureLoss.of(members, targets, Task("binary")).least()
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    by_metric, by_loss = (
        metric.score(targets, np.tensordot(w, members, 1), Task("binary")) for w in (found, start)
    )
    assert by_metric > by_loss + 0.001


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_power_means_by_known_ones(kind):
    _, members = make_task(kind)
    assert_allclose(
        power_mean(members, exponent=1.0, task=Task(kind)), soft_vote(members, task=Task(kind))
    )
    near_zero = power_mean(members, exponent=1e-6, task=Task(kind))
    assert_allclose(near_zero, geometric(members, task=Task(kind)), atol=1e-5)
    assert_allclose(
        power_mean(members, exponent=0.0, task=Task(kind)), geometric(members, task=Task(kind))
    )


def test_power_mean_by_hand():
    members = np.array([[[0.9, 0.1]], [[0.3, 0.7]]])
    # sqrt((0.81 + 0.09) / 2) : sqrt((0.01 + 0.49) / 2) is sqrt(0.45) : 0.5
    share = 0.45**0.5 / (0.45**0.5 + 0.5)
    assert_allclose(power_mean(members, exponent=2.0, task=Task("binary")), [[share, 1 - share]])


def test_the_exponent_is_that_of_least_loss():
    targets, unsure = make_task("multiclass", rows=400)  # their errors add up in odds
    # One of two members knows: what either calls likely must stay so.
    rng = np.random.default_rng(0)
    labels = targets.argmax(axis=1)
    knows = rng.integers(2, size=400)
    said = np.where(np.arange(2)[:, None] == knows, labels, rng.integers(3, size=(2, 400)))
    certain = np.eye(3)[said] * 0.94 + 0.02
    for values in (unsure, certain):
        losses = [
            -np.log(power_mean(values, exponent=e, task=Task("multiclass"))[targets > 0]).mean()
            for e in EXPONENTS
        ]
        found = fit_exponent(values, targets, Task("multiclass"))
        assert found == EXPONENTS[int(np.argmin(losses))]
        assert (found < 0.5) == (values is unsure)


def test_the_second_level_sees_only_what_blends_say_of_rows_that_they_did_not_see():
    targets, members = make_task("binary")
    folds, seen = np.arange(90) % 3, []

    class Spy:
        def __init__(self, rows):
            self.rows = rows

        def apply(self, values):
            seen.append((self.rows, set(values[0, :, 0].tolist())))
            return values.mean(axis=0)

    def fit(values, _targets, inner_folds):
        assert len(np.unique(inner_folds)) == 2
        return Spy(set(values[0, :, 0].tolist()))

    said = inner_oof(fit, members, targets, folds)
    assert len(seen) == 3
    assert all(not fitted & applied for fitted, applied in seen)
    assert_allclose(said, members.mean(axis=0))
    inner_oof(lambda v, t, f: Spy(set(v[0, :, 0].tolist())), members, targets, folds * 0)
    assert len(seen) == 3 + 5  # one fold only: the rows are dealt out
    assert all(not fitted & applied for fitted, applied in seen)


def test_two_levels_do_not_fall_for_a_stacker_that_learnt_noise_by_heart():
    targets, members = make_task("multiclass", members=40, rows=150, skill=0.1)
    fitting = fitting_of("multiclass", "log_loss", cautious=False)
    fresh_targets, fresh = make_task("multiclass", members=40, rows=2000, seed=9, skill=0.1)
    folds = np.arange(150) % 3
    two_level, stack = (
        fit_blend(kind, members, targets, folds, fitting).apply(fresh)
        for kind in ("stack_two_level", "stack")
    )
    score = fitting.metric.score
    assert score(fresh_targets, two_level, Task("multiclass")) < score(
        fresh_targets, stack, Task("multiclass")
    )
