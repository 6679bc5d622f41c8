"""Decisions: thresholds, cut-points and factors by hand, their gain unseen, no leak (law 3)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax

from pipeline.core.task import Task
from pipeline.ensembles.choice import mean_by_fold
from pipeline.ensembles.class_factors import fit_class_factors, fit_joint_thresholds
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.decisions import (
    fit_cuts,
    fit_rule,
    has_rule,
    move_cuts,
)
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.stacking import fit_stack
from pipeline.ensembles.thresholds import fit_threshold, move_threshold
from pipeline.metrics.find_metric import get_metric

LEVELS = np.arange(4.0)
CASES = [
    ("binary", "f1"),
    ("binary", "f1_macro"),
    ("binary", "balanced_accuracy"),
    ("multiclass", "f1_macro"),
    ("multiclass", "balanced_accuracy"),
    ("binary", "f2"),
    ("binary", "matthews_correlation"),
    ("multilabel", "f1_macro"),
    ("multilabel", "f1_micro"),
    ("multilabel", "f2_samples"),
    ("multilabel", "jaccard_weighted"),
    ("multilabel", "accuracy"),
    ("ordinal", "linear_weighted_kappa"),
    ("ordinal", "quadratic_weighted_kappa"),
]


UNEVEN = np.array([0.8, 0.15, 0.05])


def drawn_from(probs, rng):
    """One-hot targets (N, C) that probabilities (N, C) are right about."""
    below = np.cumsum(probs, axis=1)[:, :-1]
    return np.eye(probs.shape[1])[(rng.random((len(probs), 1)) > below).sum(axis=1)]


def rare_and_uncertain(kind, metric, *, rows=900, seed=0):
    """Targets (N, C) and members (M, N, C) of rare classes that are hard to tell."""
    rng = np.random.default_rng(seed)
    if kind == "ordinal":
        level = rng.choice(4, size=rows, p=[0.6, 0.1, 0.1, 0.2])
        noise = level + rng.normal(size=(3, rows))
        odds = -((noise[..., None] - LEVELS) ** 2) / 6 + np.log([0.6, 0.1, 0.1, 0.2])
        probs = np.exp(odds)
        return np.eye(4)[level], probs / probs.sum(axis=-1, keepdims=True)
    if kind == "multiclass" or metric == "accuracy":  # labels of which each row has one
        odds = rng.normal(size=(rows, 3)) * 1.5 + (np.log(UNEVEN) if kind == "multiclass" else 0)
        targets = drawn_from(softmax(odds, axis=1), rng)
        odds[:, 0] += 1.0 if kind == "multiclass" else 0.0  # members say the commonest too often
        return targets, softmax(odds + 0.3 * rng.normal(size=(3, rows, 3)), axis=-1)
    odds = rng.normal(size=(rows, 1 if kind == "binary" else 3)) * 1.5 - 2.5
    targets = (rng.random(odds.shape) < expit(odds)).astype(float)
    probs = expit(odds + 0.3 * rng.normal(size=(3, *odds.shape)))
    if kind == "binary":
        return np.eye(2)[targets[:, 0].astype(int)], np.concatenate([1 - probs, probs], axis=-1)
    return targets, probs


def scoring_of(kind, metric):
    return get_metric(metric, kind), Task(kind, LEVELS if kind == "ordinal" else None)


def fitting_of(kind, metric, **changes):
    metric, task = scoring_of(kind, metric)
    return BlendFitting(task, metric, 0, **changes)


def test_a_threshold_by_hand():
    # All at 0.4 and above, or half of those at 0.2 to 0.4 right: F1 wants both, accuracy neither.
    probs = np.repeat([0.1, 0.3, 0.45], [600, 200, 200])
    truth = np.concatenate([np.zeros(600), np.arange(200) % 2, np.ones(200)])
    how = {"function": get_metric("f1", "binary").function, "rng": np.random.default_rng(0)}
    assert fit_threshold(truth, probs, **how) == pytest.approx(0.2)
    mostly_no = np.where(probs == 0.3, np.arange(1000) % 10 == 0, truth)
    assert fit_threshold(mostly_no, probs, **how) == pytest.approx(0.375)
    assert fit_threshold(np.zeros(5), np.full(5, 0.3), **how) == 0.5


def test_factors_are_one_over_a_class_s_share_where_probabilities_are_right():
    # Each class's odds are drawn alike, so that every class is found best at its factor.
    rng = np.random.default_rng(0)
    targets = np.eye(3)[rng.choice(3, size=6000, p=UNEVEN)]
    likelihoods = np.exp(1.5 * (1.5 * targets + rng.normal(size=targets.shape)))
    probs = likelihoods * UNEVEN / (likelihoods * UNEVEN).sum(axis=1, keepdims=True)
    found = fit_class_factors(probs, targets, goal="balanced_accuracy", rng=rng)
    assert_allclose(found / found[0], UNEVEN[0] / UNEVEN, rtol=0.2)


def test_factors_undo_what_a_member_says_too_often():
    rng = np.random.default_rng(0)
    probs = softmax(1.5 * rng.normal(size=(6000, 3)), axis=1)
    targets, bias = drawn_from(probs, rng), np.array([1.0, 4.0, 0.5])
    for goal in ("balanced_accuracy", "f1_macro"):
        biased = probs * bias / (probs * bias).sum(axis=1, keepdims=True)
        found = fit_class_factors(biased, targets, goal=goal, rng=rng)
        assert_allclose(found / found[0], 1 / bias, rtol=0.2)


def test_thresholds_fall_where_each_row_has_one_label():
    # Nine rows of ten: 0.4 in the right column, 0.3 in two wrong ones. All are right in between.
    rng = np.random.default_rng(0)
    targets = np.eye(3)[np.arange(600) % 3]
    probs = np.where(targets == 1, 0.4, 0.3)
    probs[::10] = np.where(targets[::10] == 1, 0.9, 0.05)
    found = fit_joint_thresholds(probs, targets, plain=0.5, rng=rng)
    assert (found > 0.3).all()
    assert (found <= 0.4).all()


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("multiclass", "f1_macro"), ("multiclass", "balanced_accuracy"), ("multilabel", "accuracy")],
)
def test_where_nothing_is_to_be_gained_nothing_is_lost(kind, metric):
    """Even classes and columns of their own, of which probabilities are right: 60 to 240 rows."""
    (metric, task), gains = scoring_of(kind, metric), []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        odds = 2 * rng.normal(size=(3000, 3))
        probs = softmax(odds, axis=1) if kind == "multiclass" else expit(odds)
        targets = drawn_from(probs, rng) if kind == "multiclass" else rng.random((3000, 3)) < probs
        seen, unseen = slice(60 + 6 * seed), slice(300, None)
        rule = fit_rule(probs[seen], targets[seen] + 0.0, metric, task, rng=rng)
        after, before = (
            metric.score(targets[unseen] + 0.0, values, task)
            for values in (rule(probs[unseen]), probs[unseen])
        )
        gains.append(after - before)
    assert np.mean(gains) > -0.003


def test_factors_keep_the_form_and_classes_that_no_row_has():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(4, 0.5), size=30)
    targets = np.eye(4)[rng.integers(2, size=30)]
    for goal in ("balanced_accuracy", "f1_macro"):
        rule = fit_rule(probs, targets, *scoring_of("multiclass", goal), rng=rng)
        moved = rule(np.vstack([probs, np.eye(4)]))
        assert np.isfinite(moved).all()
        assert_allclose(moved.sum(axis=1), 1)


def test_one_row_leaves_decisions_as_they_are():
    rng = np.random.default_rng(0)
    one = np.array([[0.7, 0.2, 0.1]])
    factors = fit_class_factors(one, np.eye(3)[[1]], goal="f1_macro", rng=rng)
    assert_allclose(factors, 1)
    assert_allclose(fit_joint_thresholds(one, np.eye(3)[[1]], plain=0.3, rng=rng), 0.3)


@pytest.mark.parametrize("to", [0.5, 0.3])
def test_moved_probabilities_decide_as_the_threshold_does_and_keep_their_order(to):
    probs = np.sort(np.append(np.random.default_rng(0).random(500), [0.0, 0.17, 1.0]))
    moved = move_threshold(probs, 0.17, to=to)
    assert_array_equal(moved >= to, probs >= 0.17)
    assert (np.diff(moved) >= 0).all()
    assert_allclose(moved[[0, -1]], [0, 1])


def test_moved_levels_decide_as_the_cut_points_do():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(4, 0.5), size=500)
    cuts = np.array([0.3, 1.9, 2.2])
    moved = move_cuts(probs, cuts, LEVELS)
    assert_allclose(moved.sum(axis=1), 1)
    nearest = np.abs((moved @ LEVELS)[:, None] - LEVELS).argmin(axis=1)
    assert_array_equal(nearest, np.searchsorted(cuts, probs @ LEVELS))


@pytest.mark.parametrize("cuts", [[0.0, 0.0, 0.0], [3.0, 3.0, 3.0], [-1.0, 1.0, 9.0]])
def test_cut_points_at_the_edge_or_on_one_another_keep_the_form(cuts):
    probs = np.random.default_rng(0).dirichlet(np.full(4, 0.5), size=50)
    moved = move_cuts(probs, np.array(cuts), LEVELS)
    assert np.isfinite(moved).all()
    assert (np.diff((moved @ LEVELS)[np.argsort(probs @ LEVELS)]) >= -1e-9).all()


def test_cut_points_find_where_the_levels_part():
    # Expectations are drawn to the middle, as those of an unsure member are.
    rng = np.random.default_rng(0)
    wanted = rng.integers(4, size=2000).astype(float)
    expected = 1.5 + 0.3 * (wanted - 1.5) + rng.normal(size=2000) * 0.02
    metric = get_metric("quadratic_weighted_kappa", "ordinal")
    cuts = fit_cuts(expected, wanted, LEVELS, metric=metric, rng=rng)
    assert_allclose(cuts, [1.2, 1.5, 1.8], atol=0.06)


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_fitted_decisions_are_better_on_rows_that_they_did_not_see(kind, metric):
    targets, oof = rare_and_uncertain(kind, metric)
    folds = np.arange(len(targets)) % 4
    test = np.repeat(oof[:, None, :3], 4, axis=1)
    fixed, fitted = (
        cross_fit("soft_vote", oof, test, targets, folds, fitting_of(kind, metric, decisions=fit))
        for fit in (False, True)
    )
    metric, task = scoring_of(kind, metric)
    before = metric.score(targets, fixed.scored_oof, task)
    assert metric.score(targets, fitted.scored_oof, task) > before + 0.01
    assert_array_equal(fitted.oof, fixed.oof)  # probabilities stay what they are


@pytest.mark.parametrize(("kind", "metric"), CASES)
@pytest.mark.parametrize("blend", ["soft_vote", "stack"])
def test_a_folds_targets_never_decide_about_its_rows(kind, metric, blend):
    targets, oof = rare_and_uncertain(kind, metric, rows=150)
    folds = np.arange(150) % 3
    test = np.repeat(oof[:, None, :5], 3, axis=1)
    planted = targets.copy()
    planted[folds == 1] = np.roll(targets[folds == 1], 1, axis=1)
    fitting = fitting_of(kind, metric, decisions=True)
    clean, leaky = (cross_fit(blend, oof, test, t, folds, fitting) for t in (targets, planted))
    assert_array_equal(clean.scored_oof[folds == 1], leaky.scored_oof[folds == 1])
    assert_array_equal(clean.submitted_test[1], leaky.submitted_test[1])
    assert not np.array_equal(clean.scored_oof[folds != 1], leaky.scored_oof[folds != 1])


def test_rules_are_fitted_on_what_a_blend_says_of_rows_that_it_did_not_see(monkeypatch):
    seen = []

    def spy(blend_kind, members, targets, task, *, seed):
        seen.append(len(targets))
        return fit_stack(blend_kind, members, targets, task, seed=seed)

    monkeypatch.setattr("pipeline.ensembles.stacking.fit_stack", spy)
    targets, oof = rare_and_uncertain("binary", "f1", rows=90)
    test = np.repeat(oof[:, None, :1], 3, axis=1)
    fitting = fitting_of("binary", "f1", cautious=False, decisions=True)
    cross_fit("stack", oof, test, targets, np.arange(90) % 3, fitting)
    assert sorted(seen) == [30] * 6 + [60] * 3  # of each 60 rows, 30 for the other 30


def test_metrics_without_decisions_have_no_rule():
    assert not has_rule(*scoring_of("binary", "roc_auc"))
    assert not has_rule(*scoring_of("multiclass", "accuracy"))
    assert not has_rule(*scoring_of("ordinal", "f1_macro"))
    assert not has_rule(*scoring_of("regression", "rmse"))
    assert all(has_rule(get_metric(metric, kind), Task(kind)) for kind, metric in CASES)


@pytest.mark.parametrize(("kind", "metric"), [("multilabel", "f1_macro"), ("binary", "auc")])
def test_cross_fitted_blends_predict_new_rows_as_the_test_rows(kind, metric) -> None:
    targets, members = rare_and_uncertain(kind, metric, rows=240)
    folds = np.arange(len(targets)) % 3
    layers = np.stack([members[:, 40 * fold : 40 * fold + 40] for fold in range(3)], axis=1)
    fitting = fitting_of(kind, metric, decisions=True, calibrate="temperature")
    blends = {
        name: cross_fit(name, members, layers, targets, folds, fitting)
        for name in ("soft_vote", "greedy")
    }
    by_fold = [["soft_vote"], ["soft_vote", "greedy"], ["greedy"]]
    fitted = mean_by_fold(blends, by_fold, folds)
    found = fitted.apply(layers)
    assert_allclose(found[0], fitted.test.mean(axis=0))
    assert_allclose(found[1], fitted.submitted)
    assert (np.abs(found[1] - found[0]).max() > 0.01) == (metric == "f1_macro")
    ignored = np.flatnonzero(~fitted.uses)
    layers[ignored] = 0.5
    assert_allclose(fitted.apply(layers), found)


def test_members_of_no_weight_are_not_used() -> None:
    """The second is better than a constant, so that it is not left out, and adds nothing."""
    targets, members = rare_and_uncertain("multiclass", "log_loss", rows=300)
    noise = np.random.default_rng(3).dirichlet([1, 1, 1], len(targets))
    members = np.stack([0.9 * targets + 0.1 / 3, 0.6 * members[0] + 0.4 * noise])
    fitting = fitting_of("multiclass", "accuracy")
    folds, layers = np.arange(len(targets)) % 3, np.repeat(members[:, None, :9], 3, axis=1)
    fitted = cross_fit("greedy", members, layers, targets, folds, fitting)
    assert not fitted.useless.any()
    assert fitted.weights[:, 1].tolist() == [0, 0, 0]
    assert fitted.uses.tolist() == [True, False]
    vote = cross_fit("soft_vote", members, layers, targets, folds, fitting)
    assert vote.uses.tolist() == [True, True]
