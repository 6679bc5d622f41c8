"""Sampling: how often an epoch takes each row, counted against tables made by hand."""

import numpy as np
import pytest

from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.images.sampling import (
    check_sampling,
    copy_numbers,
    draws_per_epoch,
    epoch_rows,
    num_epoch_rows,
    row_weights_in_loss,
)

# Ten rows of four classes: 0 five times, 1 never, 2 three times, 3 twice (one of them soft).
LABELS = np.array([0, 0, 2, 0, 3, 2, 0, 2, 0, 3])
TARGETS = np.eye(4)[LABELS]
TARGETS[9] = [0.3, 0.25, 0.05, 0.4]
ONES = np.ones(10)
BY_CLASS = ("balanced", "oversample", "undersample")


def drawn(sampling, *, targets=TARGETS, weights=None, kind="multiclass", seed=0):
    weights = np.ones(len(targets)) if weights is None else weights
    rng = np.random.default_rng(seed)
    return epoch_rows(targets, weights, sampling=sampling, task=Task(kind), rng=rng)


def counts(rows, number=10):
    return np.bincount(rows, minlength=number)


def test_all_is_the_permutation_that_batches_drew_before():
    rows = epoch_rows(
        TARGETS, ONES, sampling="all", task=Task("regression"), rng=stream(7, "order", 2)
    )
    assert rows.tolist() == stream(7, "order", 2).permutation(10).tolist()


def test_oversampling_repeats_rows_up_to_the_largest_class():
    found = counts(drawn("oversample"))
    assert found[LABELS == 0].tolist() == [1] * 5
    assert sorted(found[LABELS == 2]) == [1, 2, 2]  # 5 of 3 rows
    assert sorted(found[LABELS == 3]) == [2, 3]  # 5 of 2 rows


def test_undersampling_takes_as_many_as_the_smallest_class_has():
    subsets = set()
    for seed in range(40):
        found = counts(drawn("undersample", seed=seed))
        assert found.max() == 1
        assert counts(LABELS[found == 1], 4).tolist() == [2, 0, 2, 2]
        subsets.add(tuple(np.flatnonzero(found)))
    assert len(subsets) > 15  # of 10 * 3


def test_balanced_draws_classes_alike_and_rows_of_a_class_alike():
    found = np.mean([counts(drawn("balanced", seed=seed)) for seed in range(3000)], axis=0)
    # Ten draws, a third for each class: 3.33 over 5, 3 and 2 rows.
    expected = np.select([LABELS == 0, LABELS == 2], [10 / 15, 10 / 9], 10 / 6)
    np.testing.assert_allclose(found, expected, atol=0.1)  # standard deviation up to 0.022


def test_weighted_draws_in_proportion_to_weights():
    weights = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 2.0])
    found = np.mean(
        [counts(drawn("weighted", weights=weights, seed=seed)) for seed in range(3000)], axis=0
    )
    assert found[0] == 0
    np.testing.assert_allclose(found[1:9], 1, atol=0.08)
    assert found[9] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("sampling", ["all", "weighted", *BY_CLASS])
def test_the_number_of_rows_is_known_before(sampling):
    expected = {"oversample": 15, "undersample": 6}.get(sampling, 10)
    assert num_epoch_rows(TARGETS, sampling=sampling, task=Task("multiclass")) == expected
    assert {len(drawn(sampling, seed=seed)) for seed in range(5)} == {expected}


@pytest.mark.parametrize("sampling", ["all", "weighted", *BY_CLASS])
def test_order_is_random_and_the_generators(sampling):
    assert drawn(sampling).tolist() == drawn(sampling).tolist()
    rows = drawn(sampling)
    assert rows.tolist() != drawn(sampling, seed=1).tolist()
    assert LABELS[rows].tolist() != sorted(LABELS[rows])  # one class is not after the other


def test_a_multilabel_row_is_of_its_rarest_label():
    # Label 0 stands in 4 rows, label 1 in 2, label 2 in 1; one row has none.
    targets = np.array(
        [[1, 0, 0], [1, 0, 0], [0.9, 0.6, 0.4], [1, 0, 1], [0.2, 0.7, 0], [0.4, 0.1, 0]]
    )
    # Classes: {0, 1} of label 0, {2, 4} of label 1, {3} of label 2, {5} of none.
    assert num_epoch_rows(targets, sampling="oversample", task=Task("multilabel")) == 4 * 2
    found = counts(drawn("oversample", targets=targets, kind="multilabel"), 6)
    assert found.tolist() == [1, 1, 1, 2, 1, 2]
    kept = counts(drawn("undersample", targets=targets, kind="multilabel"), 6)
    assert (kept[3], kept[5], kept[[0, 1]].sum(), kept[[2, 4]].sum()) == (1, 1, 1, 1)


@pytest.mark.parametrize("sampling", BY_CLASS)
def test_a_regression_has_no_classes(sampling):
    for call in (
        lambda: drawn(sampling, kind="regression"),
        lambda: num_epoch_rows(TARGETS, sampling=sampling, task=Task("regression")),
        lambda: check_sampling(sampling, task=Task("regression")),
    ):
        with pytest.raises(UserError, match=f"{sampling} draws rows by class"):
            call()


def test_regressions_are_drawn_by_weight():
    weights = np.array([0, 3.0, 0])
    targets = np.array([[1.5], [2.5], [9.0]])
    rows = drawn("weighted", targets=targets, weights=weights, kind="regression")
    assert rows.tolist() == [1, 1, 1]


def test_copies_are_numbered_in_the_order_they_come():
    assert copy_numbers(np.array([7, 3, 7, 7, 0, 3])).tolist() == [0, 0, 1, 2, 0, 1]
    assert copy_numbers(drawn("all")).tolist() == [0] * 10


def test_weights_that_chose_the_rows_do_not_count_again():
    weights = np.array([0.5, 2.0])
    assert row_weights_in_loss(weights, sampling="weighted").tolist() == [1, 1]
    for sampling in ("all", *BY_CLASS):
        assert row_weights_in_loss(weights, sampling=sampling).tolist() == [0.5, 2.0]


@pytest.mark.parametrize("sampling", ["all", *BY_CLASS, "weighted"])
def test_rows_are_drawn_as_often_as_expected(sampling):
    weights = np.array([1.0, 2, 0, 1, 1, 1, 3, 1, 1, 1])
    expected = draws_per_epoch(TARGETS, weights, sampling=sampling, task=Task("multiclass"))
    mean = sum(counts(drawn(sampling, weights=weights, seed=seed)) for seed in range(400)) / 400
    np.testing.assert_allclose(mean, expected, atol=0.2)
