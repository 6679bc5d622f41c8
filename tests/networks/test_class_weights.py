"""Class weights against counts worked out by hand."""

import numpy as np
import pytest

from pipeline.config.schema import Network
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.networks.class_weights import create_class_weights

BALANCED = Network(network="b", class_weights="balanced")


def effective(beta):
    return Network(network="b", class_weights="effective", effective_beta=beta)


def test_balanced_classes_count_alike_and_the_mean_row_weighs_one():
    targets = np.eye(3)[[0, 0, 0, 0, 1, 1, 2, 2]]
    found = create_class_weights(BALANCED, targets, np.ones(8), Task("multiclass"))
    np.testing.assert_allclose(found, [8 / 12, 8 / 6, 8 / 6])


def test_row_weights_count_as_rows():
    targets, weights = np.eye(2)[[0, 1, 1]], np.array([3.0, 0.5, 0.5])
    found = create_class_weights(BALANCED, targets, weights, Task("binary"))
    np.testing.assert_allclose(found, [4 / 6, 4 / 2])


def test_balanced_columns_weigh_positives_like_negatives():
    targets = np.array([[1, 1], [0, 1], [0, 0], [0, 1]])
    found = create_class_weights(BALANCED, targets, np.ones(4), Task("multilabel"))
    np.testing.assert_allclose(found, [3, 1 / 3])


def test_effective_numbers_by_hand():
    # beta = 1/2: 4 rows count as 15/8, 2 as 3/2; ratio 5/4, and 4 a + 2 b = 6.
    targets = np.eye(2)[[0, 0, 0, 0, 1, 1]]
    found = create_class_weights(effective(0.5), targets, np.ones(6), Task("binary"))
    np.testing.assert_allclose(found, [6 / 6.5, 6 / 6.5 * 1.25])


def test_effective_numbers_lie_between_no_weights_and_balanced():
    targets, ones = np.eye(2)[[0] * 90 + [1] * 10], np.ones(100)
    none, near_balanced = (
        create_class_weights(effective(beta), targets, ones, Task("binary"))
        for beta in (0.0, 1 - 1e-9)
    )
    np.testing.assert_allclose(none, [1, 1])
    balanced = create_class_weights(BALANCED, targets, ones, Task("binary"))
    np.testing.assert_allclose(near_balanced, balanced, rtol=1e-5)


def test_a_class_that_is_absent_weighs_finitely():
    found = create_class_weights(BALANCED, np.eye(3)[[0, 1]], np.ones(2), Task("multiclass"))
    assert np.isfinite(found).all()


def test_regression_has_none():
    with pytest.raises(UserError, match="regression has no classes"):
        create_class_weights(BALANCED, np.zeros((3, 1)), np.ones(3), Task("regression"))
    none = Network(network="b")
    assert create_class_weights(none, np.zeros((3, 1)), np.ones(3), Task("regression")) is None
