"""Blends: hand-made numbers, the form that all keep, and honesty of cross-fitting (law 3)."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.config.schema import DEFAULT_METRICS, BlendKind, Kind
from pipeline.core.task import Task
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.greedy import select_greedily
from pipeline.ensembles.voting import geometric, hard_vote, rank_average, soft_vote
from pipeline.ensembles.weights import MixtureLoss, fit_weights, weighted_mean
from pipeline.errors import UserError
from pipeline.metrics.find_metric import get_metric

pytestmark = pytest.mark.numeric

LEVELS = np.array([0.0, 1.0, 3.0])
PAIRS = [
    (blend, kind)
    for blend in get_args(BlendKind)
    for kind in get_args(Kind)
    if kind != "regression" or blend not in ("rank_average", "geometric", "power")
]
LEARNT = (
    *("weighted", "weighted_metric", "class_weighted", "greedy"),
    *("stack", "stack_ridge", "stack_lightgbm", "stack_two_level"),
)


def make_task(kind, *, members=4, rows=90, seed=0, skill=1.0):
    """Targets (N, C) and members' values (M, N, C); skill 0: the members know nothing."""
    rng = np.random.default_rng(seed)
    columns = 2 if kind == "binary" else 3
    noise = rng.normal(size=(members, rows, columns))
    if kind == "regression":
        targets = rng.normal(size=(rows, columns)) * [1, 10, 100]
        return targets, skill * targets + noise * [1, 10, 100]
    if kind == "multilabel":
        targets = (rng.random((rows, columns)) < 0.4).astype(float)
        return targets, 1 / (1 + np.exp(-(skill * (2 * targets - 1) + noise)))
    targets = np.eye(columns)[rng.integers(columns, size=rows)]
    odds = np.exp(skill * targets + noise)
    return targets, odds / odds.sum(axis=-1, keepdims=True)


def scoring_of(kind, metric=None):
    task = Task(kind, LEVELS if kind == "ordinal" else None)
    return get_metric(metric or DEFAULT_METRICS[kind], kind), task


def fitting_of(kind, metric=None, seed=0, **changes):
    metric, task = scoring_of(kind, metric)
    return BlendFitting(task, metric, seed, **changes)


def assert_obeys_the_form(values, kind):
    assert np.isfinite(values).all()
    if kind != "regression":
        assert values.min() >= 0
        assert values.max() <= 1 + 1e-12
    if kind not in ("regression", "multilabel"):
        assert_allclose(values.sum(axis=1), 1)


def test_votes_by_hand():
    members = np.array([[[0.8, 0.2]], [[0.5, 0.5]], [[0.2, 0.8]], [[0.2, 0.8]]])
    assert_allclose(soft_vote(members, task=Task("binary")), [[0.425, 0.575]])
    assert_allclose(hard_vote(members, task=Task("binary")), [[0.5, 0.5]])
    assert_allclose(hard_vote(members, task=Task("multilabel", threshold=0.7)), [[0.25, 0.5]])
    assert_allclose(hard_vote(members, task=Task("regression")), [[0.35, 0.65]])


def test_geometric_mean_by_hand():
    members = np.array([[[0.9, 0.1]], [[0.5, 0.5]]])
    # sqrt(0.45) : sqrt(0.05) is 3 : 1
    assert_allclose(geometric(members, task=Task("binary")), [[0.75, 0.25]])
    assert_allclose(geometric(members, task=Task("multilabel")), [[0.75, 0.25]])


def test_rank_average_by_hand_and_blind_to_calibration():
    right = np.array([0.1, 0.9, 0.5])
    probs = np.stack([1 - right, right], axis=1)
    assert_allclose(rank_average(probs[None], task=Task("binary"))[:, 1], [1 / 6, 5 / 6, 3 / 6])
    sharper = np.stack([1 - right**9, right**9], axis=1)
    both = rank_average(np.stack([probs, sharper]), task=Task("binary"))
    assert_allclose(both, rank_average(probs[None], task=Task("binary")))


def test_weights_by_hand():
    # y = 0.3 a + 0.7 b exactly; the third member is far off.
    a, b = np.array([0.0, 1, 0, 1]), np.array([0.0, 0, 1, 1])
    members = np.stack([a, b, a + 5])[:, :, None]
    targets = (0.3 * a + 0.7 * b)[:, None]
    found = fit_weights(members, targets, Task("regression"))
    assert_allclose(found, [0.3, 0.7, 0], atol=1e-4)


def test_log_loss_weights_by_hand():
    # The class's probability is w on one row of four and 1 - w on three: best w is 1/4.
    members = np.array([[[1.0, 0], [0, 1], [0, 1], [0, 1]], [[0.0, 1], [1, 0], [1, 0], [1, 0]]])
    targets = np.eye(2)[[0, 0, 0, 0]]
    for kind in ("binary", "multilabel"):
        found = fit_weights(members, targets, Task(kind))
        assert_allclose(found, [0.25, 0.75], atol=1e-3)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_gradient_is_exact(kind):
    targets, members = make_task(kind)
    loss = MixtureLoss.of(members, targets, Task(kind, LEVELS))
    weights, step = np.array([0.1, 0.2, 0.3, 0.4]), 1e-6
    slopes = [
        (loss(weights + step * unit)[0] - loss(weights - step * unit)[0]) / (2 * step)
        for unit in np.eye(4)
    ]
    assert_allclose(loss(weights)[1], slopes, rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(get_args(Kind)), members=st.integers(1, 8))
def test_weights_are_shares_no_worse_than_even_or_any_one_member(seed, kind, members):
    targets, values = make_task(kind, members=members, rows=30, seed=seed)
    found = fit_weights(values, targets, Task(kind, LEVELS))
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    loss = MixtureLoss.of(values, targets, Task(kind, LEVELS))
    for other in (*np.eye(members), np.full(members, 1 / members)):
        assert loss(found)[0] <= loss(other)[0] + 1e-5


def test_greedy_picks_by_hand():
    # Alone: 3, 2 and 2 of 4 rows are right. Members 0 and 1 together: all four, while the share of
    # 0 is in (0.2, 0.851): 0.9 - 0.4699 share > 0.5. Log loss, least at 0.93, breaks the ties.
    positive = np.array([[0.9, 0.9, 0.9, 0.4301], [0.4, 0.4, 0.9, 0.9], [0.6, 0.1, 0.1, 0.6]])
    members = np.stack([1 - positive, positive], axis=-1)
    targets = np.eye(2)[[1, 1, 1, 1]]
    found = select_greedily(members, targets, *scoring_of("binary", "accuracy"))
    assert found[2] == 0
    assert 0.8 < found[0] < 0.8513
    one_round = select_greedily(members, targets, *scoring_of("binary", "accuracy"), rounds=1)
    assert_array_equal(one_round, [1, 0, 0])


def test_greedy_keeps_the_best_prefix():
    # One too high, one too low: two picks cancel out, and any third one spoils it.
    targets = np.arange(5.0)[:, None]
    members = np.stack([targets + 1, targets - 1, targets + 9])
    found = select_greedily(members, targets, *scoring_of("regression", "mae"), rounds=3)
    assert_array_equal(found, [0.5, 0.5, 0])


@pytest.mark.parametrize("kind", get_args(Kind))
def test_greedy_is_no_worse_than_the_best_member(kind):
    targets, members = make_task(kind)
    metric, task = scoring_of(kind)
    found = select_greedily(members, targets, metric, task)
    blended = metric.score(targets, weighted_mean(members, weights=found), task)
    assert all(not metric.is_better(metric.score(targets, m, task), blended) for m in members)


@pytest.mark.parametrize(("blend_kind", "kind"), PAIRS)
def test_every_blend_obeys_the_form_and_repeats_itself(blend_kind, kind):
    targets, members = make_task(kind)
    _, unseen = make_task(kind, seed=1, rows=20)
    unseen[:, :2] = 0.0 if kind in ("regression", "multilabel") else np.eye(unseen.shape[-1])[0]
    fitting = fitting_of(kind, seed=3)
    blends = [fit_blend(blend_kind, members, targets, None, fitting) for _ in range(2)]
    first, second = (blend.apply(unseen.astype(np.float32)) for blend in blends)
    assert first.shape == unseen.shape[1:]
    assert first.dtype == np.float64
    assert_obeys_the_form(first, kind)
    assert_array_equal(first, second)
    if blends[0].weights is not None:
        assert blends[0].weights.sum() == pytest.approx(1)
        assert blends[0].weights.min() >= 0


@pytest.mark.parametrize("blend_kind", LEARNT)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "ordinal", "multilabel"])
def test_a_class_absent_from_the_fitted_rows_is_no_error(blend_kind, kind):
    targets, members = make_task(kind)
    few = targets[:, -1] == 0  # binary: one class is left
    blend = fit_blend(blend_kind, members[:, few], targets[few], None, fitting_of(kind))
    assert_obeys_the_form(blend.apply(members), kind)


@pytest.mark.parametrize("blend_kind", LEARNT)
@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_learnt_blend_turns_to_the_members_that_know(blend_kind, kind):
    # Two good members among six that know nothing: the mean is worse than what was learnt.
    targets, good = make_task(kind, members=2, rows=600, seed=1, skill=2.0)
    _, noise = make_task(kind, members=6, rows=600, seed=2)
    members, fitted = np.concatenate([good, noise]), np.arange(600) < 400
    metric, task = scoring_of(kind)
    blend = fit_blend(blend_kind, members[:, fitted], targets[fitted], None, fitting_of(kind))
    learnt = metric.score(targets[~fitted], blend.apply(members[:, ~fitted]), task)
    mean = metric.score(targets[~fitted], members[:, ~fitted].mean(axis=0), task)
    assert metric.is_better(learnt, mean)


def test_ranks_and_geometric_means_of_values_are_refused():
    targets, members = make_task("regression")
    for blend_kind in ("rank_average", "geometric", "power"):
        with pytest.raises(UserError, match="regression"):
            fit_blend(blend_kind, members, targets, None, fitting_of("regression"))


@pytest.mark.parametrize("cautious", [False, True])
@pytest.mark.parametrize(("blend_kind", "kind"), PAIRS)
def test_the_targets_of_a_fold_never_reach_its_own_predictions(blend_kind, kind, cautious):
    targets, oof = make_task(kind)
    _, test = make_task(kind, members=12, rows=7, seed=5)
    test = test.reshape(4, 3, 7, -1)
    folds = np.arange(len(targets)) % 3
    planted = targets.copy()
    planted[folds == 1] = np.roll(targets[folds == 1], 1, axis=1)
    fitting = fitting_of(kind, cautious=cautious)
    clean, leaky = (cross_fit(blend_kind, oof, test, t, folds, fitting) for t in (targets, planted))
    assert_array_equal(clean.oof[folds == 1], leaky.oof[folds == 1])
    assert_array_equal(clean.test[1], leaky.test[1])
    assert_obeys_the_form(clean.oof, kind)
    assert clean.test.shape == test.shape[1:]
    if (
        blend_kind in LEARNT and not cautious
    ):  # the planted targets do reach the others, or the test tests nothing
        assert not np.array_equal(clean.oof[folds != 1], leaky.oof[folds != 1])
    if clean.weights is not None:
        assert clean.weights.shape == (3, 4)


def test_a_test_layer_is_made_of_its_own_folds_models():
    targets, oof = make_task("binary")
    test = np.random.default_rng(0).dirichlet([1, 1], size=(4, 3, 7))
    folds = np.arange(len(targets)) % 3
    crossed = cross_fit("soft_vote", oof, test, targets, folds, fitting_of("binary"))
    assert_allclose(crossed.test, test.mean(axis=0))
    assert_allclose(crossed.oof, oof.mean(axis=0))


@pytest.mark.parametrize("blend_kind", LEARNT)
def test_noise_looks_skilled_when_scored_where_it_was_fitted_and_not_when_cross_fitted(blend_kind):
    naive, honest = [], []
    fitting = fitting_of("binary", "accuracy", cautious=False)
    for seed in range(6):
        targets, oof = make_task("binary", members=30, rows=100, seed=seed, skill=0.0)
        blend = fit_blend(blend_kind, oof, targets, None, fitting)
        crossed = cross_fit(
            blend_kind,
            oof,
            oof[:, None, :2].repeat(5, 1),
            targets,
            np.arange(100) % 5,
            fitting,
        )
        for scores, values in ((naive, blend.apply(oof)), (honest, crossed.oof)):
            scores.append(fitting.metric.score(targets, values, Task("binary")))
    assert np.mean(naive) > 0.56
    assert np.mean(honest) == pytest.approx(0.5, abs=0.05)  # 600 rows: standard error 0.02


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("rows", [16, 24])
def test_trees_on_few_rows_are_no_constant(kind, rows):
    targets, members = make_task(kind, members=3, rows=rows, skill=3.0)
    fitting = fitting_of(kind, cautious=False)
    blend = fit_blend("stack_lightgbm", members, targets, None, fitting)
    values = blend.apply(members)
    if kind == "regression":  # trees give what is to be added to the members' mean
        values = values - members.mean(axis=0)
    assert (np.ptp(values, axis=0) > 0.1).all()
