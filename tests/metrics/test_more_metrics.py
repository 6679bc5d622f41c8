"""Metrics of competitions of the last years: against scikit-learn, scipy, or worked out by hand."""

import warnings

import numpy as np
import pytest
from metric_cases import LEVELS, levels_of, random_rows
from scipy import stats
from sklearn import metrics as sk

from pipeline.config.schema import Task as TaskSection
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.estimates.constant import best_constant
from pipeline.metrics.find_metric import SUMMARIES, get_metric, task_metric

SEEDS = pytest.mark.parametrize("seed", range(3))


def score(name, kind, targets, values, **options):
    targets, values = np.asarray(targets, float), np.asarray(values, float)
    options = {"levels": levels_of(kind)} | options
    return get_metric(name, kind).score(targets, values, Task(kind, **options))


def rows_of(kind, seed):
    """Targets and tied predictions of little skill, as matrices."""
    targets, (values,) = random_rows(kind, seed=seed, skill=0.5)
    return targets, np.round(values, 1) + (0.0 if kind in ("multilabel", "regression") else 0.01)


def agree(found, expected):
    for name, value in expected.items():
        assert found(name) == pytest.approx(value, abs=1e-9), name


@SEEDS
def test_binary(seed):
    targets, values = rows_of("binary", seed)
    values /= values.sum(axis=1, keepdims=True)
    truth, probs, said = targets[:, 1], values[:, 1], values.argmax(axis=1)
    precision, recall = (probs @ truth) / probs.sum(), (probs @ truth) / truth.sum()
    fpr, tpr, _ = sk.roc_curve(truth, probs, drop_intermediate=False)
    agree(
        lambda name: score(name, "binary", targets, values),
        {
            "f2": sk.fbeta_score(truth, said, beta=2),
            "f0.5": sk.fbeta_score(truth, said, beta=0.5),
            "f1_weighted": sk.f1_score(truth, said, average="weighted"),
            "f1_micro": sk.accuracy_score(truth, said),
            "jaccard": sk.jaccard_score(truth, said),
            "mcc": sk.matthews_corrcoef(truth, said),
            "cohen_kappa": sk.cohen_kappa_score(truth, said),
            "hamming_loss": sk.hamming_loss(truth, said),
            "brier": sk.brier_score_loss(truth, probs),
            "pf1": 2 * precision * recall / (precision + recall),  # RSNA breast cancer, 2023
            "gini": 2 * sk.roc_auc_score(truth, probs) - 1,
            "pauc_fpr_0.1": sk.roc_auc_score(truth, probs, max_fpr=0.1),
            "sensitivity_at_specificity_0.8": tpr[fpr <= 0.2].max(),
            "specificity_at_sensitivity_0.9": 1 - fpr[tpr >= 0.9].min(),
            "pauc": area_above(truth, probs, 0.8),
            "pauc_tpr_88": area_above(truth, probs, 0.88),
            "balanced_log_loss": np.mean(
                [sk.log_loss(truth[truth == c], probs[truth == c], labels=[0, 1]) for c in (0, 1)]
            ),
        },
    )


def area_above(truth, probs, sensitivity):
    """By scikit-learn, as ISIC 2024 has it: of the problem turned round, without its scaling."""
    end = 1 - sensitivity
    scaled = sk.roc_auc_score(1 - truth, -probs, max_fpr=end)
    return (2 * scaled - 1) * (end - end**2 / 2) + end**2 / 2


@SEEDS
def test_several_classes(seed):
    targets, values = rows_of("multiclass", seed)
    values /= values.sum(axis=1, keepdims=True)
    truth, said = targets.argmax(axis=1), values.argmax(axis=1)
    weights = np.array([1.0, 2.0, 4.0])
    of_classes = [
        sk.log_loss(truth[truth == c], values[truth == c], labels=range(3)) for c in range(3)
    ]
    agree(
        lambda name: score(name, "multiclass", targets, values),
        {
            "f2_macro": sk.fbeta_score(truth, said, beta=2, average="macro"),
            "f1_micro": sk.f1_score(truth, said, average="micro"),
            "f1_weighted": sk.f1_score(truth, said, average="weighted"),
            "jaccard_macro": sk.jaccard_score(truth, said, average="macro"),
            "jaccard_weighted": sk.jaccard_score(truth, said, average="weighted"),
            "MCC": sk.matthews_corrcoef(truth, said),
            "cohen_kappa": sk.cohen_kappa_score(truth, said),
            "linear_weighted_kappa": sk.cohen_kappa_score(truth, said, weights="linear"),
            "hamming_loss": sk.hamming_loss(truth, said),
            "brier": sk.brier_score_loss(truth, values),
            "roc_auc_micro": sk.roc_auc_score(targets, values, average="micro"),
            "average_precision_micro": sk.average_precision_score(targets, values, average="micro"),
            "balanced_logloss": np.mean(of_classes),
            "top-2": sk.top_k_accuracy_score(truth, values - np.arange(3) * 1e-9, k=2),
            "top_2_error": 1 - sk.top_k_accuracy_score(truth, values - np.arange(3) * 1e-9, k=2),
        },
    )
    agree(
        lambda name: weighted(name, "multiclass", targets, values, {"1": 2.0, "2": 4.0}),
        {
            "weighted_log_loss": sk.log_loss(truth, values, sample_weight=weights[truth]),
            "balanced_log_loss": weights @ of_classes / 7,
            "weighted_auc": weights @ sk.roc_auc_score(targets, values, average=None) / 7,
        },
    )


def weighted(name, kind, targets, values, weights):
    """The score with `class_weights` of classes named 0, 1, 2."""
    task = TaskSection(kind=kind, target="y", metric=name, class_weights=weights)
    if kind in ("multilabel", "regression"):
        task = task.model_copy(update={"target": ["0", "1", "2"]})
    metric = task_metric(task, [str(c) for c in range(targets.shape[1])])
    return metric.score(targets, values, Task(kind, levels_of(kind)))


@SEEDS
def test_labels(seed):
    targets, values = rows_of("multilabel", seed)
    targets[:4] = 0  # rows without labels, and some for which none is predicted
    values[:2] = 0.1
    said, how = values >= 0.5, {"zero_division": 0}
    agree(
        lambda name: score(name, "multilabel", targets, values),
        {
            "f1_samples": sk.f1_score(targets, said, average="samples", **how),
            "mean_f2": sk.fbeta_score(targets, said, beta=2, average="samples", **how),
            "f0.5_micro": sk.fbeta_score(targets, said, beta=0.5, average="micro"),
            "f1_weighted": sk.f1_score(targets, said, average="weighted"),
            "jaccard_samples": sk.jaccard_score(targets, said, average="samples", **how),
            "jaccard_micro": sk.jaccard_score(targets, said, average="micro"),
            "hamming_loss": sk.hamming_loss(targets, said),
            "brier": np.mean(
                [sk.brier_score_loss(t, v) for t, v in zip(targets.T, values.T, strict=True)]
            ),
            "lrap": sk.label_ranking_average_precision_score(targets, values),
            "average_precision_micro": sk.average_precision_score(targets, values, average="micro"),
        },
    )
    # lwlrap: rows count by their number of labels.
    labels = targets.sum(axis=1)
    by_row = [
        sk.label_ranking_average_precision_score(targets[[row]], values[[row]])
        for row in range(len(targets))
    ]
    assert score("lwlrap", "multilabel", targets, values) == pytest.approx(
        labels @ by_row / labels.sum()
    )
    clipped = np.clip(values, 1e-15, 1 - 1e-15)
    columns = [sk.log_loss(t, v) for t, v in zip(targets.T, clipped.T, strict=True)]
    assert weighted("weighted_log_loss", "multilabel", targets, values, {"0": 2.0}) == (
        pytest.approx(np.dot([2, 1, 1], columns) / 4)  # RSNA haemorrhages, 2019
    )


@SEEDS
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_numbers(seed, offset):
    targets, values = (part + offset for part in rows_of("regression", seed))
    columns = list(zip(targets.T, values.T, strict=True))
    with warnings.catch_warnings(action="ignore"):
        expected = {
            "mse": sk.mean_squared_error(targets, values),
            "msle": np.mean((np.log1p(targets) - np.log1p(np.maximum(values, 0))) ** 2),
            "medae": sk.median_absolute_error(targets, values),
            "mape": sk.mean_absolute_percentage_error(targets, values),
            "rmspe": np.mean([np.mean(((v - t) / t) ** 2) ** 0.5 for t, v in columns]),
            "smape": 200 * np.mean(np.abs(values - targets) / (np.abs(values) + np.abs(targets))),
            "R2": sk.r2_score(targets, values),
            "pearson": np.mean([stats.pearsonr(t, v)[0] for t, v in columns]),
            "spearman": np.mean([stats.spearmanr(t, v)[0] for t, v in columns]),
        }
    for name, value in expected.items():
        found = score(name, "regression", targets, values)
        assert found == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_numbers_of_levels():
    targets, values = rows_of("ordinal", 0)
    values /= values.sum(axis=1, keepdims=True)
    wanted, expected = targets @ LEVELS, values @ LEVELS
    agree(
        lambda name: score(name, "ordinal", targets, values),
        {
            "pearson": stats.pearsonr(wanted, expected)[0],
            "spearman": stats.spearmanr(wanted, expected)[0],
            "r2": sk.r2_score(wanted, expected),
            "mse": sk.mean_squared_error(wanted, expected),
        },
    )
    nearest = np.abs(expected[:, None] - LEVELS).argmin(axis=1)  # levels are 1 and 1.5 apart
    cost = np.abs(LEVELS[:, None] - LEVELS)
    confusion = sk.confusion_matrix(wanted * 2, LEVELS[nearest] * 2) / len(wanted)
    by_chance = np.outer(confusion.sum(axis=1), confusion.sum(axis=0))
    assert score("linear_weighted_kappa", "ordinal", targets, values) == pytest.approx(
        1 - (cost * confusion).sum() / (cost * by_chance).sum()
    )


@pytest.mark.parametrize(
    ("name", "kind", "targets", "values", "expected"),
    [
        # The class is second, first, third: 1/2, 1, nothing.
        ("map@2", "multiclass", np.eye(3)[[1, 0, 2]],
         [[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1]], (1 / 2 + 1) / 3),
        # Labels at places 1 and 3 of three, of two: (1 + 2/3) / 2; a row without labels: 0.
        ("MAP@3", "multilabel", [[1, 0, 1], [0, 0, 0]], [[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]], 5 / 12),
        ("map_at_1", "multilabel", [[1, 0, 1]], [[0.9, 0.5, 0.1]], 1),
        # Sure rows first: right, wrong, right: (1 + 2/3) / 3.
        ("gap", "multiclass", np.eye(3)[[0, 0, 1]],
         [[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]], 5 / 9),
        # Five rows found before the two: precision 5/5 five times, then 5/6 and 6/7.
        ("padded_cmap", "multilabel", [[0], [1]], [[0.9], [0.1]], (5 + 6 / 7) / 6),
        ("padded_cmap", "multilabel", [[0, 0], [1, 0]], [[0.9, 0.1], [0.1, 0.1]],
         ((5 + 6 / 7) / 6 + 1) / 2),
        # Covariance 2/3 of variances 2/3 and 2/3, means 1 apart.
        ("concordance", "regression", [[1], [2], [3]], [[2], [3], [4]], 1 - 1 / (4 / 3 + 1)),
        ("gini", "regression", [[0], [0], [1], [3]], [[1], [2], [4], [3]], (3 * 3 + 4 - 10) / 5),
        ("pearson", "regression", [[1], [2]], [[3], [3]], 0),  # a constant
        ("r2", "regression", [[1], [3]], [[2], [2]], 0),
        ("mcc", "binary", np.eye(2)[[0, 1]], np.eye(2)[[0, 0]], 0),
        ("smape", "regression", [[0], [1]], [[0], [3]], 50),
        ("mape", "regression", [[2], [-4]], [[1], [-4]], 1 / 4),
    ],
)  # fmt: skip
def test_numbers_worked_out_by_hand(name, kind, targets, values, expected):
    assert score(name, kind, targets, values) == pytest.approx(expected)


def test_weighted_r2_is_of_all_columns_together():
    """CSIRO's biomass, 2025: one mean of all cells, each column by its weight."""
    targets, values = np.array([[1.0, 10], [3, 30]]), np.array([[1.0, 10], [3, 20]])
    mean = (1 + 3 + 3 * 10 + 3 * 30) / 8
    spread = (1 - mean) ** 2 + (3 - mean) ** 2 + 3 * (10 - mean) ** 2 + 3 * (30 - mean) ** 2
    found = weighted("weighted_r2", "regression", targets, values, {"1": 3})
    assert found == pytest.approx(1 - 3 * 10**2 / spread)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("map@5", "map_at_5"), ("MAP@5", "map_at_5"), ("mAP_5", "map_at_5"),
        ("top_5", "top_5_accuracy"), ("top-5", "top_5_accuracy"), ("Top5 acc", "top_5_accuracy"),
        ("top-1 error", "top_1_error"), ("F1-macro", "f1_macro"), ("macro_f1", "f1_macro"),
        ("f1_score_macro", "f1_macro"), ("macro F2", "f2_macro"), ("f1.0_macro", "f1_macro"),
        ("micro-averaged F1", "f1_micro"), ("weighted average F2", "f2_weighted"),
        ("QWK", "quadratic_weighted_kappa"), ("mcc", "matthews_correlation"),
        ("map", "average_precision"), ("AUC", "roc_auc"), ("roc-auc", "roc_auc"),
        ("pauc_tpr_80", "pauc_tpr_0.8"), ("weighted-logloss", "weighted_log_loss"),
    ],
)  # fmt: skip
def test_spellings(spelling, name):
    assert get_metric(spelling, "multiclass").name == name


@pytest.mark.parametrize(
    "spelling", ["mean F1 score", "sample-F1", "example based F1", "F1_samples"]
)
def test_spellings_of_a_mean_over_rows(spelling):
    assert get_metric(spelling, "multilabel").name == "f1_samples"


def test_names_that_hold_no_such_number_are_unknown():
    for name in ("map_at_0", "f0_macro", "pauc_tpr_0", "pauc_fpr_100", "top_0_error"):
        with pytest.raises(UserError, match="is unknown"):
            get_metric(name, "multiclass")
    assert all(SUMMARIES.values())


def test_weights_of_classes_are_wanted_where_they_make_the_metric_and_nowhere_else():
    def metric(classes=("a", "b", "c"), **task):
        return task_metric(TaskSection(kind="multiclass", target="y", **task), classes)

    with pytest.raises(UserError, match=r"needs the weight of each class.*class_weights: \{NAME"):
        metric(metric="weighted_log_loss")
    with pytest.raises(
        UserError, match=r"accuracy takes no class weights.*weighted_log_loss, balanced"
    ):
        metric(metric="accuracy", class_weights={"a": 2})
    with pytest.raises(UserError, match="no class 'd'; known: a, b, c"):
        metric(metric="weighted_log_loss", class_weights={"d": 2})
    assert metric(metric="balanced_log_loss").class_weights == ()
    assert metric(metric="balanced_log_loss", class_weights={"b": 3}).class_weights == (1, 3, 1)
    numbered = metric(("0", "1"), metric="weighted_log_loss", class_weights={"1": 2})
    assert numbered.class_weights == (1, 2)
    with pytest.raises(UserError, match="all are 0"):
        metric(("a", "b"), metric="weighted_log_loss", class_weights={"a": 0, "b": 0})
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"greater than or equal to 0|finite number"):
            TaskSection(
                kind="binary", target="y", metric="weighted_log_loss", class_weights={"a": wrong}
            )


def test_constants_of_weighted_losses():
    targets = np.eye(2)[[0, 0, 0, 1]]
    balanced = best_constant(targets, get_metric("balanced_log_loss", "binary"), Task("binary"))
    assert balanced.tolist() == [0.5, 0.5]
    task = TaskSection(
        kind="binary", target="y", metric="weighted_log_loss", class_weights={"b": 6}
    )
    found = best_constant(targets, task_metric(task, ["a", "b"]), Task("binary"))
    assert found == pytest.approx([3 / 9, 6 / 9])


def test_constants_of_labels_are_the_most_frequent_ones():
    targets = np.eye(4)[[0, 0, 2, 3, 2]]
    targets[:2, 1] = 1  # three labels are right more often than two, or all
    metric = get_metric("f1_samples", "multilabel")
    assert best_constant(targets, metric, Task("multilabel")).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("f1", "multiclass", "f1_macro, f1_micro or f1_weighted"),
        ("F1 score", "multilabel", "f1_macro, f1_micro, f1_weighted or f1_samples"),
        ("f2", "multilabel", "f2_macro, f2_micro, f2_weighted or f2_samples"),
        ("jaccard", "ordinal", "jaccard_macro, jaccard_micro or jaccard_weighted"),
    ],
)
def test_a_metric_of_two_classes_says_how_it_may_be_averaged(name, kind, said):
    with pytest.raises(UserError, match=f"task.kind is {kind}: say how it is averaged, {said} "):
        get_metric(name, kind)
