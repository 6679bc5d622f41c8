"""The choice among blends: made by other rows than it is scored on."""

import numpy as np
import pytest

from pipeline.core.task import Task
from pipeline.ensembles.choice import best_blend, choose_by_fold
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.metrics.find_metric import get_metric

HOW = (get_metric("accuracy", "binary"), Task("binary"))
FOLDS = np.repeat([0, 1, 2], 10)


def blend(hits, *, layer=0.0, weights=None):
    """Predictions of rows whose label is 0, right where `hits` says so."""
    values = np.eye(2)[1 - np.asarray(hits, dtype=int)]
    test = np.full((3, 4, 2), layer) + np.arange(3)[:, None, None]
    return CrossFitted(values, test, weights)


def labels(count=30):
    return np.eye(2)[np.zeros(count, dtype=int)]


def test_each_fold_takes_what_is_best_on_the_others():
    row = np.arange(30)
    a = blend(row % 10 < np.repeat([9, 5, 5], 10), weights=np.full((3, 2), 0.5))
    b = blend(row % 10 < np.repeat([5, 6, 6], 10), layer=10.0, weights=np.full((3, 2), 0.1))
    # Without fold 0: 10 against 12; without fold 1 or 2: 14 against 11. On all, 19 against 17.
    chosen, names = choose_by_fold({"a": a, "b": b}, labels(), FOLDS, *HOW, choice="metric")
    assert names == [["b"], ["a"], ["a"]]
    assert best_blend({"a": a, "b": b}, labels(), *HOW) == "a"
    assert (chosen.oof == np.where(FOLDS[:, None] == 0, b.oof, a.oof)).all()
    assert chosen.test[:, 0, 0].tolist() == [10, 1, 2]
    assert chosen.weights[:, 0].tolist() == [0.1, 0.5, 0.5]


def test_a_fold_s_own_rows_have_no_say_and_equals_go_to_the_first():
    rng = np.random.default_rng(0)
    hits_a, hits_b = rng.random((2, 30)) < 0.7
    for fold in range(3):
        names = set()
        for in_fold in (True, False):
            mine = np.where(fold == FOLDS, in_fold, hits_a)
            blends = {"a": blend(mine), "b": blend(hits_b)}
            names.add(choose_by_fold(blends, labels(), FOLDS, *HOW, choice="metric")[1][fold][0])
        assert len(names) == 1
    same = {"first": blend(hits_a), "second": blend(hits_a)}
    chosen, names = choose_by_fold(same, labels(), FOLDS, *HOW, choice="metric")
    assert names == [["first"]] * 3
    assert chosen.weights is None


def test_the_best_of_equals_flatters_itself_and_the_nested_choice_does_not():
    rng = np.random.default_rng(0)
    naive, nested = [], []
    folds = np.arange(100) % 5
    for _ in range(400):
        blends = {
            name: CrossFitted(
                np.eye(2)[(rng.random(100) > 0.7).astype(int)], np.zeros((5, 1, 2)), None
            )
            for name in "abcd"
        }
        score = lambda fit: HOW[0].score(labels(100), fit.oof, Task("binary"))  # noqa: E731
        naive.append(score(blends[best_blend(blends, labels(100), *HOW)]))
        nested.append(score(choose_by_fold(blends, labels(100), folds, *HOW, choice="metric")[0]))
    # The highest of four normal draws lies 1.03 standard deviations (here 0.046) above their mean.
    assert np.mean(naive) == pytest.approx(0.7 + 1.03 * np.sqrt(0.21 / 100), abs=0.007)
    assert np.mean(nested) == pytest.approx(0.7, abs=0.007)  # three standard errors


def sure(probability, spread=0.0):
    """Predictions (30, 2) that give the label so much, now a bit more, now a bit less."""
    right = probability + spread * np.tile([1, -1], 15)
    return CrossFitted(np.stack([right, 1 - right], axis=1), np.full((3, 4, 2), probability), None)


def test_a_fold_takes_the_mean_of_what_cannot_be_told_from_the_least_loss():
    # Losses -log(0.8), and nearly the same with a spread; 0.6 is worse in every row.
    blends = {"a": sure(0.8), "b": sure(0.79, spread=0.1), "c": sure(0.6)}
    chosen, names = choose_by_fold(blends, labels(), FOLDS, *HOW)
    assert names == [["a", "b"]] * 3
    assert np.allclose(chosen.oof, (blends["a"].oof + blends["b"].oof) / 2)
    assert np.allclose(chosen.test, 0.795)


def test_a_fold_s_own_rows_have_no_say_in_the_mean():
    for fold in range(3):
        names = []
        for probability in (0.01, 0.99):
            b = sure(0.79, spread=0.1)
            b.oof[fold == FOLDS] = [probability, 1 - probability]
            names.append(choose_by_fold({"a": sure(0.8), "b": b}, labels(), FOLDS, *HOW)[1][fold])
        assert names[0] == names[1] == ["a", "b"]


def test_rows_of_one_group_tell_blends_apart_less_than_single_rows():
    rng = np.random.default_rng(0)
    groups, shift = np.repeat(np.arange(6), 5), np.repeat(rng.normal(0, 0.1, 6), 5)
    right = np.clip(0.7 + shift - shift.mean(), 0.05, 0.95)
    b = CrossFitted(np.stack([right, 1 - right], axis=1), np.zeros((3, 4, 2)), None)
    for given, count in ((None, 1), (groups, 2)):
        names = choose_by_fold({"a": sure(0.75), "b": b}, labels(), FOLDS, *HOW, groups=given)[1]
        assert [len(found) for found in names].count(count) >= 2


def test_decisions_are_averaged_beside_probabilities():
    a, b = sure(0.8), sure(0.8)
    for fit, moved in ((a, 0.2), (b, 0.4)):
        object.__setattr__(fit, "decided_oof", np.full((30, 2), moved))
        object.__setattr__(fit, "decided_test", np.full((3, 4, 2), moved))
    chosen, _ = choose_by_fold({"a": a, "b": b}, labels(), FOLDS, *HOW)
    assert np.allclose(chosen.scored_oof, 0.3)
    assert np.allclose(chosen.submitted_test, 0.3)
    assert np.allclose(chosen.oof[:, 0], 0.8)
