"""The constant that a metric likes best, and members that are no better."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.core.task import Task
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.preparation import no_better_than_constant
from pipeline.estimates.constant import best_constant, cross_fit_constant
from pipeline.metrics.find_metric import get_metric

COLUMN = np.array([[0.0], [0.0], [3.0], [7.0], [15.0]])


@pytest.mark.parametrize(
    ("metric", "value"),
    [("rmse", 5.0), ("mae", 3.0), ("rmsle", np.exp(np.log([1, 1, 4, 8, 16]).mean()) - 1)],
)
def test_numbers_have_the_constant_of_their_metric(metric, value):
    found = best_constant(COLUMN, get_metric(metric, "regression"), Task("regression"))
    assert_allclose(found, [value])


def test_classes_have_shares_for_log_loss_and_one_class_for_f1():
    targets = np.eye(2)[[0, 0, 0, 1]]
    for metric, row in (("log_loss", [0.75, 0.25]), ("accuracy", [0.75, 0.25]), ("f1", [0, 1])):
        found = best_constant(targets, get_metric(metric, "binary"), Task("binary"))
        assert_array_equal(found, row)


def test_labels_have_their_shares_or_all_of_them():
    targets = np.array([[1.0, 0], [0, 0], [0, 1], [0, 0]])
    for metric, row in (("log_loss", [0.25, 0.25]), ("f1_macro", [1, 1])):
        found = best_constant(targets, get_metric(metric, "multilabel"), Task("multilabel"))
        assert_array_equal(found, row)


def test_levels_have_their_median_for_absolute_errors():
    targets = np.eye(3)[[0, 0, 0, 2, 2]]
    task = Task("ordinal", np.array([0.0, 1.0, 10.0]))
    assert_array_equal(best_constant(targets, get_metric("mae", "ordinal"), task), [1, 0, 0])
    squared = best_constant(targets, get_metric("rmse", "ordinal"), task)
    assert_allclose(squared, [0.6, 0, 0.4])


def test_a_row_s_constant_is_of_the_other_folds():
    folds = np.array([0, 0, 0, 1, 1])
    metric, task = get_metric("rmse", "regression"), Task("regression")
    values = cross_fit_constant(COLUMN, folds, metric, task)
    assert_array_equal(values[:, 0], [11, 11, 11, 1, 1])


def members(*skills, rows=400):
    """Binary members (M, N, 2) whose log odds know the label by so much."""
    rng = np.random.default_rng(0)
    targets = np.eye(2)[rng.integers(2, size=rows)]
    odds = np.exp(
        np.array(skills)[:, None, None] * targets + rng.normal(size=(len(skills), rows, 2))
    )
    return targets, odds / odds.sum(axis=-1, keepdims=True)


def test_a_member_that_knows_nothing_is_left_out_and_one_that_only_ranks_is_not():
    targets, values = members(2.0, 0.0, 2.0)
    far_off = values[2] ** 6  # ranks as before, with odds that are far too sure
    values[2] = far_off / far_off.sum(axis=1, keepdims=True)
    auc, loss = (get_metric(name, "binary") for name in ("roc_auc", "log_loss"))
    found = no_better_than_constant(values, targets, auc, Task("binary"))
    if auc.score(targets, values[1], Task("binary")) < 0.5:
        assert found.tolist() == [False, True, False]
    found = no_better_than_constant(values[:2], targets, loss, Task("binary"))
    assert found.tolist() == [False, True]
    fitting = BlendFitting(Task("binary"), loss, seed=0)
    blend = fit_blend("soft_vote", values[:2], targets, None, fitting)
    assert_allclose(blend.apply(values[:2]), values[0])
    assert blend.useless.tolist() == [False, True]
    assert blend.weights.tolist() == [1, 0]


@pytest.mark.parametrize("rows", [60, 400])
def test_where_no_member_is_surely_better_than_a_constant_all_stay(rows):
    """Some are better, some worse, by luck."""
    targets, values = members(0.0, 0.05, 0.0, -0.05, rows=rows)
    values = (values + 9) / (values + 9).sum(axis=-1, keepdims=True)  # hardly more than a constant
    metric, task = get_metric("roc_auc", "binary"), Task("binary")
    worse = no_better_than_constant(values, targets, metric, task)
    assert 0 < worse.sum() < 4
    blend = fit_blend("soft_vote", values, targets, None, BlendFitting(task, metric, seed=0))
    assert not blend.useless.any()
