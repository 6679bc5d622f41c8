"""Resampling inside the training rows: what it draws, and that it never crosses folds."""

import numpy as np
import pytest

from pipeline.config.schema import Learner
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.learners import fit
from pipeline.learners.resampling import resample, synthetic_rows
from pipeline.learners.rows import TrainingRows

SIZES = (24, 12, 5)  # rows of each class
VIEWS = 2


def unbalanced(kind: str = "multiclass") -> TrainingRows:
    """Two views each of images whose first dimension is their inner fold, exactly."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), SIZES)
    folds = np.arange(len(labels)) % 4
    features = rng.normal(size=(len(labels) * VIEWS, 4))
    features[:, 0] = np.repeat(folds, VIEWS)
    features[:, 1] += 10 * np.repeat(labels, VIEWS)
    return TrainingRows(
        features=features,
        targets=np.repeat(np.eye(3)[labels], VIEWS, axis=0),
        weights=np.ones(len(labels) * VIEWS),
        task=Task(kind),
        folds=np.repeat(folds, VIEWS),
        num_columns=0,
    )


def drawn(sampling: str, kind: str = "multiclass") -> TrainingRows:
    rng = np.random.default_rng(1)
    return resample(unbalanced(kind), sampling=sampling, views=VIEWS, rng=rng)


@pytest.mark.parametrize(
    ("sampling", "size"), [("oversample", 24), ("undersample", 5), ("smote", 24)]
)
def test_classes_become_equally_large(sampling, size):
    np.testing.assert_array_equal(drawn(sampling).targets.sum(axis=0), [size * VIEWS] * 3)


@pytest.mark.parametrize("sampling", ["oversample", "undersample"])
def test_views_of_an_image_stay_neighbours(sampling):
    rows, known = drawn(sampling), unbalanced().features.reshape(-1, VIEWS * 4).tolist()
    for image in rows.features.reshape(-1, VIEWS * 4).tolist():
        assert image in known


@pytest.mark.parametrize("sampling", ["oversample", "undersample", "smote"])
def test_no_row_is_drawn_or_made_from_rows_of_another_inner_fold(sampling):
    """A new row between rows of two folds would have a first dimension between theirs."""
    rows = drawn(sampling)
    np.testing.assert_array_equal(rows.features[:, 0], rows.folds)


def test_new_rows_lie_between_rows_of_their_class_and_fold():
    rows = unbalanced()
    made = synthetic_rows(rows, rng=np.random.default_rng(2))
    assert len(made.features) == (24 - 12 + 24 - 5) * VIEWS
    for row, target, fold in zip(made.features, made.targets, made.folds, strict=True):
        mine = (rows.targets == target).all(axis=1) & (rows.folds == fold)
        ends = rows.features[mine]
        gaps = np.linalg.norm(ends - row, axis=1)
        lengths = np.linalg.norm(ends[:, None] - ends[None], axis=2)
        assert np.abs(gaps[:, None] + gaps[None] - lengths).min() < 1e-9


def test_classes_that_are_equally_large_get_no_new_rows():
    rows = unbalanced()
    even = rows.of(np.r_[0:10, 48:58])
    resampled = resample(even, sampling="smote", views=VIEWS, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(resampled.features, even.features)
    np.testing.assert_array_equal(resampled.targets, even.targets)


def test_a_row_that_is_alone_is_copied():
    rows = unbalanced()
    alone = rows.of(np.r_[0:8, 2 * 40])  # four images of class 0 and one view of class 2
    made = synthetic_rows(alone, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(made.features, np.tile(alone.features[-1], (7, 1)))


def test_weights_lie_between_and_soft_targets_by_weight():
    rows = unbalanced()
    two = rows.of(np.array([0, 1, 2, 3, 72, 73]))
    two = two.having(
        folds=np.zeros(6, dtype=int),
        features=np.array([[0.0], [0], [0], [0], [1], [3]]),
        targets=np.array([[1, 0, 0]] * 4 + [[0, 0, 1.0], [0.4, 0, 0.6]]),
        weights=np.array([1, 1, 1, 1, 0.5, 1.0]),
    )
    made = synthetic_rows(two, rng=np.random.default_rng(0))
    share = (made.features[:, 0] - 1) / 2
    np.testing.assert_allclose(made.weights, 0.5 + 0.5 * share)
    np.testing.assert_allclose(made.targets[:, 0] * made.weights, 0.4 * share)
    np.testing.assert_allclose(made.targets.sum(axis=1), 1)


@pytest.mark.parametrize("sampling", ["oversample", "undersample", "smote"])
def test_rows_held_out_never_reach_what_is_drawn(sampling, monkeypatch):
    """Fold 0's rows are marked; nothing that fold 0's learner is fitted on carries the mark."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), SIZES)
    block = rng.normal(size=(len(labels), VIEWS, 6))
    held_out = np.arange(len(labels)) % 5 == 0
    block[held_out] = 1e6
    seen = []

    def spy(rows: TrainingRows, **how):
        seen.append(resample(rows, **how))
        return seen[-1]

    monkeypatch.setattr(fit, "resample", spy)
    settings = Learner(
        learner="ridge", blocks={"a": 1.0}, scale="none", transform="none", sampling=sampling
    )
    fit.fit_learner(
        settings, {"a": block[~held_out]}, np.eye(3)[labels[~held_out]], Task("multiclass"), seed=3
    )
    (rows,) = seen
    assert np.abs(rows.features).max() < 100
    assert len(set(rows.targets.sum(axis=0))) == 1


def test_tasks_without_classes_are_refused():
    with pytest.raises(UserError, match="a regression has none"):
        drawn("oversample", "regression")
    with pytest.raises(UserError, match="needs one class per row, but the task is multilabel"):
        drawn("smote", "multilabel")
    with pytest.raises(UserError, match="but the task is regression"):
        drawn("smote", "regression")


def test_more_of_a_rare_class_makes_it_likelier():
    rng = np.random.default_rng(0)
    labels = (np.arange(300) % 15 == 0).astype(int)
    block = rng.normal(size=(300, 1, 5)) + 0.8 * labels[:, None, None]
    means = {
        sampling: fit.fit_learner(
            Learner(learner="logistic", blocks={"a": 1.0}, strength=1.0, sampling=sampling),
            {"a": block},
            np.eye(2)[labels],
            Task("binary"),
            seed=0,
        )
        .predict({"a": block})[:, 1]
        .mean()
        for sampling in ("all", "oversample", "undersample", "smote")
    }
    assert means["all"] == pytest.approx(labels.mean(), abs=0.01)
    for sampling in ("oversample", "undersample", "smote"):
        assert means[sampling] > 0.15
