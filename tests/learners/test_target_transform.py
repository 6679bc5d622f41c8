"""Transforms of regression targets: there and back, the right point, an honest choice."""

import numpy as np
import pytest

from pipeline.config.schema import Learner
from pipeline.core.task import Task
from pipeline.learners import fit as learners
from pipeline.learners.fit_transformed import fit_transformed
from pipeline.learners.target_transform import best_point, fit_transform

NAMES = ("log1p", "yeo_johnson", "quantile")
RIDGE = Learner(learner="ridge", blocks={"a": 1.0}, transform="none", scale="none")


def prices(num_rows: int, *, signal: float = 1.0, noise: float = 0.3, seed: int = 0):
    """Features (N, 1, D) and lognormal targets (N, 1) that the first one drives."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(num_rows, 1, 6))
    logs = 5 + signal * features[:, 0, 0] + noise * rng.normal(size=num_rows)
    return features, np.exp(logs)[:, None]


def fit(features, targets, *, transform="auto", error="squared", settings=RIDGE, labelled=None):
    num_rows = len(targets)
    rows = ({"a": features}, targets, np.ones(num_rows), None, np.arange(num_rows).astype(str))
    labelled = np.ones(num_rows, dtype=bool) if labelled is None else labelled
    how = {"transform": transform, "row_error": error, "labelled": labelled, "seed": 1}
    return fit_transformed(settings, rows, Task("regression"), **how)


@pytest.mark.parametrize("name", NAMES)
def test_back_undoes_forward(name):
    targets = np.exp(np.random.default_rng(0).normal(size=300))
    if name != "log1p":
        targets = targets - 2  # of both signs
    made = fit_transform(name, targets, "squared")
    np.testing.assert_allclose(made.back(made.forward(targets)), targets, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_prediction_goes_far_beyond_the_training_targets(name):
    targets = np.exp(np.random.default_rng(0).normal(size=300))
    made = fit_transform(name, targets, "squared").with_residuals(np.array([-1.0, 1.0]))
    far = made.predict(np.array([-1e9, 1e9]))
    assert far[0] >= 0
    assert far[1] <= targets.max() * 1.5


def test_a_constant_column_stays():
    assert fit_transform("log1p", np.full(5, 3.0), "squared").name == "none"


def test_scores_of_ranks_are_normal_and_equal_targets_share_theirs():
    made = fit_transform("quantile", np.array([0.0, 0.0, 5.0, 100.0]), "squared")
    # Mean ranks 1 of 4, 2.5 of 4, 3.5 of 4: the normal's quantiles at 0.25, 0.625 and 0.875.
    expected = [-0.6745, 0.3186, 1.1503]
    np.testing.assert_allclose(made.forward(np.array([0.0, 5.0, 100.0])), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("error", "point"),
    [
        ("squared", 3.75),  # (1 + 2 + 4 + 8) / 4
        ("absolute", 3.0),
        ("relative", 1.0),  # weights 1, 1/2, 1/4, 1/8: more than half is at 1
        ("squared_relative", 1.875 / 1.328125),  # sum of 1/y over sum of 1/y^2
    ],
)
def test_the_point_is_the_one_that_the_error_asks_for(error, point):
    assert best_point(np.array([[1.0, 2.0, 4.0, 8.0]]), error)[0] == pytest.approx(point)


def test_the_mean_comes_back_from_logarithms():
    """Of a lognormal the mean is exp(m + s^2 / 2), the median exp(m): here a factor of 1.38."""
    features, targets = prices(4000, signal=0.0, noise=0.8)
    mean = fit(features, targets, transform="log1p").predict({"a": features})
    median = fit(features, targets, transform="log1p", error="absolute").predict({"a": features})
    assert mean.mean() == pytest.approx(targets.mean(), rel=0.03)
    assert median.mean() == pytest.approx(np.median(targets), rel=0.03)


def test_the_residuals_are_of_labelled_rows():
    features, targets = prices(600, noise=0.8)
    labelled = np.arange(600) < 300
    targets[300:] = np.exp(5 + features[300:, 0, :1])  # a teacher's: nothing is left of the noise
    (made,) = fit(features, targets, transform="log1p", labelled=labelled).transforms
    assert np.std(made.residuals) == pytest.approx(0.8, rel=0.15)


def test_prices_are_transformed_and_symmetric_targets_are_not():
    features, targets = prices(400)
    chosen = fit(features, targets).transforms
    assert [one.name for one in chosen] in (["log1p"], ["yeo_johnson"], ["quantile"])
    assert fit(features, np.log(targets)).transforms == ()


def test_the_transform_pays_on_prices():
    features, targets = prices(600)
    seen, unseen = slice(0, 300), slice(300, 600)
    errors = [
        np.sqrt(np.mean((fitted.predict({"a": features[unseen]}) - targets[unseen]) ** 2))
        for name in ("auto", "none")
        for fitted in [fit(features[seen], targets[seen], transform=name)]
    ]
    assert errors[0] < 0.85 * errors[1]


def test_each_target_has_its_own_transform():
    features, skewed = prices(400)
    symmetric = 1e-6 * np.log(skewed)
    fitted = fit(features, np.hstack([skewed, symmetric, np.full_like(skewed, 7.0)]))
    assert fitted.transforms[0].name != "none"
    assert [one.name for one in fitted.transforms[1:]] == ["none", "none"]
    predicted = fitted.predict({"a": features})
    assert np.corrcoef(predicted[:, 1], symmetric[:, 0])[0, 1] > 0.9
    np.testing.assert_allclose(predicted[:, 2], 7.0)


@pytest.mark.parametrize("learner", ["ridge", "lightgbm", "extra_trees", "knn", "mlp"])
def test_every_learner_says_prices(learner):
    features, targets = prices(120)
    settings = RIDGE.model_copy(update={"learner": learner})
    fitted = fit(features, targets, transform="log1p", settings=settings)
    values = fitted.predict({"a": features})
    assert np.isfinite(values).all()
    assert np.corrcoef(values[:, 0], targets[:, 0])[0, 1] > 0.5


def test_a_transformed_learner_is_read_back(tmp_path):
    features, targets = prices(80)
    fitted = fit(features, targets, transform="yeo_johnson")
    fitted.save(tmp_path)
    again = learners.load(tmp_path)
    assert np.array_equal(again.predict({"a": features}), fitted.predict({"a": features}))


def test_nothing_is_chosen_among_rows_of_one_group():
    features, targets = prices(40)
    rows = ({"a": features}, targets, np.ones(40), None, np.full(40, "same"))
    how = {"row_error": "squared", "labelled": np.ones(40, dtype=bool), "seed": 1}
    assert (
        fit_transformed(RIDGE, rows, Task("regression"), transform="auto", **how).transforms == ()
    )


@pytest.mark.numeric
def test_no_transform_beats_a_constant_on_noise():
    """Held-out error of prices that features do not tell, over that of their training mean."""
    ratios = []
    for seed in range(12):
        features, targets = prices(200, signal=0.0, noise=1.0, seed=seed)
        values = fit(features[:100], targets[:100]).predict({"a": features[100:]})
        constant = np.mean((targets[100:] - targets[:100].mean()) ** 2)
        ratios.append(np.mean((targets[100:] - values) ** 2) / constant)
    assert np.mean(ratios) > 1 - 2 * np.std(ratios) / np.sqrt(len(ratios))
