"""Losses row by row, and how sure a mean difference is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import t

from pipeline.core.task import Task
from pipeline.estimates.row_loss import margin, row_losses, surely_positive


def test_losses_by_hand():
    probs, targets = np.array([[0.8, 0.2], [0.5, 0.5]]), np.eye(2)[[0, 1]]
    assert_allclose(row_losses(probs, targets, Task("multiclass")), -np.log([0.8, 0.5]))
    labels = np.array([[1.0, 1.0], [0.0, 1.0]])
    by_hand = -np.log([0.8 * 0.2, 0.5 * 0.5]) / 2
    assert_allclose(row_losses(probs, labels, Task("multilabel")), by_hand)
    levels = np.array([0.0, 10.0])
    assert_allclose(row_losses(probs, targets, Task("ordinal", levels)), [4.0, 25.0])


def test_columns_of_a_regression_are_in_their_own_spread():
    targets = np.array([[0.0, 0.0], [2.0, 200.0]])  # standard deviations 1 and 100
    values = targets + np.array([1.0, 100.0])
    assert_allclose(row_losses(values, targets, Task("regression")), [1.0, 1.0])


def test_two_standard_errors_by_hand():
    differences = np.tile([1.0, 3.0], 50)  # deviations of 1 around 2
    error = 1 / np.sqrt(99)
    assert margin(differences) == pytest.approx(t.ppf(0.97725, 99) * error, rel=1e-4)
    assert surely_positive(differences)
    assert not surely_positive(differences - 2.1)


def test_rows_of_a_group_count_once():
    differences, groups = np.array([1.0, 3.0, 1.0, 3.0]), np.array(list("abcd"))
    doubled = margin(np.repeat(differences, 10), np.repeat(groups, 10))
    assert doubled == pytest.approx(margin(differences))
    assert margin(np.repeat(differences, 10)) < doubled / 3


def test_one_group_tells_nothing():
    assert margin(np.ones(9), np.zeros(9)) == np.inf
