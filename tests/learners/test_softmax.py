"""Batched logistic regression: the optimum, gradients, paths, and problems that do not touch."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from pipeline.learners.projection import rotate
from pipeline.learners.solver import leading_axes, softmax
from pipeline.learners.solver.leading_axes import LeadingAxes
from pipeline.learners.solver.softmax import path_weights, softmax_path
from pipeline.learners.solver.softmax_loss import Problems, dots

pytestmark = pytest.mark.numeric

NUM_ROWS, STRENGTHS = 240, (3.0, 0.3, 0.03)


def softmax_regression(features, targets, weights, strengths, **settings):
    """Solve the path to its end: coefs (S, P, D, C), intercepts (S, P, C), in this order."""
    solved = dict(softmax_path(features, targets, weights, strengths, **settings))
    coefs, intercepts = zip(*(solved[strength] for strength in strengths), strict=True)
    return np.stack(coefs), np.stack(intercepts)


def rows_and_targets() -> tuple[np.ndarray, np.ndarray]:
    """Correlated features far from zero, and three classes that some of them tell."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(NUM_ROWS, 8)) @ rng.normal(size=(8, 8)) + 5
    noisy = features[:, :3] + rng.normal(size=(NUM_ROWS, 3))
    return features, np.eye(3)[noisy.argmax(axis=1)]


def fold_weights(num_folds: int = 4) -> np.ndarray:
    weights = np.random.default_rng(1).uniform(0.5, 2, NUM_ROWS)
    return np.where(np.arange(NUM_ROWS) % num_folds == np.arange(num_folds)[:, None], 0, weights)


def objective(features, targets, weights, strength, coefs, intercepts) -> float:
    scores = features @ coefs + intercepts
    losses = logsumexp(scores, axis=1) - (targets * scores).sum(axis=1)
    return (weights @ losses + strength / 2 * np.sum(coefs**2)) / weights.sum()


def test_the_optimum_is_scikit_learns_for_each_fold_and_penalty():
    features, targets = rows_and_targets()
    weights = fold_weights()
    coefs, intercepts = softmax_regression(features, targets, weights, STRENGTHS, tolerance=1e-12)
    for index, strength in enumerate(STRENGTHS):
        for fold, of_rows in enumerate(weights):
            kept = of_rows > 0
            theirs = LogisticRegression(C=1 / strength, tol=1e-9, max_iter=5000)
            theirs.fit(features[kept], targets[kept].argmax(axis=1), of_rows[kept])
            solution = coefs[index, fold], intercepts[index, fold]
            np.testing.assert_allclose(solution[0], theirs.coef_.T, atol=1e-3)
            ours, reference = (
                objective(features, targets, of_rows, strength, *found)
                for found in (solution, (theirs.coef_.T, theirs.intercept_))
            )
            assert ours == pytest.approx(reference, rel=1e-8)


def test_the_hinge_s_optimum_is_liblinears():
    features, targets = rows_and_targets()
    weights = fold_weights()[:1]
    coefs, intercepts = softmax_regression(
        features, targets, weights, [3.0], link="hinge", tolerance=1e-12
    )
    # Its intercept is penalised, the less the larger its scaling.
    theirs = LinearSVC(C=1 / 3.0, dual=False, tol=1e-9, intercept_scaling=1e3, max_iter=10_000)
    theirs.fit(features, targets.argmax(axis=1), weights[0])
    np.testing.assert_allclose(coefs[0, 0], theirs.coef_.T, atol=1e-4)
    np.testing.assert_allclose(intercepts[0, 0], theirs.intercept_, atol=1e-3)


def test_float32_ends_within_its_tolerance_of_the_optimum():
    features, targets = rows_and_targets()
    features, weights = rotate(features - features.mean(axis=0))[0], fold_weights()
    exact = softmax_regression(features, targets, weights, STRENGTHS, tolerance=1e-12)
    single = softmax_regression(
        features.astype(np.float32), targets, weights, STRENGTHS, tolerance=1e-6
    )
    for index, strength in enumerate(STRENGTHS):
        for fold, of_rows in enumerate(weights):
            best, found = (
                objective(features, targets, of_rows, strength, W[index, fold], b[index, fold])
                for W, b in (exact, single)
            )
            assert 0 <= found - best < 3e-6


def test_problems_solved_together_are_those_solved_alone():
    features, targets = rows_and_targets()
    weights = fold_weights()
    together = softmax_regression(features, targets, weights, STRENGTHS, tolerance=1e-13)
    for fold in range(len(weights)):
        alone = softmax_regression(features, targets, weights[[fold]], STRENGTHS, tolerance=1e-13)
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one[:, [fold]], other, atol=1e-3)


def test_too_many_for_the_memory_are_solved_in_turn(monkeypatch):
    features, targets = rows_and_targets()
    weights = fold_weights()
    together = softmax_regression(features, targets, weights, STRENGTHS, tolerance=1e-13)
    monkeypatch.setattr(softmax, "MOST_CELLS", 1)
    in_turn = softmax_regression(features, targets, weights, STRENGTHS, tolerance=1e-13)
    for one, other in zip(together, in_turn, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_penalties_come_back_in_the_order_given_and_may_repeat():
    features, targets = rows_and_targets()
    coefs, _ = softmax_regression(
        features, targets, fold_weights(), [0.3, 3.0, 0.3], tolerance=1e-13
    )
    np.testing.assert_allclose(coefs[0], coefs[2], atol=1e-3)
    assert (np.linalg.norm(coefs[1], axis=(1, 2)) < np.linalg.norm(coefs[0], axis=(1, 2))).all()


def test_rows_of_weight_zero_say_nothing():
    features, targets = rows_and_targets()
    weights = fold_weights()
    wild = np.where(weights[0][:, None] > 0, features, 100.0)
    first, second = (
        softmax_regression(of, targets, weights[[0]], STRENGTHS, tolerance=1e-12)
        for of in (features, wild)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "hinge"])
def test_the_gradient_is_the_losses_slope(link):
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(7, 4)), rng.dirichlet(np.ones(3), size=7).T
    shares = rng.dirichlet(np.ones(7), size=2)
    axes = LeadingAxes.of(features, shares.mean(axis=0))
    problems = Problems(features, axes, targets, shares, np.array([0.4, 2.0]), link)
    solutions, directions = rng.normal(size=(2, 2, 3, 5))

    def losses(at: np.ndarray) -> np.ndarray:
        return problems.fits(problems.scores(at))[0] + dots(problems.penalty_of(at), at) / 2

    slopes = (losses(solutions + 1e-5 * directions) - losses(solutions - 1e-5 * directions)) / 2e-5
    _, of_rows = problems.fits(problems.scores(solutions))
    expected = dots(problems.gradients(of_rows, solutions), directions)
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


def test_steps_divide_by_energy_times_curvature_plus_penalty_and_by_the_mean_of_other_axes(
    monkeypatch,
):
    monkeypatch.setattr(leading_axes, "MOST_AXES", 1)
    rows = np.repeat(np.diag([6.0, 3.0, 2.0, 1.0]), 2, axis=0)
    axes = LeadingAxes.of(rows, np.full(8, 1 / 8))  # mean squares: 9, 2.25, 1 and 0.25
    np.testing.assert_allclose(axes.energies, [9])
    gradients = np.array([[[9.7, 1.8666666, 0, 0, 2.0], [2.5, 0, 0, 0.9333333, 4.0]]])
    steps = axes.newton_step(gradients, np.array([[1.0, 0.2]]), np.array([0.7]))
    # The others' mean is 3.5 / 3; the intercept has no penalty.
    np.testing.assert_allclose(steps, [[[1, 1, 0, 0, 2], [1, 0, 0, 1, 20]]], atol=1e-6)


def test_columns_of_sigmoids_are_solved_as_if_alone():
    features, targets = rows_and_targets()
    weights = fold_weights()
    both = softmax_regression(
        features, targets, weights, STRENGTHS, link="sigmoid", tolerance=1e-13
    )
    for column in range(3):
        alone = softmax_regression(
            features, targets[:, [column]], weights, STRENGTHS, link="sigmoid", tolerance=1e-13
        )
        for one, other in zip(both, alone, strict=True):
            np.testing.assert_allclose(one[..., [column]], other, atol=3e-3)


def test_a_path_is_foretold_by_the_parabola_through_its_last_points():
    known = [8.0, 4.0, 2.0]  # an even step in the log: 3, -3, 1, the latest last
    np.testing.assert_allclose(path_weights(known, 1.0), [1, -3, 3])
    np.testing.assert_allclose(path_weights([8.0, 4.0], 2.0), [-1, 2])
    np.testing.assert_allclose(path_weights([8.0], 2.0), [1])


@pytest.mark.parametrize("num_dims", [8, 400])
def test_rotated_rows_are_the_rows_in_orthogonal_axes(num_dims):
    rows = np.random.default_rng(0).normal(size=(NUM_ROWS, num_dims)) * np.arange(1, num_dims + 1)
    rotated, back = rotate(rows)
    assert rotated.shape == (NUM_ROWS, min(rows.shape))
    np.testing.assert_allclose(back.T @ back, np.eye(rotated.shape[1]), atol=1e-9)
    np.testing.assert_allclose(rotated @ back.T, rows, atol=1e-6)
    gram = rotated.T @ rotated
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-8 * gram.max())
