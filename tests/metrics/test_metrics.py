"""Metrics: numbers worked out by hand, agreement with scikit-learn, refusals, direction."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from pipeline.config.schema import DEFAULT_METRICS
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.metrics.find_metric import SUMMARIES, get_metric

LEVELS = np.array([0.0, 1.0, 2.0, 3.0])


def one_hot(labels, classes):
    return np.eye(classes)[np.asarray(labels)]


def score(name, kind, targets, values, **options):
    return get_metric(name, kind).score(
        np.asarray(targets, float), np.asarray(values, float), Task(kind, **options)
    )


def random_task(seed, *, rows=60, classes=4, kind="multiclass"):
    rng = np.random.default_rng(seed)
    if kind == "multilabel":
        values = np.round(rng.random((rows, classes)), 1)  # rounded: many ties
        return (rng.random((rows, classes)) < 0.4).astype(float), values
    probs = np.round(rng.dirichlet(np.ones(classes), size=rows), 1) + 0.01
    labels = np.append(np.arange(classes), rng.integers(classes, size=rows - classes))
    return one_hot(labels, classes), probs / probs.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "kind", "targets", "values", "expected"),
    [
        ("accuracy", "multiclass", one_hot([0, 1, 2], 3), one_hot([0, 2, 2], 3), 2 / 3),
        ("accuracy", "multilabel", [[1, 0], [1, 1]], [[0.9, 0.1], [0.9, 0.4]], 1 / 2),
        ("balanced_accuracy", "binary", one_hot([0, 0, 0, 1], 2), one_hot([0] * 4, 2), 1 / 2),
        ("log_loss", "binary", one_hot([1, 0], 2), [[0.5, 0.5], [0.75, 0.25]], 0.4904146),
        ("log_loss", "multiclass", one_hot([0], 3), [[0, 1, 0]], -np.log(1e-15)),
        ("roc_auc", "binary", one_hot([0, 1, 0], 2), [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], 1 / 2),
        ("average_precision", "multilabel", [[1], [0], [1]], [[0.9], [0.5], [0.1]], 5 / 6),
        ("f1", "binary", one_hot([1, 1, 0], 2), one_hot([1, 0, 1], 2), 1 / 2),
        ("f1_macro", "multiclass", one_hot([0, 0, 1], 3), one_hot([0, 1, 1], 3), 2 / 3),
        ("mae", "regression", [[1, 0], [3, 0]], [[2, 4], [3, 4]], (0.5 + 4) / 2),
        ("rmse", "regression", [[0, 0], [0, 0]], [[3, 1], [3, 7]], (3 + 5) / 2),
        ("rmsle", "regression", [[np.e - 1], [0]], [[0], [-5]], np.sqrt(1 / 2)),
        ("top_2_accuracy", "multiclass", one_hot([2, 2], 3), [[5, 2, 3], [4, 4, 2]], 1 / 2),
    ],
)  # fmt: skip
def test_numbers_worked_out_by_hand(name, kind, targets, values, expected):
    assert score(name, kind, targets, values) == pytest.approx(expected, rel=1e-6)


def test_ordinal_is_scored_by_the_expected_level_and_accuracy_by_the_likeliest():
    targets, values = one_hot([1], 4), [[0.4, 0.3, 0.3, 0.0]]  # expectation 0.9, argmax 0
    assert score("mae", "ordinal", targets, values, levels=LEVELS) == pytest.approx(0.1)
    assert score("accuracy", "ordinal", targets, values, levels=LEVELS) == 0


def test_kappa_by_hand():
    # Observed squared disagreement 1/4; expected: mean over pairs of {0,1,2,2} against {0,1,2,1}.
    targets, values = one_hot([0, 1, 2, 2], 4), one_hot([0, 1, 2, 1], 4)
    expected = 1 - (1 / 4) / ((0 + 1 + 4 + 1 + 1 + 0 + 1 + 0 + 2 * (4 + 1 + 0 + 1)) / 16)
    assert score("qwk", "ordinal", targets, values, levels=LEVELS) == pytest.approx(expected)
    # [0.4, 0, 0.6] expects 1.2: nearest is level 1, though 2 is the likeliest.
    rounded = [*one_hot([0, 1, 2], 4), [0.4, 0, 0.6, 0]]
    assert score("qwk", "ordinal", targets, rounded, levels=LEVELS) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed):
    targets, probs = random_task(seed)
    truth, found = targets.argmax(axis=1), probs.argmax(axis=1)
    nearest = np.abs((probs @ LEVELS)[:, None] - LEVELS).argmin(axis=1)
    expected = {
        "balanced_accuracy": sk.balanced_accuracy_score(truth, found),
        "log_loss": sk.log_loss(truth, probs),
        "roc_auc": sk.roc_auc_score(truth, probs, multi_class="ovr"),
        "average_precision": sk.average_precision_score(targets, probs),
        "f1_macro": sk.f1_score(truth, found, average="macro"),
        "top_2_accuracy": sk.top_k_accuracy_score(truth, probs - np.arange(4) * 1e-9, k=2),
    }
    for name, value in expected.items():
        assert score(name, "multiclass", targets, probs) == pytest.approx(value), name
    kappa = sk.cohen_kappa_score(truth, nearest, weights="quadratic")
    assert score("qwk", "ordinal", targets, probs, levels=LEVELS) == pytest.approx(kappa)
    binary, two = random_task(seed, classes=2)
    f1 = sk.f1_score(binary[:, 1], two.argmax(axis=1))
    assert score("f1", "binary", binary, two) == pytest.approx(f1)
    targets, probs = random_task(seed, kind="multilabel")
    for name, function in (
        ("auc", sk.roc_auc_score),
        ("mean_average_precision", sk.average_precision_score),
        ("macro_f1", lambda t, v: sk.f1_score(t, v >= 0.3, average="macro")),
    ):
        found = score(name, "multilabel", targets, probs, threshold=0.3)
        assert found == pytest.approx(function(targets, probs)), name


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["multiclass", "multilabel"]))
def test_ranking_metrics_see_order_only_and_no_row_order(seed, kind):
    targets, values = random_task(seed, rows=20, kind=kind)
    shuffled = np.random.default_rng(seed).permutation(len(values))
    for name in ("roc_auc", "average_precision"):
        metric = get_metric(name, kind)
        plain = metric.score(targets, values, Task(kind))
        assert 0 <= plain <= 1
        assert metric.score(targets, values**3, Task(kind)) == pytest.approx(plain)
        moved = metric.score(targets[shuffled], values[shuffled], Task(kind))
        assert moved == pytest.approx(plain)


def test_a_column_of_one_class_is_skipped_and_nothing_left_is_nan_that_never_wins():
    targets = np.array([[1.0, 0.0], [0.0, 0.0]])
    values = np.array([[0.9, 0.3], [0.1, 0.6]])
    for name in ("roc_auc", "average_precision"):
        metric = get_metric(name, "multilabel")
        assert metric.score(targets, values, Task("multilabel")) == 1
        undefined = metric.score(targets[:, 1:], values[:, 1:], Task("multilabel"))
        assert np.isnan(undefined)
        assert metric.is_better(0.0, undefined)
        assert not metric.is_better(undefined, metric.worst)
        assert not metric.is_better(undefined, undefined)


def test_direction():
    accuracy, rmse = get_metric("accuracy", "binary"), get_metric("rmse", "regression")
    assert accuracy.is_better(0.9, 0.8)
    assert not accuracy.is_better(0.8, 0.8)
    assert rmse.is_better(0.8, 0.9)
    assert accuracy.is_better(0.0, accuracy.worst)
    assert rmse.is_better(1e9, rmse.worst)


def test_predictions_of_nan_are_refused_not_scored():
    values = one_hot([0, 1], 2)
    values[0] = np.nan
    with pytest.raises(UserError, match="1 of 2 rows have NaN"):
        score("accuracy", "binary", one_hot([0, 1], 2), values)


def test_unknown_and_unfit_metrics_are_refused_with_what_is_near():
    with pytest.raises(UserError, match=r"'acuracy' is unknown; .*did you mean `accuracy`"):
        get_metric("acuracy", "binary")
    with pytest.raises(UserError, match="rmse is for ordinal, regression tasks"):
        get_metric("rmse", "binary")
    for name in ("top_K_accuracy", "top_0_accuracy"):
        with pytest.raises(UserError, match="top_3_accuracy"):
            get_metric(name, "multiclass")
    with pytest.raises(UserError, match="found -1"):
        score("rmsle", "regression", [[-1.0]], [[0.0]])


def test_a_function_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "my_metric.py").write_text(
        "def worst_miss(y_true, y_pred):\n"
        "    assert y_true.shape == y_pred.shape == (2,)\n"
        "    return abs(y_true - y_pred).max()\n"
        "worst_miss.greater_is_better = False\n"
        "worst_miss.wants = 'probabilities'\n"
        "def strange(y_true, y_pred): return 0.0\n"
        "strange.wants = 'tea'\n"
        "strange.greater_is_better = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    metric = get_metric("my_metric:worst_miss", "binary")
    assert metric.is_better(0.1, 0.2)
    values = np.array([[0.9, 0.1], [0.4, 0.6]])
    assert metric.score(one_hot([0, 1], 2), values, Task("binary")) == pytest.approx(0.4)
    for name in ("my_metric:absent", "no_such_module:f"):
        with pytest.raises(UserError, match="cannot import"):
            get_metric(name, "binary")
    with pytest.raises(UserError, match="'tea'"):
        get_metric("my_metric:strange", "binary")


def test_every_default_exists_and_every_metric_is_documented():
    for kind, name in DEFAULT_METRICS.items():
        get_metric(name, kind)
    assert all(SUMMARIES.values())


def test_listing_metrics_imports_nothing_heavy():
    heavy = "{'sklearn', 'scipy', 'torch'}"
    code = f"import sys, pipeline.metrics.find_metric; assert not {heavy} & {{*sys.modules}}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rounding_leaves_no_range_and_a_wrong_score_is_not_hidden():
    for score, found in ((-1 - 2e-16, -1.0), (1 + 2e-16, 1.0), (1.5, 1.5)):
        metric = replace(get_metric("normalized_gini", "binary"), function=lambda *_, s=score: s)
        assert metric.of_rows(np.zeros(2), np.zeros(2)) == found
