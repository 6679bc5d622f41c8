"""Base rates: what a model learnt of the other folds' labels never reaches a blend (law 3)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.core.task import Task
from pipeline.ensembles.base_rates import at_one_level, model_levels, move_to_level_of
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.metrics.find_metric import get_metric

FOLDS = np.repeat(np.arange(5), 12)
LEVELS = np.array([0.0, 1.0, 3.0])
METRICS = {
    **{"binary": "log_loss", "multiclass": "log_loss", "multilabel": "log_loss"},
    **{"ordinal": "rmse", "regression": "rmse"},
}
BLENDS = ("weighted", "greedy", "stack", "stack_ridge", "stack_lightgbm")


def targets_by_fold(kind):
    """Targets (60, C) whose mean is each fold's own, as where folds are groups."""
    rng = np.random.default_rng(0)
    if kind == "regression":
        return rng.normal(size=(5, 1))[FOLDS] * 2 + rng.normal(size=(60, 1))
    if kind == "multilabel":
        return (rng.random((60, 2)) < np.array([0.1, 0.3, 0.5, 0.7, 0.9])[FOLDS, None]) + 0.0
    columns = 2 if kind == "binary" else 3
    often = (rng.random(60) < np.array([0.1, 0.3, 0.5, 0.7, 0.9])[FOLDS]).astype(int)
    return np.eye(columns)[often * (columns - 1)] * 0.98 + 0.02 / columns


def models_without_signal(targets):
    """Two members whose models predict the mean of their training rows, the second more or less."""
    rng = np.random.default_rng(1)
    means = np.stack([targets[k != FOLDS].mean(axis=0) for k in range(5)])
    layers = np.stack([np.repeat(means[:, None], 8, axis=1)] * 2)
    layers[1] = np.clip(layers[1] + rng.normal(0, 1e-3, layers[1].shape), 1e-3, None)
    oof = np.stack([means[FOLDS], np.clip(means[FOLDS] + rng.normal(0, 1e-3, (60, 1)), 1e-3, None)])
    return oof, layers


def test_levels_and_moves_by_hand():
    # Model 0 predicts 1 and 3 of two test rows, model 1 predicts 4 and 8: 4 more on average.
    layers = np.array([[[[1.0], [3.0]], [[4.0], [8.0]]]])
    levels = model_levels(layers, task=Task("regression"))
    assert_array_equal(levels, [[[2.0], [6.0]]])
    moved = move_to_level_of(
        0, np.full((1, 3, 1), 5.0), np.ones(3, int), levels, task=Task("regression")
    )
    assert_array_equal(moved, np.full((1, 3, 1), 1.0))


def test_log_odds_are_moved_not_probabilities():
    # Odds of 1 and of 4: what model 1 predicts at odds of 8 is moved to odds of 2.
    layers = np.array([[[[0.5]], [[0.8]]]])
    levels = model_levels(layers, task=Task("multilabel"))
    moved = move_to_level_of(
        0, np.full((1, 1, 1), 8 / 9), np.ones(1, int), levels, task=Task("multilabel")
    )
    assert_allclose(moved, 2 / 3)


@pytest.mark.parametrize("kind", METRICS)
def test_models_without_signal_all_predict_what_the_held_out_folds_model_does(kind):
    oof, layers = models_without_signal(targets_by_fold(kind))
    levels = model_levels(layers, task=Task(kind))
    for fold in range(5):
        known = fold != FOLDS
        moved = move_to_level_of(fold, oof[:1, known], FOLDS[known], levels[:1], task=Task(kind))
        assert_allclose(moved, np.broadcast_to(layers[0, fold, 0], moved.shape), atol=1e-9)


def test_where_a_member_shows_no_models_its_folds_are_moved_to_one_mean():
    values = np.array([[[1.0], [3.0], [10.0], [12.0]]])
    levels = model_levels(np.ones((1, 3, 2, 1)), task=Task("regression"))
    assert np.isnan(levels).all()
    moved = move_to_level_of(2, values, np.array([0, 0, 1, 1]), levels, task=Task("regression"))
    assert_array_equal(moved[0, :, 0], [5.5, 7.5, 5.5, 7.5])


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("blend", BLENDS)
def test_no_blend_reads_the_held_out_folds_labels_off_models_that_know_nothing(blend, kind):
    targets = targets_by_fold(kind)
    oof, layers = models_without_signal(targets)
    metric = get_metric(METRICS[kind], kind)
    task = Task(kind, LEVELS if kind == "ordinal" else None)
    fitting = BlendFitting(task, metric, 0, cautious=False)
    fitted = cross_fit(blend, oof, layers, targets, FOLDS, fitting)
    ours, members = (metric.score(targets, values, task) for values in (fitted.oof, oof[0]))
    assert ours > members - 0.02 * abs(members)  # both are better low


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("kind", ["binary", "multilabel"])
def test_models_that_know_nothing_rank_at_chance_over_all_folds(kind, metric):
    """Not far below it, as the folds' base rates would have it."""
    targets = np.round(targets_by_fold(kind))
    oof, layers = models_without_signal(targets)
    metric = get_metric(metric, kind)
    fitting = BlendFitting(Task(kind), metric, 0)
    fitted = cross_fit("soft_vote", oof[:1], layers[:1], targets, FOLDS, fitting)
    chance = metric.score(targets, np.full(targets.shape, 0.5), Task(kind))
    assert metric.score(targets, fitted.scored_oof, Task(kind)) == pytest.approx(chance)
    assert metric.score(targets, fitted.oof, Task(kind)) < chance - 0.1
    assert_array_equal(fitted.submitted_test, fitted.test)


def test_one_level_keeps_the_order_of_a_fold_s_rows():
    rng = np.random.default_rng(0)
    oof, layers = rng.dirichlet(np.ones(3), 60), rng.dirichlet(np.ones(3), (5, 9))
    how = {"task": Task("multiclass"), "metric": get_metric("roc_auc", "multiclass")}
    moved = at_one_level(oof, FOLDS, layers, **how)
    for fold in range(5):
        rows = fold == FOLDS
        assert_array_equal(moved[rows].argsort(axis=0), oof[rows].argsort(axis=0))
    assert_array_equal(at_one_level(oof, FOLDS, layers[[0] * 5], **how), oof)
