"""Diversity: correlations by hand, near-copies left out, and what a member is worth."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.core.task import Task
from pipeline.ensembles.base_rates import model_levels
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.contestants import oof_without_each
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.diversity import error_correlation, originals
from pipeline.ensembles.fitting import BlendFitting
from pipeline.metrics.find_metric import get_metric

BINARY = BlendFitting(Task("binary"), get_metric("log_loss", "binary"), seed=0)
READY = replace(BINARY, cautious=False)


def make_members(*, rows=300, seed=0, skills=(2.0, 1.0, 0.5)):
    rng = np.random.default_rng(seed)
    targets = np.eye(2)[rng.integers(2, size=rows)]
    odds = np.array(skills)[:, None] * (2 * targets[:, 1] - 1) + rng.normal(size=(3, rows))
    positive = 1 / (1 + np.exp(-odds))
    return targets, np.stack([1 - positive, positive], axis=-1)


def test_correlation_by_hand():
    targets = np.array([[0.0, 0], [0, 0], [1, 10], [1, 10]])
    error = np.array([[1.0, 10], [-1, -10], [1, 10], [-1, -10]])
    other = np.array([[1.0, 10], [1, 10], [-1, -10], [-1, -10]])
    members = targets + np.stack([error, -3 * error, other, 0 * error])
    found = error_correlation(members, targets)
    assert_allclose(found, [[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], atol=1e-12)


def test_targets_in_any_unit_weigh_alike():
    rng = np.random.default_rng(0)
    targets, members = rng.normal(size=(50, 2)), rng.normal(size=(3, 50, 2))
    assert_allclose(
        error_correlation(members * [1, 1000], targets * [1, 1000]),
        error_correlation(members, targets),
    )


def test_the_earliest_of_copies_stays_and_copies_of_the_left_out_do_not_count():
    r = np.eye(4)
    r[0, 1] = r[1, 0] = r[1, 2] = r[2, 1] = 0.9995  # 2 is like 1, but not like 0
    assert_array_equal(originals(r), [0, 0, 2, 3])
    assert_array_equal(originals(r, copy=0.9999), [0, 1, 2, 3])


def test_a_near_copy_has_no_voice():
    targets, members = make_members()
    nearly = members[0] + 1e-4 * np.random.default_rng(0).normal(size=targets.shape)
    doubled = np.stack([members[0], nearly, *members[1:]])
    for blend_kind in ("soft_vote", "weighted", "geometric", "stack"):
        clean = fit_blend(blend_kind, members, targets, None, READY)
        pruned = fit_blend(blend_kind, doubled, targets, None, READY)
        assert_allclose(pruned.apply(doubled), clean.apply(members))
        assert_array_equal(pruned.first, [0, 0, 2, 3])
        if clean.weights is not None:
            assert_allclose(pruned.weights, np.insert(clean.weights, 1, 0.0))


def test_who_asks_for_all_members_gets_near_copies_too():
    targets, members = make_members()
    doubled = np.stack([members[0], members[0], members[1]])
    blend = fit_blend("soft_vote", doubled, targets, None, replace(BINARY, prune=False))
    assert_array_equal(blend.first, [0, 1, 2])
    assert_allclose(blend.apply(doubled), (2 * members[0] + members[1]) / 3)


def test_a_copy_that_differs_in_temperature_only_is_found_after_calibration():
    targets, members = make_members()
    odds = members[0] ** 0.3
    doubled = np.stack([members[0], odds / odds.sum(axis=1, keepdims=True), members[1]])
    for calibrate, first in (("none", [0, 1, 2]), ("temperature", [0, 0, 2])):
        fitting = replace(BINARY, calibrate=calibrate)
        blend = fit_blend("soft_vote", doubled, targets, None, fitting)
        assert_array_equal(blend.first, first)


def test_a_folds_targets_do_not_choose_what_is_left_out_of_it():
    # Errors are another's but on fold 1, where targets are wrong: only they tell the two apart.
    targets, members = make_members()
    folds = np.arange(300) % 3
    members[1] = members[0]
    members[1, folds == 1] = members[0, folds == 1, ::-1]
    test = np.repeat(members[:, None, :2], 3, axis=1)
    first = cross_fit("soft_vote", members, test, targets, folds, BINARY).first
    assert_array_equal(first, [[0, 1, 2], [0, 0, 2], [0, 1, 2]])


def test_leaving_out_the_best_member_costs_most():
    targets, members = make_members(rows=600)
    folds = np.arange(600) % 3
    levels = model_levels(np.repeat(members[:, None, :1], 3, axis=1), task=Task("binary"))
    left = oof_without_each("weighted", members, targets, folds, READY, base_levels=levels)
    scores = [BINARY.metric.score(targets, oof, Task("binary")) for oof in left]
    test = np.repeat(members[:, None, :1], 3, axis=1)
    all_of_them = cross_fit("weighted", members, test, targets, folds, READY).oof
    assert scores[0] > max(scores[1:])
    assert scores[0] > BINARY.metric.score(targets, all_of_them, Task("binary"))
    alone = oof_without_each("weighted", members[:1], targets, folds, READY, base_levels=levels[:1])
    assert alone == []


@pytest.mark.parametrize("m", range(3))
def test_what_is_said_without_a_member_is_said_by_the_blend_of_the_others(m):
    targets, members = make_members()
    folds = np.arange(300) % 3
    levels = model_levels(np.repeat(members[:, None, :1], 3, axis=1), task=Task("binary"))
    left = oof_without_each("weighted", members, targets, folds, READY, base_levels=levels)
    others = np.delete(members, m, axis=0)
    fitted = cross_fit(
        "weighted", others, np.repeat(others[:, None, :9], 3, axis=1), targets, folds, READY
    )
    assert_array_equal(left[m], fitted.oof)
