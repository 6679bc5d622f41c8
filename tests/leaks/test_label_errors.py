"""Suspicious labels: confident learning by hand, and planted flips."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from pipeline.core.task import Task
from pipeline.leaks.label_errors import (
    calibrated_joint,
    confident_classes,
    find_label_errors,
    residual_limit,
)

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PROBS = np.array(
    [
        [0.90, 0.05, 0.05],
        [0.80, 0.10, 0.10],
        [0.70, 0.20, 0.10],  # below 0.75: speaks for nothing
        [0.60, 0.39, 0.01],  # labelled 0, likeliest 0, yet as sure of 1 as rows labelled 1 are
        [0.10, 0.50, 0.40],  # sure of 1 and of 2: 1 is likelier
        [0.78, 0.20, 0.02],
        [0.10, 0.30, 0.60],
        [0.85, 0.05, 0.10],
    ]
)  # thresholds: (0.9 + 0.8 + 0.7 + 0.6) / 4 = 0.75, (0.5 + 0.2) / 2 = 0.35, (0.6 + 0.1) / 2 = 0.35


def test_confident_classes_and_the_joint_by_hand():
    likely = confident_classes(LABELS, PROBS)
    assert likely.tolist() == [0, 0, -1, 1, 1, 0, 2, 0]
    # Label 0: counts 2, 1, 0 of three sure rows, scaled to four; labels 1 and 2: one of two each.
    expected = [[8 / 3, 4 / 3, 0], [1, 1, 0], [1, 0, 1]]
    np.testing.assert_allclose(calibrated_joint(LABELS, likely, 3), expected)


def test_candidates_are_ranked_by_margin_and_pairs_by_number():
    found = find_label_errors(np.eye(3)[LABELS], PROBS, list("xyz"), Task("multiclass"))
    listed = found.listed
    assert listed["row"].tolist() == [7, 5, 3]  # margins -0.75, -0.58, +0.21
    assert listed["label"].tolist() == ["z", "y", "x"]
    assert listed["likely"].tolist() == ["x", "x", "y"]
    assert listed["probability"].tolist() == [0.85, 0.78, 0.39]
    assert listed["label_probability"].tolist() == [0.1, 0.2, 0.6]
    assert found.found == 3
    pairs = found.pairs
    assert list(zip(pairs["label"], pairs["likely"], pairs["images"], strict=True)) == [
        ("x", "y", 4),
        ("y", "x", 2),
        ("z", "x", 2),
    ]
    assert pairs["wrong"].tolist() == pytest.approx([4 / 3, 1, 1])
    assert pairs["share"].tolist() == pytest.approx([1 / 3, 1 / 2, 1 / 2])
    assert found.share == pytest.approx((4 / 3 + 2) / 8)


def test_a_class_that_is_always_doubted_is_not_all_suspicious():
    """Class 1 gets 0.3 at most, and rows of it reach its own threshold."""
    labels = np.array([0] * 6 + [1] * 4)
    own = np.array([0.95, 0.95, 0.95, 0.95, 0.95, 0.25, 0.3, 0.3, 0.3, 0.3])
    probs = np.where(np.eye(2)[labels] > 0, own[:, None], 1 - own[:, None])
    found = find_label_errors(np.eye(2)[labels], probs, ["x", "y"], Task("binary"))
    assert found.listed["row"].tolist() == [5]


def test_classes_without_rows_or_belief_are_no_candidates():
    labels = np.array([0, 0, 1, 1])
    probs = np.array([[1.0, 0, 0], [0.6, 0, 0.4], [1, 0, 0], [1, 0, 0]])
    assert confident_classes(labels, probs).tolist() == [0, -1, 0, 0]
    found = find_label_errors(np.eye(3)[labels], probs, list("xyz"), Task("multiclass"))
    assert found.pairs["wrong"].tolist() == [2]
    nobody = calibrated_joint(labels, np.array([0, 0, -1, -1]), 3)
    assert nobody.tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 0]]


def test_labels_of_several_are_compared_column_by_column():
    targets = np.array([[1.0, 0], [1, 0], [0, 1], [0, 0]])
    values = np.array([[0.9, 0.1], [0.1, 0.2], [0.2, 0.9], [0.1, 0.1]])
    found = find_label_errors(targets, values, ["p", "q"], Task("multilabel"))
    # p: thresholds of yes 0.5, of no (0.8 + 0.9) / 2; only row 1 speaks against its label.
    cells = found.listed[["row", "label", "likely"]].to_numpy().tolist()
    assert cells == [[1, "p=1", "p=0"]]
    assert found.listed["probability"].tolist() == [0.9]
    assert found.pairs["wrong"].tolist() == [1]
    assert found.share == 1 / 8


def test_ordinal_ties_are_parted_by_distance():
    labels = np.array([0, 0, 0, 0, 1, 2])
    probs = np.eye(3)[[0, 0, 1, 2, 1, 2]]
    levels = np.array([0.0, 1, 4])
    found = find_label_errors(
        np.eye(3)[labels],
        probs,
        list("012"),
        Task("ordinal", levels),
    )
    assert found.listed["row"].tolist() == [3, 2]


def test_values_are_compared_in_their_column_s_own_measure():
    """Column b is a hundred times a: a residual of 900 is nine medians there, of 12 twelve in a."""
    targets = np.zeros((20, 2))
    values = np.tile([1.0, 100], (20, 1))
    values[4], values[7, 1] = [-12, 100], 900
    found = find_label_errors(targets, values, ["a", "b"], Task("regression"))
    assert found.listed["row"].tolist() == [4, 7]
    assert found.listed["label"].tolist() == ["a=0", "b=0"]
    assert found.listed["predicted"].tolist() == ["a=-12", "b=900"]
    assert found.listed["times_median"].tolist() == [12, 9]
    assert found.found == 2
    assert np.isnan(found.share)
    assert found.pairs.empty


def test_the_limit_of_residuals_by_hand():
    """Of exponential residuals, k is 1: 0.05 of N are beyond mean * ln(N / 0.05)."""
    sizes = -np.log(1 - (np.arange(1000) + 0.5) / 1000)[:, None]
    assert residual_limit(sizes) == pytest.approx(np.log(1000 / 0.05), rel=0.01)
    alike = np.ones((5, 1))
    assert residual_limit(alike) == pytest.approx((np.log(100) / np.log(2)) ** 0.5)


@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_t"])
def test_residuals_of_any_tail_are_seldom_suspicious_and_planted_ones_are(draw):
    listed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = () if draw != "standard_t" else (5,)
        noise = getattr(rng, draw)(*sizes, size=(400, 1))
        found = find_label_errors(np.zeros((400, 1)), noise, ["y"], Task("regression"))
        listed += found.found
        noise[[3, 30]] = 60 * np.median(np.abs(noise))
        planted = find_label_errors(np.zeros((400, 1)), noise, ["y"], Task("regression"))
        assert {3, 30} <= {*planted.listed["row"]}
    assert listed <= 12  # of 8000 rows


def flipped_oof(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of five uneven classes, 5% of them flipped, a model's oof, and which were flipped."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(5, 1500, p=[0.4, 0.25, 0.15, 0.12, 0.08])
    features = 1.6 * rng.normal(size=(5, 8))[truth] + rng.normal(size=(1500, 8))
    rows = rng.permutation(1500)[:75]
    labels = truth.copy()
    labels[rows] = (truth[rows] + rng.integers(1, 5, 75)) % 5
    oof = cross_val_predict(LogisticRegression(), features, labels, method="predict_proba")
    return labels, oof, rows


@pytest.mark.parametrize("seed", range(3))
def test_planted_flips_are_found_and_counted(seed):
    labels, oof, flipped = flipped_oof(seed)
    found = find_label_errors(np.eye(5)[labels], oof, list("abcde"), Task("multiclass"))
    hits = np.isin(found.listed["row"], flipped)
    assert hits.mean() > 0.8  # precision
    assert hits.sum() > 0.7 * len(flipped)  # recall
    assert hits[:40].mean() > 0.95  # the first are the surest
    assert 0.04 < found.share < 0.065  # 5% are wrong
    clean = np.delete(np.arange(len(labels)), flipped)
    alone = find_label_errors(
        np.eye(5)[labels[clean]], oof[clean], list("abcde"), Task("multiclass")
    )
    assert alone.share < 0.02
