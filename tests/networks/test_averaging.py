"""Averages of views, by hand."""

import numpy as np
import pytest

from pipeline.core.averaging import average_values
from pipeline.core.task import Task

ONE_ROW = np.array([[[0.8, 0.2]], [[0.5, 0.5]]])  # (V=2, N=1, C=2)


def test_probabilities_are_their_mean():
    assert average_values(ONE_ROW, "probabilities", task=Task("binary")).tolist() == [[0.65, 0.35]]


@pytest.mark.parametrize("average", ["geometric", "logits"])
def test_classes_are_averaged_as_logarithms(average):
    # sqrt(0.8 * 0.5) : sqrt(0.2 * 0.5) is 2 : 1
    mean = average_values(ONE_ROW, average, task=Task("multiclass"))
    assert mean == pytest.approx(np.array([[2 / 3, 1 / 3]]))


def test_multilabel_geometric_is_a_root_of_products():
    mean = average_values(ONE_ROW, "geometric", task=Task("multilabel"))
    assert mean == pytest.approx(np.array([[0.4**0.5, 0.1**0.5]]))


def test_multilabel_logits_are_mean_log_odds():
    # Odds 4 and 1 average to 2, so 2/3; odds 1/4 and 1 to 1/2, so 1/3.
    mean = average_values(ONE_ROW, "logits", task=Task("multilabel"))
    assert mean == pytest.approx(np.array([[2 / 3, 1 / 3]]))


@pytest.mark.parametrize("average", ["probabilities", "geometric", "logits"])
def test_regression_takes_the_plain_mean(average):
    values = np.array([[[-3.0]], [[1.0]]])
    assert average_values(values, average, task=Task("regression")).tolist() == [[-1.0]]


@pytest.mark.parametrize("average", ["probabilities", "geometric", "logits"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_certain_views_stay_finite_probabilities(average, kind):
    values = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    mean = average_values(values, average, task=Task(kind))
    assert np.isfinite(mean).all()
    assert ((mean >= 0) & (mean <= 1)).all()
    assert mean[0, 0] == pytest.approx(mean[0, 1], rel=1e-6)
    if kind != "multilabel":
        assert mean.sum() == pytest.approx(1)


@pytest.mark.parametrize("average", ["probabilities", "geometric", "logits"])
def test_one_view_is_itself(average):
    assert average_values(ONE_ROW[:1], average, task=Task("multilabel")) == pytest.approx(
        ONE_ROW[0]
    )


def test_views_average_by_hand():
    views = np.array([[[0.5, 0.5]], [[0.9, 0.1]]])
    by_probability = average_values(views, "probabilities", task=Task("binary"))
    np.testing.assert_allclose(by_probability, [[0.7, 0.3]])
    # Odds 1 and 9 have the geometric mean 3.
    for average in ("logits", "geometric"):
        averaged = average_values(views, average, task=Task("binary"))
        np.testing.assert_allclose(averaged, [[0.75, 0.25]])
    logits = average_values(views, "logits", task=Task("multilabel"))
    np.testing.assert_allclose(logits, [[0.75, 0.25]])
    geometric = average_values(views, "geometric", task=Task("multilabel"))
    np.testing.assert_allclose(geometric, [[np.sqrt(0.45), np.sqrt(0.05)]])
    values = average_values(views * 100, "geometric", task=Task("regression"))
    np.testing.assert_allclose(values, [[70, 30]])
