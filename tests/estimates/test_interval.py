"""Intervals: they cover the truth as often as they say, keep groups whole, and pair rivals."""

from dataclasses import replace

import numpy as np
import pytest
from metric_cases import CASES, random_rows

from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.estimates import interval
from pipeline.estimates.interval import (
    interval_of_score,
    interval_of_test_score,
    probability_better,
)
from pipeline.estimates.paired_resampling import SLOW_SHARE, resampled_scores
from pipeline.estimates.resampling import Resampling
from pipeline.estimates.shake_up import public_and_private, shake_up
from pipeline.metrics.find_metric import Metric, get_metric
from pipeline.metrics.scorers import RowMeans

LEVELS = np.arange(3.0)


def classes_and_probs(seed, *, rows=200, classes=3):
    rng = np.random.default_rng(seed)
    targets = np.eye(classes)[rng.integers(classes, size=rows)]
    odds = np.exp(1.5 * targets + rng.normal(size=targets.shape))
    return targets, odds / odds.sum(axis=1, keepdims=True)


def how(name, kind, seed=0, **resampling):
    task = Task(kind, LEVELS if kind == "ordinal" else None)
    return get_metric(name, kind), task, Resampling(seed, **resampling)


def right_rows(hits):
    """Binary targets and predictions that are right where `hits` says so."""
    targets = np.eye(2)[np.zeros(len(hits), dtype=int)]
    return targets, np.eye(2)[1 - np.asarray(hits, dtype=int)]


def test_width_is_that_of_a_binomial():
    targets, values = right_rows(np.arange(400) < 320)
    low, high = interval_of_score(targets, values, *how("accuracy", "binary", rounds=4000))
    half = 1.645 * np.sqrt(0.8 * 0.2 / 400)
    assert (low, high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.004)


def test_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        targets, values = right_rows(rng.random(150) < 0.7)
        low, high = interval_of_score(
            targets, values, *how("accuracy", "binary", seed=seed, rounds=200)
        )
        covered += low <= 0.7 <= high
    assert covered / 300 == pytest.approx(0.90, abs=0.05)


@pytest.fixture
def knowing(monkeypatch):
    """Let predictions count as better than a constant."""
    monkeypatch.setattr(interval, "surely_knows", lambda *_, **__: True)


@pytest.mark.usefixtures("knowing")
def test_groups_stay_whole():
    # Ten groups of forty rows, all right or all wrong: ten independent answers and not 400.
    groups = np.repeat(np.arange(10), 40)
    targets, values = right_rows(groups < 8)
    low, high = interval_of_score(
        targets, values, *how("accuracy", "binary", groups=groups, rounds=2000)
    )
    half = 1.833 * np.sqrt(0.8 * 0.2 / 9)  # Student's t with 9 degrees of freedom
    assert high - low == pytest.approx(2 * half, rel=0.05)
    assert low < 0.6 < 0.9 < high < 1  # skewed as shares are
    low, high = interval_of_score(targets, values, *how("accuracy", "binary"))
    assert high - low < 0.1


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_is_the_metric_on_resampled_rows(name, kind):
    """Row means by a matrix product are what calling the metric on the rows themselves gives."""
    targets, (values,) = random_rows(kind, rows=40)
    metric, task, resampling = how(name, kind, rounds=60)
    (found,) = resampled_scores(targets, [values], metric, task, resampling)
    rng = stream(0, "bootstrap")
    scores = []
    for _ in range(60 if isinstance(metric.function, RowMeans) else 60 // SLOW_SHARE):
        rng.random()  # where parts of a class are cut; here there is none
        rows = rng.integers(np.full(40, 40))
        scores.append(metric.score(targets[rows], values[rows], task))
    assert found == pytest.approx(np.array(scores))


def binomial_width(*sizes, p=0.8):
    """Of the middle 90% of a sum of errors of shares p, each of so many independent rows."""
    return 2 * 1.645 * np.sqrt(p * (1 - p) * sum(1 / size for size in sizes))


@pytest.mark.parametrize("test_rows", [100, 400, 1_000_000])
def test_a_test_set_s_own_error_adds_to_the_estimate_s(test_rows):
    targets, values = right_rows(np.arange(400) < 320)
    low, high = interval_of_test_score(
        targets, values, *how("accuracy", "binary", rounds=4000), test_rows=test_rows
    )
    step = 1 / test_rows  # of a hit
    assert high - low == pytest.approx(binomial_width(400, test_rows), rel=0.04, abs=step)
    assert (low + high) / 2 == pytest.approx(0.8, abs=0.003 + step / 2)


@pytest.mark.parametrize(("num_rows", "test_rows"), [(150, 60), (60, 150)])
def test_a_test_set_s_score_is_inside_as_often_as_it_says(num_rows, test_rows):
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(300):
        targets, values = right_rows(rng.random(num_rows) < 0.7)
        low, high = interval_of_test_score(
            targets, values, *how("accuracy", "binary", seed=seed, rounds=150), test_rows=test_rows
        )
        inside += low <= np.mean(rng.random(test_rows) < 0.7) <= high
    assert inside / 300 == pytest.approx(0.90, abs=0.05)


def test_guesses_in_groups_vary_as_half_the_rows_do(monkeypatch):
    rng = np.random.default_rng(0)
    targets, groups = np.eye(2)[rng.integers(2, size=600)], np.repeat(np.arange(60), 10)
    values = np.tile([0.5, 0.5], (600, 1)) + rng.normal(size=(600, 1)) * [0.1, -0.1]
    settings = how("accuracy", "binary", groups=groups, rounds=2000)
    widths = []
    for knows in (False, True):
        monkeypatch.setattr(interval, "surely_knows", lambda *_, found=knows, **__: found)
        low, high = interval_of_score(targets, values, *settings)
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(2**0.5, rel=1e-6)
    alone = how("accuracy", "binary", groups=np.arange(600), rounds=2000)
    low, high = interval_of_score(targets, values, *alone)
    monkeypatch.setattr(interval, "surely_knows", lambda *_, **__: False)
    assert interval_of_score(targets, values, *alone) == (low, high)


@pytest.mark.usefixtures("knowing")
def test_groups_stay_whole_among_test_rows_too():
    groups = np.repeat(np.arange(50), 8)  # 200 test rows are 25 groups
    targets, values = right_rows(groups < 40)
    low, high = interval_of_test_score(
        targets, values, *how("accuracy", "binary", groups=groups, rounds=2000), test_rows=200
    )
    assert high - low == pytest.approx(binomial_width(50, 25) * (49 / 47) ** 0.5, rel=0.06)


def test_drawn_class_by_class_what_classes_differ_in_does_not_vary():
    labels = np.repeat([0, 1], [300, 100])
    targets, values = np.eye(2)[labels], np.eye(2)[np.zeros(400, dtype=int)]  # class 1 all wrong
    # What is left is that few rows do not show shares of 0 and 1: half a row of 300 and of 100.
    by_class = interval_of_test_score(
        targets, values, *how("accuracy", "binary", stratified=True), test_rows=100
    )
    assert by_class == pytest.approx((0.75, 0.75), abs=0.011)
    low, high = interval_of_test_score(targets, values, *how("accuracy", "binary"), test_rows=100)
    assert high - low == pytest.approx(binomial_width(400, 100, p=0.75), rel=0.06)
    # Groups of both classes are drawn as they come: ten of them, each with its own luck.
    groups = np.tile(np.arange(10), 40)
    right = np.where((groups < 8)[:, None], targets, 1 - targets)
    as_they_come, whole = (
        interval_of_score(
            targets, right, *how("accuracy", "binary", groups=groups, stratified=stratified)
        )
        for stratified in (False, True)
    )
    assert as_they_come == whole
    assert whole[1] - whole[0] > 0.4


def test_a_small_test_set_has_its_size_and_each_class_its_share():
    labels = np.repeat([0, 1, 2], [5, 10, 85])
    targets = np.eye(3)[labels]
    for function, expected in ((lambda y, _: len(y), 10), (lambda y, _: np.sum(y == 0), 0.5)):
        metric = Metric("own", True, "labels", frozenset({"multiclass"}), function)
        _, task, resampling = how("accuracy", "multiclass", stratified=True, rounds=5000)
        (found,) = resampled_scores(targets, [targets], metric, task, resampling, share=0.1)
        assert found.mean() == pytest.approx(expected, abs=0.06)
        assert found.max() - found.min() == (expected < 1)


def test_it_stands_around_what_averaging_gains():
    targets, values = classes_and_probs(5)
    about = how("log_loss", "multiclass")
    plain, moved = (
        interval_of_test_score(targets, values, *about, test_rows=90, gain=g) for g in (0, -0.02)
    )
    assert np.subtract(moved, plain) == pytest.approx([-0.02, -0.02])


def test_a_shake_up_by_hand():
    row = np.arange(1000)
    targets, values = right_rows(row < 800)
    _, rival = right_rows((row < 780) | (row >= 970))  # 20 rows lost, 30 won: 5% differ
    about, parts = how("accuracy", "binary", rounds=2000), public_and_private(1000, 0.3)
    found = shake_up(targets, values, rival, *about, rows=parts)
    assert (found.public_rows, found.private_rows) == (300, 700)
    for (low, high), sizes in (
        (found.public, (1000, 300)),
        (found.private, (1000, 700)),
        (found.difference, (300, 700)),
    ):
        assert high - low == pytest.approx(binomial_width(*sizes), rel=0.05)
    assert sum(found.difference) == pytest.approx(0, abs=0.008)
    assert found.noise == pytest.approx(1.645 * np.sqrt((0.05 - 0.01**2) / 300), rel=0.06)


def test_a_shake_up_has_a_row_on_either_side_and_no_noise_without_a_rival():
    targets, values = right_rows(np.arange(50) < 40)
    found = shake_up(
        targets, values, values, *how("accuracy", "binary"), rows=public_and_private(2, 0.01)
    )
    assert (found.public_rows, found.private_rows, found.noise) == (1, 1, None)


def test_a_rival_that_is_the_same_is_a_coin_toss():
    targets, values = classes_and_probs(1)
    for name in ("accuracy", "log_loss", "roc_auc"):
        found = probability_better(targets, values, values.copy(), *how(name, "multiclass"))
        assert found == (0.5, 0.0, 0.0)


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "roc_auc"])
def test_the_better_is_found_better_whatever_the_direction(name):
    targets, good = classes_and_probs(1)
    poor = 0.5 * good + 0.5 * classes_and_probs(2)[1]
    probability, low, high = probability_better(targets, good, poor, *how(name, "multiclass"))
    assert probability > 0.99
    assert 0 < low < high
    mirrored = probability_better(targets, poor, good, *how(name, "multiclass"))
    assert mirrored == pytest.approx((1 - probability, -high, -low))


def test_pairing_makes_a_small_steady_gain_visible():
    # b is wrong where a is wrong, and on 8 rows of 400 more.
    row = np.arange(400)
    targets, a = right_rows(row < 320)
    _, b = right_rows(row < 312)
    assert probability_better(targets, a, b, *how("accuracy", "binary"))[0] > 0.99
    low_a, _ = interval_of_score(targets, a, *how("accuracy", "binary"))
    _, high_b = interval_of_score(targets, b, *how("accuracy", "binary"))
    assert low_a < high_b


def test_a_seed_repeats_and_another_differs():
    targets, values = classes_and_probs(3)
    first, again, other = (
        interval_of_score(targets, values, *how("log_loss", "multiclass", seed=seed))
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_equal_predictions_are_equally_good_to_the_last_bit():
    rng = np.random.default_rng(0)
    targets, values = rng.random((2, 300, 3))
    compared = probability_better(targets, values, values.copy(), *how("rmse", "regression"))
    assert compared == (0.5, 0.0, 0.0)


def test_rows_are_scored_once_for_all_resamples():
    """Else a competition of 3,400 rows takes minutes."""
    calls, accuracy = [], get_metric("accuracy", "multiclass")

    def terms(*pair):
        calls.append(pair)
        return accuracy.function.terms(*pair)

    counting = replace(accuracy, function=replace(accuracy.function, terms=terms))
    metric, *about = how("accuracy", "multiclass")
    targets, values = classes_and_probs(4)
    counted = interval_of_score(targets, values, counting, *about)
    assert counted == interval_of_score(targets, values, metric, *about)
    assert len(calls) == 2  # of all resamples, and of the rows as they are


def test_ranks_of_guesses_vary_as_those_of_half_the_rows():
    """Each two folds' models tell the same of each other's noise; of models that know, not so."""
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=1000)
    options = how("roc_auc", "binary", rounds=2000)
    widths = {}
    for skill in (0.0, 1.0):
        positive = 1 / (1 + np.exp(-0.01 * rng.normal(size=1000) - skill * (truth - 0.5)))
        values = np.stack([1 - positive, positive], axis=1)
        low, high = interval_of_score(np.eye(2)[truth], values, *options)
        widths[skill] = high - low
    alone = 2 * 1.645 * np.sqrt(1 / 12 * (1 / truth.sum() + 1 / (1000 - truth.sum())))
    assert widths[0.0] == pytest.approx(2**0.5 * alone, rel=0.15)
    assert widths[1.0] < alone
