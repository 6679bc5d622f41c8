"""Rounds of pseudo-labels: where the gain ends, by rows that are not scored; and what it is."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.core.task import Task
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.contestants import oof_without_each
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.rounds import gains_by_round, while_gaining, without
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import get_metric

TARGETS = np.eye(2)[[0, 1] * 30]


def saying(*right, targets=TARGETS):
    """Members (M, N, C) that give the true class these probabilities, on each row."""
    positive = np.array(right)[:, None, None]
    return targets * positive + (1 - targets) * (1 - positive)


def scoring(metric="log_loss"):
    return get_metric(metric, "binary"), Task("binary")


FITTING = BlendFitting(Task("binary"), get_metric("log_loss", "binary"), seed=0)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc"])  # better low, better high
def test_rounds_stay_until_the_first_without_a_gain(metric):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1, 60, 1)) * [[[1, -1]]]
    members = np.clip(saying(0.5, 0.6, 0.7, 0.65, 0.9) + 0.1 * noise, 0.01, 0.99)
    for series, stays in (
        ([], [1, 1, 1, 1, 1]),
        ([[0, 1, 2, 3, 4]], [1, 1, 1, 0, 0]),  # 4 is best, but comes after the end
        ([[0, 1, 2, 4]], [1, 1, 1, 1, 1]),
        ([[1, 0, 2]], [0, 1, 0, 1, 1]),
        ([[2, 3], [0, 1, 4]], [1, 1, 1, 0, 1]),
    ):
        found = while_gaining(members, TARGETS, series, *scoring(metric))
        assert_array_equal(found, np.array(stays, bool))


def test_an_equal_score_is_no_gain():
    members = saying(0.6, 0.6)
    assert_array_equal(while_gaining(members, TARGETS, [[0, 1]], *scoring()), [True, False])


def test_a_series_without_one_of_its_rounds():
    assert without([[0, 2, 3], [1, 4]], 2) == [[0, 2], [1, 3]]
    assert without([[0, 2, 3]], 1) == [[0, 1, 2]]


def test_gains_by_hand():
    members = saying(0.5, 0.8, 0.4)
    found = gains_by_round(members, TARGETS, *scoring(), Resampling(0))
    assert_allclose([entry["score"] for entry in found], -np.log([0.5, 0.8, 0.4]))
    assert found[0].keys() == {"score"}
    assert_allclose([entry["gain"] for entry in found[1:]], [np.log(1.6), -np.log(2)])
    assert [entry["probability"] for entry in found[1:]] == [1.0, 0.0]
    # On every row alike, so that all resamples say the same.
    assert_allclose([found[1]["low"], found[1]["high"]], np.log(1.6))


def test_a_fold_s_rows_have_no_say_in_which_rounds_it_gets():
    # The second round is better on fold 0 only, and there by far.
    folds = np.arange(60) % 3
    members = saying(0.6, 0.55)
    members[1, folds == 0] = saying(0.99, targets=TARGETS[folds == 0])[0]
    test = np.repeat(members[:, None, :4], 3, axis=1)
    fitted = cross_fit(
        "soft_vote", members, test, TARGETS, folds, replace(FITTING, series=[[0, 1]])
    )
    assert_array_equal(fitted.stays, [[1, 0], [1, 1], [1, 1]])
    assert_allclose(fitted.weights, [[1, 0], [0.5, 0.5], [0.5, 0.5]])
    assert_allclose(fitted.oof[folds == 0], members[0, folds == 0])
    assert_allclose(fitted.oof[folds == 1], members[:, folds == 1].mean(0))
    assert_allclose(fitted.test, [members[0, :4], *[members[:, :4].mean(0)] * 2])


def test_copies_among_those_that_stay_are_named_by_their_place_among_all():
    rng = np.random.default_rng(0)
    odds = rng.normal(size=(4, 60)) + (2 * TARGETS[:, 1] - 1) * [[1], [0.2], [1], [1]]
    odds[3] = odds[2]
    positive = 1 / (1 + np.exp(-odds))
    members = np.stack([1 - positive, positive], axis=-1)
    folds = np.arange(60) % 3
    test = np.repeat(members[:, None, :2], 3, axis=1)
    series = [[0, 1]]
    fitted = cross_fit("soft_vote", members, test, TARGETS, folds, replace(FITTING, series=series))
    assert_array_equal(fitted.stays, [[1, 0, 1, 1]] * 3)
    assert_array_equal(fitted.first, [[0, 1, 2, 2]] * 3)
    assert_allclose(fitted.weights, [[0.5, 0, 0.5, 0]] * 3)


def test_what_a_round_is_worth_is_told_with_the_others_in_their_places():
    # Without member 0 the series is of 1 and 2: the second loses, and leaves 1 alone.
    folds, members = np.arange(60) % 3, saying(0.9, 0.6, 0.55)
    left = oof_without_each(
        *("soft_vote", members, TARGETS, folds),
        replace(FITTING, series=[[1, 2]]),
        base_levels=np.full((3, 3, 2), np.nan),
    )
    score = FITTING.metric.score(TARGETS, left[0], Task("binary"))
    alone = fit_blend("soft_vote", members[1:2], TARGETS, None, FITTING).apply(members[1:2])
    assert score == pytest.approx(FITTING.metric.score(TARGETS, alone, Task("binary")))
    assert score == pytest.approx(-np.log(0.6))
