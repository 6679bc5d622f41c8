"""Pseudo-labels: the confident rows, what they teach, and their weight; by hand."""

import numpy as np
import pytest

from pipeline.config.schema import Pseudo
from pipeline.core.task import Task
from pipeline.members.pseudo_labels import choose_pseudo_labels, in_words

PROBS = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]])


def choose(values=PROBS, kind="multiclass", says=None, shares=None, **settings):
    """Choose; `says` are classes (M, N) that members predict, `shares` those of training rows."""
    return choose_pseudo_labels(
        np.array(values),
        Pseudo(teacher="net", **settings),
        task=Task(kind),
        member_values=None if says is None else np.eye(np.shape(values)[1])[np.array(says)],
        class_shares=None if shares is None else np.array(shares),
    )


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


SAYS = [  # the teacher says 0, 0, 1, 1, 0
    [0, 0, 1, 0, 1],
    [0, 0, 1, 0, 0],
    [0, 1, 1, 0, 0],
    [0, 1, 1, 1, 0],
    [0, 1, 0, 0, 0],
]


def test_enough_members_must_say_what_the_teacher_says():
    # 5, 2, 4, 1 and 4 of 5 agree.
    assert choose(says=SAYS, agreement=0.8).rows.tolist() == [0, 2, 4]
    assert choose(says=SAYS, agreement=0.81).rows.tolist() == [0]
    assert choose(says=SAYS, agreement=0.4).rows.tolist() == [0, 1, 2, 4]
    assert choose(says=SAYS, agreement=0.1).rows.tolist() == [0, 1, 2, 3, 4]


def test_no_class_fills_more_than_its_share_and_its_least_confident_rows_go():
    # Five rows, three of class 0 (by confidence 0, 4, 1). Of 5, shares allow 2 and 3, or 1 and 4.
    assert choose(shares=[0.4, 0.6], balance=True).rows.tolist() == [0, 2, 3, 4]
    assert choose(shares=[0.2, 0.8], balance=True).rows.tolist() == [0, 2, 3]
    assert choose(shares=[0.6, 0.4], balance=True).rows.tolist() == [0, 1, 2, 3, 4]
    assert choose(shares=[0.21, 0.79], balance=True).rows.tolist() == [0, 2, 3, 4]  # rounded up


def test_a_class_that_is_never_predicted_takes_no_other_with_it():
    certain = np.tile([0.9, 0.1, 0.0], (10, 1))
    assert len(choose(certain, shares=[0.5, 0.2, 0.3], balance=True).rows) == 5


def test_balance_counts_rows_that_the_other_filters_left():
    # The threshold leaves rows 0, 2, 4; half of three, rounded up, are two of each class.
    chosen = choose(threshold=0.7, shares=[0.5, 0.5], balance=True)
    assert chosen.rows.tolist() == [0, 2, 4]
    chosen = choose(threshold=0.7, shares=[1 / 3, 2 / 3], balance=True)
    assert chosen.rows.tolist() == [0, 2]


def test_what_each_filter_drops_adds_up():
    chosen = choose(
        says=SAYS, shares=[0.25, 0.75], threshold=0.6, top_share=0.99, agreement=0.8, balance=True
    )
    # 3 lacks confidence, all shares are rounded up, 1 lacks agreement, then 4 of 0, 2, 4 goes.
    assert chosen.dropped == {"threshold": 1, "top_share": 0, "agreement": 1, "balance": 1}
    assert chosen.rows.tolist() == [0, 2]
    assert chosen.per_class.tolist() == [1, 1]
    assert choose().dropped == {}


def test_the_log_says_how_many_of_each_class_and_what_was_dropped():
    chosen = choose(threshold=0.6, labels="soft")
    words = "4 pseudo-labels: cat 3, dog 1; dropped by threshold 1"
    assert in_words(chosen, ("cat", "dog")) == words
    assert in_words(choose([[1.0]], "regression"), ("age",)) == "1 pseudo-labels"
    labels = choose([[0.9, 0.1], [0.5, 0.9]], "multilabel")
    assert in_words(labels, ("a", "b")) == "2 pseudo-labels: a 2, b 1"
    many = choose(np.eye(30))
    assert in_words(many, [f"c{c}" for c in range(30)]).endswith("c19 1 and 10 classes more")
