"""Test rows without labels: quiet where they are drawn alike, by hand where they are not."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.task import Task
from pipeline.estimates.evidence import Evidence
from pipeline.estimates.label_free import judge_test_rows, share_borne_out
from pipeline.estimates.label_free_ways import scores_by_way
from pipeline.estimates.shift import ToldApart, design_effect, signals_of_shift
from pipeline.metrics.find_metric import get_metric

NUM_FOLDS = 3


def evidence_of(metric, kind, oof, targets, test, **more):
    folds = np.arange(len(oof)) % len(test)
    return Evidence(oof, targets, test, folds, get_metric(metric, kind), Task(kind), **more)


def binary(*sure):
    """Predictions (N, 2) of class 0."""
    return np.stack([np.array(sure), 1 - np.array(sure)], axis=1)


def drawn(num_rows, rng, *, blur=0.0, classes=4, signal=2.0):
    """Made-up classes: what 3 members say of rows (3, N, C), and labels (N, C).

    With `blur` a part of the signal is lost and members see more noise of their own.
    """
    labels = rng.integers(classes, size=num_rows)
    targets = np.eye(classes)[labels]
    shared = rng.normal(size=(num_rows, classes))
    own = rng.normal(size=(3, num_rows, classes))
    logits = signal * (1 - blur) * targets + shared + (0.5 + blur) * own
    odds = np.exp(1.5 * logits)
    return odds / odds.sum(axis=-1, keepdims=True), targets


def made_up(seed, *, blur, metric="accuracy", num_rows=1200, num_test=400, **more):
    rng = np.random.default_rng(seed)
    oof, targets = drawn(num_rows, rng, **more)
    test, answers = drawn(num_test, rng, blur=blur, **more)
    test = np.repeat(test[:, None], NUM_FOLDS, axis=1)
    evidence = evidence_of(
        *(metric, "multiclass", oof.mean(0), targets, test.mean(0)),
        members_oof=oof,
        members_test=test,
    )
    return evidence, answers


# Signals.


def test_rows_drawn_alike_raise_a_false_alarm_in_5_of_100_at_most():
    alarms = 0
    for seed in range(100):
        evidence, _ = made_up(seed, blur=0.0, num_rows=300, num_test=100)
        alarms += any(signal.differs for signal in signals_of_shift(evidence, seed=seed)[0])
    assert alarms <= 5


def test_blurred_rows_are_told_by_confidence_and_disagreement():
    evidence, _ = made_up(0, blur=0.4)
    signals = {signal.name: signal for signal in signals_of_shift(evidence, seed=0)[0]}
    for name, sign in (("mean confidence", -1), ("members' disagreement", 1)):
        assert signals[name].differs
        assert sign * (signals[name].test - signals[name].train) > 0


def test_another_share_of_classes_is_told_by_mean_predictions():
    oof = np.repeat([[0.9, 0.1], [0.1, 0.9]], [100, 100], axis=0)
    layer = np.repeat([[0.9, 0.1], [0.1, 0.9]], [80, 20], axis=0)
    evidence = evidence_of("accuracy", "binary", oof, np.round(oof), np.stack([layer] * 2))
    told = {signal.name: signal.differs for signal in signals_of_shift(evidence, seed=0)[0]}
    assert told == {"mean confidence": False, "mean predictions": True}


def test_features_tell_what_predictions_do_not():
    evidence, _ = made_up(0, blur=0.0, num_rows=400, num_test=200)
    features = np.random.default_rng(1).normal(size=(600, 2, 8))
    alike, _ = signals_of_shift(replace(evidence, features=features), seed=0)
    features[400:, :, 0] += 2
    moved, told = signals_of_shift(replace(evidence, features=features), seed=0)
    assert [signal.differs for signal in alike] == [False] * 4
    assert [signal.differs for signal in moved] == [False] * 3 + [True]
    assert np.corrcoef(told.probs, features[:400, :, 0].mean(axis=1))[0, 1] > 0.5


def test_rows_of_a_group_count_once():
    """Ten groups of equal rows: the mean of 100 rows varies as that of 10 does."""
    values = np.repeat(np.arange(10.0), 10)
    effect, number = design_effect(values, np.repeat(np.arange(10), 10))
    assert (effect, number) == (pytest.approx(10 * 10 / 9), 10)
    assert design_effect(values, None) == (1.0, 100)


def test_groups_that_differ_raise_no_alarm():
    """Persons differ in how sure models are of them; test rows are two other persons."""
    alarms = {True: 0, False: 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        persons = np.repeat(np.arange(12), 50)
        sure = np.clip(rng.normal(0.8, 0.08, size=12)[persons], 0.5, 1)
        oof, layer = binary(*sure[:500]), binary(*sure[500:])
        for grouped in alarms:
            evidence = evidence_of(
                *("accuracy", "binary", oof, np.round(oof), layer[None]),
                groups=persons[:500] if grouped else None,
            )
            evidence = replace(evidence, folds=persons[:500] % 5)
            signals = signals_of_shift(evidence, seed=seed)[0]
            alarms[grouped] += any(signal.differs for signal in signals)
    assert alarms[True] <= 4 < 20 < alarms[False]


# Ways, by hand.


def test_difference_of_confidences_is_what_the_mean_confidence_loses():
    """Three quarters right at .75: nothing to calibrate, one row more counts almost nothing."""
    num_rows = 20_000
    oof = binary(*[0.75] * num_rows)
    targets = np.eye(2)[(np.arange(num_rows) % 4 == 0).astype(int)]
    layers = np.stack([binary(*[0.75, 0.55] * 50), binary(*[0.65, 0.65] * 50)])
    evidence = evidence_of("accuracy", "binary", oof, targets, layers)
    found = scores_by_way(evidence, None, seed=0)
    assert found["difference of confidences"] == pytest.approx(0.65, abs=1e-3)


def test_confidence_counts_after_it_is_made_as_sure_as_it_is_right():
    """Three quarters right at .9, so log odds are halved, and .6 becomes .5505."""
    num_rows = 20_000
    targets = np.eye(2)[(np.arange(num_rows) % 4 == 0).astype(int)]
    layers = binary(*[0.6] * 100)[None]
    evidence = evidence_of("accuracy", "binary", binary(*[0.9] * num_rows), targets, layers)
    found = scores_by_way(evidence, None, seed=0)
    assert found["difference of confidences"] == pytest.approx(0.5505, abs=1e-3)


def test_the_threshold_is_the_confidence_that_as_many_lie_above_as_are_right():
    """Of ten rows three are wrong, so .65, the third lowest, is the limit; 5 of 10 lie above."""
    oof = binary(0.95, 0.9, 0.85, 0.8, 0.75, 0.72, 0.7, 0.65, 0.6, 0.55)
    targets = np.eye(2)[[0, 0, 1, 0, 0, 0, 1, 0, 0, 1]]
    layers = binary(0.99, 0.9, 0.8, 0.68, 0.67, 0.62, 0.61, 0.6, 0.55, 0.52)[None]
    evidence = evidence_of("accuracy", "binary", oof, targets, layers)
    found = scores_by_way(evidence, None, seed=0)
    assert found["average thresholded confidence"] == pytest.approx(0.5)


def test_agreement_moves_accuracy_on_the_probit_scale():
    """Two members agree on 84.13% of training rows and 50% of test rows: one unit of probit."""
    num_rows, agreeing = 10_000, 8413
    a, b = np.zeros(num_rows, dtype=int), (np.arange(num_rows) >= agreeing).astype(int)
    members_oof = np.stack([np.eye(2)[a], np.eye(2)[b]])
    members_test = np.stack([np.eye(2)[[0] * 10], np.eye(2)[[0, 1] * 5]])[:, None]
    oof, targets = np.eye(2)[a], np.eye(2)[(np.arange(num_rows) >= 9772).astype(int)]
    evidence = evidence_of(
        *("accuracy", "binary", oof, targets, members_test.mean(0)),
        members_oof=members_oof,
        members_test=members_test,
    )
    found = scores_by_way(evidence, None, seed=0)
    assert found["agreement of members"] == pytest.approx(0.8413, abs=1e-3)  # from 2 to 1


def test_importance_weights_count_rows_like_test_rows_for_more():
    """Odds of 3 and 1, right and wrong: (3 * 1 + 1 * 0) / 4."""
    right = np.arange(400) < 200
    oof = binary(*np.where(right, 0.9, 0.1))
    evidence = evidence_of("accuracy", "binary", oof, np.eye(2)[[0] * 400], oof[None])
    told = ToldApart(np.arange(400), np.where(right, 0.75, 0.5))
    found = scores_by_way(evidence, told, seed=0)
    assert found["importance weights"] == pytest.approx(0.75, abs=1e-3)


def test_few_rows_like_test_rows_say_nothing():
    evidence, _ = made_up(0, blur=0.0)
    probs = np.where(np.arange(1200) < 20, 0.999, 0.001)
    told = ToldApart(np.arange(1200), probs)
    assert "importance weights" not in scores_by_way(evidence, told, seed=0)


def test_residuals_grow_with_disagreement():
    """Members lie 1 apart where errors are 1, 3 apart where they are 3; test rows all 3."""
    rng = np.random.default_rng(0)
    half = np.tile([0.5, 1.5], 2000)[:, None]
    oof = np.zeros((4000, 1))
    targets = 2 * half * rng.choice([-1, 1], size=(4000, 1))
    test = np.zeros((2, 1000, 1))
    members_oof = np.stack([oof - half, oof + half])
    members_test = np.stack([test - 1.5, test + 1.5])
    evidence = evidence_of(
        *("mae", "regression", oof, targets, test),
        members_oof=members_oof,
        members_test=members_test,
    )
    found = scores_by_way(evidence, None, seed=0)
    assert found == {
        "residuals by disagreement": pytest.approx(3.0, abs=0.02),
        "agreement of members": pytest.approx(2 * 3 / 2),  # 1 and 3 apart before, 3 now
    }


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "f1_macro"])
def test_more_disagreement_never_raises_what_agreement_tells(metric):
    told = []
    for blur in (0.0, 0.2, 0.4, 0.6):
        evidence, _ = made_up(3, blur=blur, metric=metric)
        told.append(scores_by_way(evidence, None, seed=0)["agreement of members"])
    worse = -1 if metric == "log_loss" else 1
    assert (np.diff(told) * worse < 0).all()


def test_more_disagreement_never_lowers_the_error_that_residuals_tell():
    rng = np.random.default_rng(0)
    oof, targets, test = np.zeros((200, 1)), rng.normal(size=(200, 1)), np.zeros((2, 50, 1))
    members_oof, members_test = rng.normal(size=(3, 200, 1)), rng.normal(size=(3, 2, 50, 1))
    told = []
    for width in (0.5, 1.0, 2.0, 4.0):
        evidence = evidence_of(
            *("rmse", "regression", oof, targets, test),
            members_oof=members_oof,
            members_test=width * members_test,
        )
        told.append(scores_by_way(evidence, None, seed=0)["residuals by disagreement"])
    assert (np.diff(told) >= 0).all()


# The estimate.


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc"])
def test_without_a_shift_the_estimate_is_the_score_out_of_fold(metric):
    evidence, answers = made_up(5, blur=0.0, metric=metric)
    judged = judge_test_rows(evidence, seed=0)
    assert not judged.differs
    assert judged.expected == pytest.approx(evidence.oof_score, rel=0.1)
    assert judged.low <= evidence.score(answers, evidence.test[0]) <= judged.high


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc", "f1_macro"])
def test_with_a_shift_the_estimate_is_nearer_to_the_truth(metric):
    evidence, answers = made_up(5, blur=0.4, metric=metric)
    judged = judge_test_rows(evidence, gain=0.02, seed=0)
    truth = evidence.score(answers, evidence.test[0])
    assert judged.differs
    assert judged.gain == 0
    assert judged.low <= truth <= judged.high
    assert abs(judged.expected - truth) < 0.6 * abs(evidence.oof_score - truth)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_where_features_tell_test_rows_errors_may_grow_unnoticed(metric):
    """An AUC of 1 beside folds' .5: the interval reaches down to twice the errors."""
    evidence, _ = made_up(7, blur=0.0, metric=metric, num_rows=300, num_test=100)
    features = np.random.default_rng(1).normal(size=(400, 1, 4))
    features[300:] += 10
    blind, seen = (judge_test_rows(replace(evidence, features=f), seed=0) for f in (None, features))
    assert (blind.differs, seen.differs) == (False, True)
    assert seen.expected == pytest.approx(blind.expected, abs=0.03)
    if metric == "accuracy":
        assert seen.low < 1 - 1.8 * (1 - evidence.oof_score) < blind.low
    else:
        assert seen.high > 1.8 * evidence.oof_score > blind.high


def test_noise_is_expected_at_chance():
    rng = np.random.default_rng(0)
    odds = rng.gamma(0.3, size=(3, 900, 4)) + 1e-6
    members = odds / odds.sum(axis=-1, keepdims=True)
    targets = np.eye(4)[rng.integers(4, size=900)]
    oof, test = members[:, :600], np.repeat(members[:, None, 600:], NUM_FOLDS, axis=1)
    evidence = evidence_of(
        *("accuracy", "multiclass", oof.mean(0), targets[:600], test.mean(0)),
        members_oof=oof,
        members_test=test,
    )
    judged = judge_test_rows(evidence, seed=0)
    assert judged.expected == pytest.approx(0.25, abs=0.04)
    assert judged.low < 0.25 < judged.high


@pytest.mark.parametrize(("metric", "perfect"), [("accuracy", 1.0), ("log_loss", 0.0)])
def test_all_right_is_no_certainty_and_never_beyond_the_range(metric, perfect):
    """120 of 120 right: the interval has a width, and ends where the metric ends."""
    oof = np.eye(2)[np.arange(120) % 2]
    test = np.repeat(oof[None, :40], 2, axis=0)
    judged = judge_test_rows(evidence_of(metric, "binary", oof, oof, test), gain=0.05, seed=0)
    assert judged.low <= perfect <= judged.high
    assert judged.low >= 0
    if metric == "accuracy":
        assert judged.low < 0.97 < 1 == judged.high  # one of the 40 may be wrong


def test_numbers_of_one_member_without_features_have_no_estimate():
    rng = np.random.default_rng(0)
    oof, test = rng.normal(size=(100, 1)), rng.normal(size=(2, 50, 1)) + 3
    judged = judge_test_rows(evidence_of("rmse", "regression", oof, oof, test), seed=0)
    assert judged.differs
    assert judged.by_way == {}
    assert np.isnan([judged.expected, judged.low, judged.high]).all()


# The gain of averaging.


def test_the_gain_counts_as_far_as_held_out_disagreement_bears_it_out():
    """Twice the disagreement on test rows: a quarter of the gain; less than held out: all."""
    oof = np.array([0.6, 0.8])[:, None, None] * np.ones((2, 10, 1))
    for width, share in ((0.4, 0.25), (0.2, 1.0), (0.1, 1.0)):
        test = np.array([0.7 - width / 2, 0.7 + width / 2])[:, None, None, None]
        test = test * np.ones((2, 2, 5, 1))
        evidence = evidence_of(
            *("rmse", "regression", oof.mean(0), oof.mean(0), test.mean(0)),
            members_oof=oof,
            members_test=test,
        )
        assert share_borne_out(evidence) == pytest.approx(share)


def test_the_gain_of_one_member_counts_as_far_as_its_doubts_are_as_small():
    """Doubts of .1 held out, .2 on test rows."""
    oof, test = binary(*[0.9] * 10), binary(*[0.8] * 10)[None]
    evidence = evidence_of("accuracy", "binary", oof, np.round(oof), test)
    assert share_borne_out(evidence) == pytest.approx(0.25)
