"""Pseudo-labels: the confident rows, what they teach, and their weight; by hand."""

import numpy as np
import pytest

from pipeline.config.schema import Pseudo
from pipeline.core.pseudo import choose_pseudo_labels

PROBS = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]])


def choose(values=PROBS, kind="multiclass", **settings):
    return choose_pseudo_labels(np.array(values), Pseudo(teacher="net", **settings), kind=kind)


def test_the_threshold_is_inclusive():
    chosen = choose(threshold=0.8)
    assert chosen.rows.tolist() == [0, 2]
    assert chosen.targets.tolist() == [[1, 0], [0, 1]]
    assert chosen.weights.tolist() == [1, 1]


def test_soft_labels_are_what_the_teacher_said():
    chosen = choose(threshold=0.8, labels="soft", weight=0.5)
    assert chosen.targets.tolist() == [[0.9, 0.1], [0.2, 0.8]]
    assert chosen.weights.tolist() == [0.5, 0.5]


def test_the_top_share_is_taken_within_each_predicted_class():
    # Class 0: rows 0, 4, 1 by confidence; class 1: rows 2, 3. A third of 3 and of 2, rounded up.
    assert choose(top_share=1 / 3).rows.tolist() == [0, 2]
    assert choose(top_share=0.5).rows.tolist() == [0, 2, 4]
    assert choose(top_share=0.6).rows.tolist() == [0, 2, 3, 4]  # not the best three of all
    assert choose(top_share=1.0).rows.tolist() == [0, 1, 2, 3, 4]


def test_both_limits_apply():
    assert choose(top_share=0.5, threshold=0.75).rows.tolist() == [0, 2]


def test_without_limits_all_rows_teach():
    assert choose().rows.tolist() == [0, 1, 2, 3, 4]


def test_a_share_is_exact_in_spite_of_floats():
    confidence = np.linspace(0.6, 0.99, 100)
    chosen = choose(np.column_stack([confidence, 1 - confidence]), top_share=0.07)
    assert chosen.rows.tolist() == list(range(93, 100))


def test_multilabel_confidence_is_the_mean_distance_from_the_fence():
    values = [[0.9, 0.1], [0.5, 0.9], [0.6, 0.4]]  # 0.9, 0.7, 0.6
    chosen = choose(values, "multilabel", threshold=0.65)
    assert chosen.rows.tolist() == [0, 1]
    assert chosen.targets.tolist() == [[1, 0], [1, 1]]
    assert choose(values, "multilabel", top_share=0.3).rows.tolist() == [0]
    assert choose(values, "multilabel", labels="soft").targets.tolist() == values


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_regression_keeps_all_rows_and_their_values(labels):
    chosen = choose([[3.0], [-7.5]], "regression", threshold=0.9, labels=labels, weight=0.25)
    assert chosen.rows.tolist() == [0, 1]
    assert chosen.targets.tolist() == [[3.0], [-7.5]]
    assert chosen.weights.tolist() == [0.25, 0.25]


def test_nobody_confident_is_no_rows():
    chosen = choose(threshold=0.99)
    assert chosen.rows.shape == (0,)
    assert chosen.targets.shape == (0, 2)
