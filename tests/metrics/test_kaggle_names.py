"""Kaggle's names of metrics: each is one of ours, for its kinds of task, with its direction."""

from typing import get_args

import pytest

from pipeline.config.schema import Kind
from pipeline.errors import UserError
from pipeline.metrics.find_metric import METRICS_OF_KIND, get_metric
from pipeline.metrics.kaggle_names import KAGGLE_NAMES, depends_on_kind, kaggle_name

LOW_IS_BETTER = ("loss", "error", "brier", "cross entropy")
# As the pages of competitions write them: kind of task, our name, whether greater is better.
ON_PAGES = {
    "QuadraticWeightedKappa": ("ordinal", "quadratic_weighted_kappa", True),
    "Quadratic Weighted Kappa": ("ordinal", "quadratic_weighted_kappa", True),
    "Categorization Accuracy": ("multiclass", "accuracy", True),
    "Multi-class Log Loss": ("multiclass", "log_loss", False),
    "MulticlassLoss": ("multiclass", "log_loss", False),
    "Area Under Receiver Operating Characteristic Curve": ("binary", "roc_auc", True),
    "Mean Column-wise AUC": ("multilabel", "roc_auc", True),
    "Mean Columnwise Root Mean Squared Error": ("regression", "rmse", False),
    "Root Mean Squared Logarithmic Error": ("regression", "rmsle", False),
    "Matthews Correlation Coefficient": ("binary", "matthews_correlation", True),
    "MAP@{5}": ("multiclass", "map_at_5", True),
    "MeanAveragePrecisionAtK@12": ("multiclass", "", True),
    "Macro F1 Score": ("multiclass", "f1_macro", True),
    "Mean F2 Score": ("multilabel", "f2_samples", True),
}
KINDS = get_args(Kind)


def accepts(ours: str, kind: str) -> bool:
    try:
        return bool(get_metric(ours, kind))
    except UserError:
        return False


@pytest.mark.parametrize("name", KAGGLE_NAMES)
def test_a_name_is_a_metric_of_ours_with_the_direction_it_says(name: str) -> None:
    kinds = [kind for kind in KINDS if accepts(kaggle_name(name, kind), kind)]
    assert kinds
    for kind in kinds:
        metric = get_metric(kaggle_name(name, kind), kind)
        assert metric.greater_is_better != any(word in name for word in LOW_IS_BETTER)


@pytest.mark.parametrize("written", ON_PAGES)
def test_names_are_read_as_pages_write_them(written: str) -> None:
    kind, ours, is_greater_better = ON_PAGES[written]
    assert kaggle_name(written, kind) == ours
    if ours and not depends_on_kind(written):
        metric = get_metric(written, kind)  # in a config, too
        assert (metric.name, metric.greater_is_better) == (ours, is_greater_better)


def test_a_name_of_several_forms_is_refused_with_the_usual_one() -> None:
    with pytest.raises(UserError, match=r"'F1Score' has several forms; did you mean `f1_samples`"):
        get_metric("F1Score", "multilabel")


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_names_keep_their_meaning(kind: str) -> None:
    for name in METRICS_OF_KIND[kind]:
        if name == name.lower():  # no pattern
            assert get_metric(name, kind).name == name
