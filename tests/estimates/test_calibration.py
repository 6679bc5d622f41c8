"""Calibration: it finds what was done to the odds, keeps the form, and never sees scored rows."""

from typing import get_args

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit, softmax

from pipeline.config.schema import Calibrate
from pipeline.core.task import Task
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.estimates.calibration import fit_calibration
from pipeline.metrics.find_metric import get_metric

LEVELS = np.arange(3.0)
KINDS = ("binary", "multiclass", "ordinal", "multilabel")


def drawn(kind, *, rows=20_000, seed=0):
    """Probabilities (N, C) and targets that were drawn from them."""
    rng = np.random.default_rng(seed)
    if kind == "multilabel":
        probs = expit(rng.normal(size=(rows, 3)) * 2 - 1)
        return probs, (rng.random(probs.shape) < probs).astype(float)
    columns = 2 if kind == "binary" else 3
    probs = softmax(rng.normal(size=(rows, columns)) * 2, axis=1)
    picked = (rng.random((rows, 1)) > np.cumsum(probs, axis=1)).sum(axis=1)
    return probs, np.eye(columns)[np.minimum(picked, columns - 1)]


def flattened(probs, temperature, kind):
    if kind == "multilabel":
        return expit(logit(probs) / temperature + 1)  # and shifted, as by a weighted loss
    return softmax(np.log(probs) / temperature, axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("kind", KINDS)
def test_it_undoes_a_temperature(kind, temperature):
    probs, targets = drawn(kind)
    raw = flattened(probs, temperature, kind)
    fitted = fit_calibration("temperature", raw, targets, Task(kind, LEVELS))
    assert_allclose(fitted(raw), probs, atol=0.03)
    assert np.abs(raw - probs).max() > 0.1 or (temperature == 1 and kind != "multilabel")


@pytest.mark.parametrize("kind", KINDS)
def test_isotonic_comes_near_to_what_was_drawn(kind):
    probs, targets = drawn(kind)
    raw = flattened(probs, 3.0, kind)
    fitted = fit_calibration("isotonic", raw, targets, Task(kind))
    assert np.abs(fitted(raw) - probs).mean() < 0.25 * np.abs(raw - probs).mean()


def test_temperature_keeps_the_order_within_a_row():
    probs, targets = drawn("multiclass")
    fitted = fit_calibration("temperature", probs**3 + 0.01, targets, Task("multiclass"))
    assert_array_equal(np.argsort(fitted(probs), axis=1), np.argsort(probs, axis=1))


def test_one_number_is_the_best_one():
    raw, targets = drawn("multiclass", rows=400)

    def loss(calibrated):
        return -np.sum(targets * np.log(calibrated)) / len(targets)

    fitted = loss(fit_calibration("temperature", raw**2, targets, Task("multiclass"))(raw**2))
    tried = [loss(softmax(2 * s * np.log(raw), axis=1)) for s in np.linspace(0.1, 3, 500)]
    assert fitted <= min(tried) + 1e-4


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_errors_and_hard_zeros_make_nothing_certain(kind, method):
    columns = 2 if kind == "binary" else 3
    targets = np.eye(columns)[np.arange(60) % columns]
    said = fit_calibration(method, targets, targets, Task(kind, LEVELS))(targets)
    assert np.isfinite(said).all()
    if kind != "ordinal":  # squared error has no quarrel with certainty
        assert 0.9 < said.max() < 1
        assert said.min() > 0
    if kind != "multilabel":
        assert_allclose(said.sum(axis=1), 1)


@pytest.mark.parametrize("method", get_args(Calibrate))
def test_nothing_to_calibrate(method):
    values = np.random.default_rng(0).normal(size=(20, 1))
    assert_array_equal(fit_calibration(method, values, values, Task("regression"))(values), values)
    probs, targets = drawn("binary", rows=20)
    assert_array_equal(fit_calibration("none", probs, targets, Task("binary"))(probs), probs)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_folds_targets_never_calibrate_its_rows(kind, method):
    probs, targets = drawn(kind, rows=120)
    oof = np.stack([probs, flattened(probs, 2.0, kind)])
    folds = np.arange(120) % 3
    planted = targets.copy()
    planted[folds == 1] = np.roll(targets[folds == 1], 1, axis=1)
    test = np.repeat(oof[:, None, :5], 3, axis=1)
    metric = get_metric("accuracy", kind)
    fitting = BlendFitting(Task(kind, LEVELS), metric, 0, calibrate=method)
    clean, leaky = (
        cross_fit("soft_vote", oof, test, t, folds, fitting) for t in (targets, planted)
    )
    assert_array_equal(clean.oof[folds == 1], leaky.oof[folds == 1])
    assert_array_equal(clean.test[1], leaky.test[1])
    assert not np.array_equal(clean.oof[folds != 1], leaky.oof[folds != 1])


def test_an_underconfident_member_gets_the_weight_that_it_deserves():
    # The better member says what it knows in a low voice; the worse one shouts.
    rng = np.random.default_rng(0)
    targets = np.eye(4)[rng.integers(4, size=2000)]
    good = 3.0 * targets + rng.normal(size=targets.shape)
    poor = 1.5 * targets + rng.normal(size=targets.shape)
    oof = softmax(np.stack([good / 4, poor]), axis=-1)
    test = np.repeat(oof[:, None, :2], 4, axis=1)
    metric = get_metric("accuracy", "multiclass")
    scores, weights = {}, {}
    for method in ("none", "temperature"):
        fitting = BlendFitting(Task("multiclass"), metric, 0, calibrate=method, cautious=False)
        fitted = cross_fit("weighted", oof, test, targets, np.arange(2000) % 4, fitting)
        scores[method] = metric.score(targets, fitted.oof, Task("multiclass"))
        weights[method] = fitted.weights.mean(axis=0)[0]
    assert weights["temperature"] > 0.8 > weights["none"]
    assert scores["temperature"] > scores["none"]


@pytest.mark.parametrize("blend", ["soft_vote", "geometric", "weighted"])
def test_what_calibrated_members_make_together_is_calibrated_too(blend):
    # Members that err apart: where their mean says 0.7 it is right far more often.
    rng = np.random.default_rng(0)
    targets = np.eye(3)[rng.integers(3, size=1500)]
    oof = softmax(1.5 * targets + rng.normal(size=(6, 1500, 3)), axis=-1)
    test = np.repeat(oof[:, None, :2], 3, axis=1)
    metric = get_metric("log_loss", "multiclass")
    fitting = BlendFitting(Task("multiclass"), metric, 0, calibrate="temperature")
    said = cross_fit(blend, oof, test, targets, np.arange(1500) % 3, fitting).oof
    assert said.max(axis=1).mean() == pytest.approx((said * targets).sum(axis=1).mean(), abs=0.03)
    assert said.max(axis=1).mean() == pytest.approx(
        (said.argmax(axis=1) == targets.argmax(axis=1)).mean(), abs=0.02
    )


@pytest.mark.parametrize("blend", ["weighted", "greedy", "class_weighted"])
def test_a_blend_of_one_member_is_that_member_as_the_summary_scores_it(blend):
    """Which is calibrated like a blend: a soft vote of one."""
    probs, targets = drawn("multiclass", rows=300)
    oof, folds = flattened(probs, 2.0, "multiclass")[None], np.arange(300) % 3
    test = np.repeat(oof[:, None, :5], 3, axis=1)
    metric = get_metric("log_loss", "multiclass")
    fitting = BlendFitting(Task("multiclass"), metric, 0, calibrate="temperature")
    blended, member = (
        cross_fit(kind, oof, test, targets, folds, fitting) for kind in (blend, "soft_vote")
    )
    np.testing.assert_allclose(blended.oof, member.oof)
    assert not np.allclose(member.oof, oof[0], atol=0.01)
