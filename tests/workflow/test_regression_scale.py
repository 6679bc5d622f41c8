"""task.transform through the whole chain, on a made competition of prices."""

import numpy as np
import pandas as pd
import prices
import pytest
from sklearn.metrics import root_mean_squared_log_error

from pipeline.config.load import load_config
from pipeline.config.schema import Task
from pipeline.core import predictions
from pipeline.core.scale import clip_logs, from_scale, is_skewed, logs_are_symmetric, to_scale
from pipeline.core.task import Task as CoreTask
from pipeline.errors import UserError
from pipeline.estimates.growing_errors import growth_of_errors
from pipeline.leaks import label_errors
from pipeline.metrics.find_metric import get_metric, scale_of
from pipeline.metrics.registry import METRICS
from pipeline.project import open_project
from pipeline.stages.report import make_report

LOGNORMAL = np.exp(8 + np.random.default_rng(0).normal(size=(500, 1)))
STUDENT = {
    **prices.CONFIG["members"],
    "student": {"learner": "ridge", "blocks": {"small": 1.0}, "pseudo": {"teacher": "ridge"}},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of the default, with a student and a report."""
    root = tmp_path_factory.mktemp("prices")
    prices.write_prices(root, num_train=160, num_test=30)
    return root, prices.run(root, "report", members=STUDENT)


def blend(root, summary, ending="npz"):
    path = (root / summary.submission).with_suffix(f".{ending}")
    return path, predictions.load(path, scale="log1p")


def test_the_scale_is_that_of_the_metric_and_undone_in_its_score():
    task = CoreTask("regression", scale="log1p")
    values = LOGNORMAL[::-1]
    score = METRICS["rmsle"].score(to_scale(LOGNORMAL, "log1p"), to_scale(values, "log1p"), task)
    assert score == pytest.approx(root_mean_squared_log_error(LOGNORMAL, values))
    raw = METRICS["mae"].score(to_scale(LOGNORMAL, "log1p"), to_scale(values, "log1p"), task)
    assert raw == pytest.approx(np.abs(LOGNORMAL - values).mean())


@pytest.mark.parametrize("metric", [name for name, one in METRICS.items() if one.scale == "log1p"])
def test_a_metric_of_logarithms_takes_numbers_from_zero(metric):
    """`Metric.clip` may then be used on either scale."""
    assert METRICS[metric].takes == (0, np.inf)


def test_which_scale_a_metric_works_on():
    def scale(metric, transform="auto", targets=LOGNORMAL):
        task = Task(kind="regression", target="y", metric=metric, transform=transform)
        return scale_of(task, get_metric(metric, "regression"), targets)

    assert [scale(name) for name in ("rmsle", "msle", "mae", "smape")] == ["log1p"] * 4
    assert [scale(name) for name in ("rmse", "r2", "mape", "spearman")] == ["none"] * 4
    assert scale("mae", targets=np.log(LOGNORMAL)) == "none"
    assert scale("mae", targets=LOGNORMAL - LOGNORMAL.mean()) == "none"
    assert scale("mae", targets=LOGNORMAL / 1e6) == "none"  # log1p is a line there
    assert [scale(name, "none") for name in ("rmsle", "mae")] == ["none", "none"]
    assert scale("mae", "log1p", np.log(LOGNORMAL)) == "log1p"


def test_skewness_is_seen_and_a_constant_is_not_skewed():
    assert is_skewed(LOGNORMAL)
    assert not is_skewed(np.log(LOGNORMAL))
    assert not is_skewed(np.ones((5, 2)))
    assert not logs_are_symmetric(np.ones((5, 2)))


def test_no_exponential_overflows():
    assert np.isfinite(from_scale(np.array([1e9]), "log1p")).all()
    logs = to_scale(LOGNORMAL, "log1p")
    low, high = from_scale(clip_logs(np.array([[-50.0], [50.0]]), logs, "log1p"), "log1p")[:, 0]
    assert 0 <= low < LOGNORMAL.min()
    assert LOGNORMAL.max() < high < 100 * LOGNORMAL.max()


def test_predictions_say_their_scale_and_are_refused_on_another(made):
    root, _ = made
    assert prices.load(root, "ridge", "oof").scale == "log1p"
    with pytest.raises(UserError, match=r"scale 'log1p', expected 'none'.*task\.transform"):
        prices.load(root, "ridge", "oof", scale="none")


def test_the_score_is_of_values_in_their_own_unit(made):
    root, summary = made
    train = pd.read_csv(root / "input/prices/train.csv", dtype={"id": str})
    _, oof = blend(root, summary)
    values = np.expm1(oof.in_order_of(train["id"].to_numpy(dtype=str)).values[:, 0])
    assert summary.estimate.score == pytest.approx(
        root_mean_squared_log_error(train["price"], np.maximum(values, 0))
    )


def test_the_submission_has_the_targets_unit(made):
    root, summary = made
    written = pd.read_csv(root / summary.submission, dtype={"id": str})
    _, test = blend(root, summary, "test.npz")
    logs = test.in_order_of(written["id"].to_numpy(dtype=str)).values[:, 0]
    np.testing.assert_allclose(written["price"], np.expm1(logs), rtol=1e-6)
    answers = pd.read_csv(root / "answers.csv")
    assert root_mean_squared_log_error(answers["price"], written["price"]) < 0.9


def test_a_person_sees_the_targets_unit(made, monkeypatch):
    root, _ = made
    monkeypatch.setattr(label_errors, "EXPECTED", 50.0)  # so that some rows are listed
    config = load_config(str(root / "prices.yaml"))
    make_report(root / "submissions/prices/report", "all", project=open_project(config, root))
    listed = pd.read_csv(root / "submissions/prices/suspicious_labels.csv", dtype={"id": str})
    train = pd.read_csv(root / "input/prices/train.csv", dtype={"id": str}).set_index("id")
    labels = train.loc[listed["id"], "price"].to_numpy()
    np.testing.assert_allclose(listed["label"], labels, rtol=1e-4)
    off = np.abs(np.log1p(listed["label"]) - np.log1p(listed["predicted"]))
    assert len(off) > 10
    assert (np.diff(off) <= 1e-3).all()  # the worst first, on the scale of the metric


def test_a_student_learns_from_pseudo_labels_on_the_scale(made):
    _, summary = made
    found = prices.scores(summary)
    assert found["student"] < 1.15 * found["ridge"]


def test_ours_is_ahead_of_a_ridge_on_logarithms_and_far_ahead_of_a_constant(made):
    """Within the noise of 160 rows: the rival is three lines of scikit-learn."""
    root, summary = made
    found = prices.scores(summary)
    assert summary.estimate.score < 1.05 * prices.rival(root, "rmsle")
    assert summary.estimate.score < 0.85 * found["constant"]  # features of random weights


def test_targets_as_they_are_score_worse_and_say_no_scale(made, tmp_path):
    _, summary = made
    prices.write_prices(tmp_path, num_train=160, num_test=30)
    raw = prices.run(tmp_path, task=prices.task("rmsle", "none"))
    assert summary.estimate.score < 0.9 * raw.estimate.score
    assert "scale" not in prices.load(tmp_path, "ridge", "oof", scale="none").meta


@pytest.mark.slow
def test_external_predictions_are_read_in_the_targets_unit(made, tmp_path):
    root, _ = made
    folds = pd.read_csv(root / "features/prices/folds.csv", dtype={"id": str})
    prices.write_prices(tmp_path, num_train=160, num_test=30)
    (tmp_path / "theirs").mkdir()
    train = pd.read_csv(tmp_path / "input/prices/train.csv", dtype={"id": str})
    fold = folds.set_index("id")["fold"].loc[train["id"]].to_numpy()
    theirs = train.assign(price=1.1 * train["price"], fold=fold)
    theirs.loc[0, "price"] = -5.0  # counts as 0, as the metric has it
    theirs.to_csv(tmp_path / "theirs/oof.csv", index=False)
    pd.read_csv(tmp_path / "answers.csv").to_csv(tmp_path / "theirs/test.csv", index=False)
    members = {**prices.CONFIG["members"], "theirs": {"external": "theirs"}}
    prices.run(tmp_path, members=members)
    oof = prices.load(tmp_path, "theirs", "oof", scale="log1p")
    values = oof.in_order_of(train["id"].to_numpy(dtype=str)).values[:, 0]
    np.testing.assert_allclose(values[1:], np.log1p(1.1 * train["price"][1:]))
    assert values[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("transform", ["auto", "log1p", "yeo_johnson", "quantile"])
def test_explicit_transforms_on_two_units_a_zero_and_a_constant_column(tmp_path, transform):
    folder = prices.write_prices(tmp_path, num_train=60, num_test=8)
    table = pd.read_csv(folder / "train.csv")
    table.loc[:5, "price"] = 0.0
    table.assign(tiny=table["price"] * 1e-9, same=3.0).to_csv(folder / "train.csv", index=False)
    targets = ["price", "tiny", "same"]
    summary = prices.run(tmp_path, task=prices.task("rmse", transform, target=targets))
    written = pd.read_csv(tmp_path / summary.submission)[targets]
    assert np.isfinite(written.to_numpy()).all()
    assert written["price"].max() <= 1.5 * table["price"].max() + 1
    assert written["tiny"].max() <= 1e-8 * table["price"].max()
    np.testing.assert_allclose(written["same"], 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["rmsle", "mae", "rmse"])
def test_prices_without_a_signal_in_twenty_rows_gain_nothing(tmp_path, metric):
    prices.write_prices(tmp_path, num_train=20, num_test=8, signal=0.0, noise=1.2)
    summary = prices.run(tmp_path, task=prices.task(metric))
    assert summary.against_constant.low is None or summary.against_constant.low <= 0


@pytest.mark.parametrize(("metric", "transform"), [("rmsle", "auto"), ("rmse", "log1p")])
def test_negative_targets_are_refused_where_logarithms_are_taken(tmp_path, metric, transform):
    folder = prices.write_prices(tmp_path, num_train=12, num_test=4)
    table = pd.read_csv(folder / "train.csv")
    table.assign(price=table["price"] - table["price"].median()).to_csv(
        folder / "train.csv", index=False
    )
    with pytest.raises(UserError, match=r"task\.(metric|transform).*at least 0, found -"):
        prices.run(tmp_path, "folds", task=prices.task(metric, transform))


def test_a_transform_is_refused_for_classes():
    with pytest.raises(ValueError, match=r"`transform: log1p` is for regression, kind is binary"):
        Task(kind="binary", target="y", transform="log1p")


def test_errors_that_grow_are_seen_and_others_are_not():
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 10, (400, 1))
    noise = rng.normal(size=(400, 1))
    assert growth_of_errors(values, values * (1 + 0.2 * noise))[0] > 0.2
    assert growth_of_errors(values, values + noise)[0] == 0
    assert growth_of_errors(np.ones((9, 1)), noise[:9])[0] == 0
