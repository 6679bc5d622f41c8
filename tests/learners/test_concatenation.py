"""Shares of blocks, whitening and chosen dimensions: what is kept, and what it was fitted on."""

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_regression
from test_learners import EVERY, NUM_ROWS, NUM_TRAIN, fit, problem, rows_of, settings, small

from pipeline.errors import UserError
from pipeline.learners.concatenation import fit_concatenation
from pipeline.learners.fit import load
from pipeline.learners.projection import importance, loudest_axes

PLAIN = {"transform": "none", "views": "mean"}
ONES = np.ones(NUM_ROWS)


def joined(given: dict[str, np.ndarray], targets: np.ndarray | None = None, **keys) -> np.ndarray:
    chosen = settings(**{**PLAIN, **keys})
    return fit_concatenation(chosen, given, weights=ONES, targets=targets)(given)


@pytest.mark.parametrize("concatenate", ["pca", "importance"])
def test_weights_are_the_shares_of_dimensions_that_stay(concatenate):
    blocks, targets = problem("multiclass")  # 12 and 8 dimensions
    shares = {"a": 0.25, "b": 1.0}
    assert joined(blocks, targets, concatenate=concatenate, blocks=shares).shape[1] == 3 + 8
    shares = {"a": 0.01, "b": 0.0}
    assert joined(blocks, targets, concatenate=concatenate, blocks=shares).shape[1] == 1


def test_pca_keeps_scikit_learns_first_axes_of_the_scaled_block():
    blocks, _ = problem("binary")
    scaled = joined(blocks, blocks={"a": 1.0})
    ours = joined(blocks, concatenate="pca", blocks={"a": 0.5})
    theirs = PCA(6).fit_transform(scaled)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-5)


def test_all_of_the_axes_are_the_block_rotated():
    blocks, _ = problem("binary")
    scaled, rotated = joined(blocks), joined(blocks, concatenate="pca")
    np.testing.assert_allclose(rotated @ rotated.T, scaled @ scaled.T, atol=1e-5)


def test_axes_of_weighted_rows_are_those_of_copies():
    rows = np.random.default_rng(0).normal(size=(30, 6)) * [1, 2, 3, 4, 5, 6]
    times = np.arange(30) % 3
    _, of_weights = loudest_axes(rows, times.astype(float))
    axes, of_copies = loudest_axes(np.repeat(rows, times, axis=0), np.ones(times.sum()))
    np.testing.assert_allclose(of_weights, of_copies)
    assert (np.diff(of_copies) < 0).all()
    assert np.argmax(np.abs(axes[:, 0])) == 5


def test_importance_chooses_the_dimensions_that_tell_the_target():
    rng = np.random.default_rng(0)
    targets = np.eye(3)[rng.integers(0, 3, NUM_ROWS)]
    block = rng.normal(size=(NUM_ROWS, 1, 8))
    block[:, 0, 2] += 2 * targets[:, 0]
    block[:, 0, 5] -= 2 * targets[:, 1]
    scaled = joined({"a": block}, blocks={"a": 1.0})
    kept = joined({"a": block}, targets, concatenate="importance", blocks={"a": 0.25})
    np.testing.assert_array_equal(kept, scaled[:, [2, 5]])


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_importance_has_the_order_of_f_scores(kind):
    """F = r^2 / (1 - r^2) x (N - 2), so r^2 follows from scikit-learn's F."""
    blocks, targets = problem(kind)
    rows = blocks["a"].mean(axis=1)
    scores = np.stack([f_regression(rows, column)[0] for column in targets.T])
    expected = (scores / (scores + NUM_ROWS - 2)).mean(axis=0)
    np.testing.assert_allclose(importance(rows, targets, ONES), expected, rtol=1e-4, atol=1e-6)
    times = np.arange(NUM_ROWS) % 3
    np.testing.assert_allclose(
        importance(rows, targets, times.astype(float)),
        importance(rows.repeat(times, axis=0), targets.repeat(times, axis=0), np.ones(times.sum())),
        rtol=1e-3,
        atol=1e-6,
    )


def test_a_constant_dimension_is_of_no_importance():
    rows = np.random.default_rng(0).normal(size=(20, 2))
    rows[:, 1] = 3
    found = importance(rows, rows[:, :1] > 0, np.ones(20))
    assert found[0] > 0.3
    assert found[1] == 0


def test_whitened_axes_are_uncorrelated_and_quiet_ones_are_held_back():
    """Of variances v, the floor is their mean m: each becomes v / (v + m), then all sum to 1."""
    blocks, _ = problem("binary")
    scaled = joined(blocks, blocks={"a": 1.0})
    white = joined(blocks, blocks={"a": 1.0}, scale="whiten")
    variances = np.linalg.eigvalsh(np.cov(scaled.T, bias=True))[::-1]
    expected = variances / (variances + variances.mean())
    np.testing.assert_allclose(
        np.cov(white.T, bias=True), np.diag(expected / expected.sum()), atol=1e-5
    )


def test_whitening_survives_more_dimensions_than_rows():
    block = np.random.default_rng(0).normal(size=(20, 1, 50))
    chosen = settings(**PLAIN, blocks={"a": 1.0}, scale="whiten")
    white = fit_concatenation(chosen, {"a": block}, weights=np.ones(20))({"a": block})
    assert white.shape == (20, 19)  # of 20 centred rows
    assert np.isfinite(white).all()
    assert np.mean(np.sum(white**2, axis=1)) == pytest.approx(1, abs=1e-4)


def test_a_block_that_never_varies_whitens_to_nothing():
    blocks, _ = problem("binary")
    still = {"a": np.ones_like(blocks["a"]), "b": blocks["b"]}
    assert np.isfinite(joined(still, scale="whiten")).all()


CHOICES = [
    {"concatenate": "pca", "blocks": {"a": 0.5, "b": 0.5}},
    {"concatenate": "importance", "blocks": {"a": 0.5, "b": 0.5}},
    {"scale": "whiten"},
    {"scale": "whiten", "concatenate": "importance", "blocks": {"a": 0.5, "b": 0.5}},
    {"scale": "l2", "concatenate": "pca", "blocks": {"a": 0.5, "b": 0.5}},
]


@pytest.mark.parametrize("keys", CHOICES)
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_what_was_fitted_is_saved(keys, kind, tmp_path):
    blocks, _ = problem(kind)
    fitted, values, targets = fit(small("ridge", **keys), kind)
    fitted.save(tmp_path)
    again = load(tmp_path)
    np.testing.assert_array_equal(again.predict(rows_of(blocks, slice(NUM_TRAIN, None))), values)
    error = np.mean((values - targets) ** 2, axis=0)
    assert np.mean(error / targets.var(axis=0)) < 0.6
    with pytest.raises(UserError, match="b: 7 dimensions, but the learner was fitted on 8"):
        again.predict({"a": blocks["a"], "b": blocks["b"][..., :7]})


@pytest.mark.parametrize("keys", CHOICES)
def test_rows_of_no_weight_change_no_axis(keys):
    blocks, targets = problem("multiclass")
    weights = (np.arange(NUM_ROWS) < NUM_TRAIN).astype(float)
    wild, other = {name: block.copy() for name, block in blocks.items()}, targets.copy()
    for block in wild.values():
        block[NUM_TRAIN:] = 7 * block[NUM_TRAIN:][::-1]
    other[NUM_TRAIN:] = other[NUM_TRAIN:, ::-1]
    first, second = (
        fit_concatenation(settings(**keys), rows, weights=weights, targets=told)(blocks)
        for rows, told in ((blocks, targets), (wild, other))
    )
    np.testing.assert_allclose(first @ first.T, second @ second.T, atol=1e-4)


@pytest.mark.parametrize(("learner", "kind"), EVERY)
def test_every_learner_takes_shares(learner, kind):
    keys = {"concatenate": "importance", "blocks": {"a": 0.5, "b": 0.5}}
    _, values, targets = fit(small(learner, **keys), kind)
    assert values.shape == targets.shape
    assert np.isfinite(values).all()


def test_shares_lie_between_none_and_all():
    with pytest.raises(ValidationError, match=r"keeps shares of blocks: weights lie in \(0, 1"):
        settings(concatenate="pca", blocks={"a": 1.5})
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        settings(concatenate="pca", blocks={"a": -0.5})
    with pytest.raises(ValidationError, match="keeps shares of blocks"):
        settings(concatenate="pca", blocks={"a": 1.0}, search={"blocks": [0.5, 2]})
