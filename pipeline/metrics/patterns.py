"""Metrics whose name holds a number (top_3_accuracy, f2_macro), and other names for metrics."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pipeline.metrics import rank_scorers as ranks
from pipeline.metrics.metric import CLASSES, Average, Metric
from pipeline.metrics.registry import (
    IN_UNIT,
    OF_AVERAGE,
    ONE_OF_SEVERAL,
    SEVERAL,
    f_beta,
    higher,
    lower,
    of_columns,
)
from pipeline.metrics.scorers import RowMeans

NUMBER = r"(\d*\.?\d+)"


@dataclass(frozen=True)
class Pattern:
    """Metrics whose name holds a number.

    Attributes:
        shown: the name with a capital letter for the number.
        example: one of them.
        regex: of a name and its spellings.
        make: of the regex's groups.
        metric: the example's.
    """

    shown: str
    example: str
    regex: str
    make: Callable[..., Metric | None]

    @property
    def metric(self) -> Metric:
        found = self.find(self.example)
        assert found is not None, f"{self.example} is no {self.shown}"
        return found

    def find(self, name: str) -> Metric | None:
        """Return the metric of a name; None if it is no such name."""
        match = re.fullmatch(self.regex, name)
        return self.make(*match.groups()) if match else None


def _top(k: str) -> Metric:
    function = RowMeans(partial(ranks.top_hits, k=int(k)), of="hits")
    text = "share of rows whose class is among the K likeliest"
    return higher(
        f"top_{k}_accuracy", "probabilities", ONE_OF_SEVERAL, function, summary=text, top=int(k),
        **IN_UNIT,
    )  # fmt: skip


def _top_error(k: str) -> Metric:
    function = RowMeans(partial(ranks.top_misses, k=int(k)), of="hits")
    text = "share of rows whose class is not among the K likeliest"
    return lower(
        f"top_{k}_error", "probabilities", ONE_OF_SEVERAL, function, summary=text, top=int(k),
        high=1.0,
    )  # fmt: skip


def _map_at(k: str) -> Metric:
    function = RowMeans(partial(ranks.precisions_at, k=int(k)), of="hits")
    text = "mean over rows of the average precision of the K likeliest classes"
    return higher(
        f"map_at_{k}", "probabilities", SEVERAL, function, summary=text, top=int(k), **IN_UNIT
    )


def _f_pattern(average: Average) -> Pattern:
    """F-beta of an average: f2_macro, macro_f2, macro-averaged F2; on Kaggle "mean" for samples."""
    ending = f"_{average}" if average else ""
    before = {"": "", "samples": "(?:samples?|mean|example_based)_"}.get(
        average, f"{average}_(?:averaged?_)?"
    )
    number = rf"f_?{NUMBER}(?:_score)?"
    regex = rf"{number}{ending}|{before}{number}"

    def make(after: str | None, before: str | None = None) -> Metric | None:
        beta = float(after or before or 0)
        return f_beta(beta, average) if beta > 0 else None

    return Pattern(f"fB{ending}", f"f2{ending}", regex, make)


def _share_of(text: str) -> float | None:
    """Return a share between 0 and 1, which may be written in per cent."""
    share = float(text) / (100 if float(text) >= 1 else 1)
    return share if 0 < share < 1 else None


def _of_share(
    name: str,
    column: Callable[..., float],
    key: str,
    summary: str,
    **ends: Callable[[float], float],
) -> Callable[[str], Metric | None]:
    """How metrics of ranks are made whose name ends in a share."""

    def make(text: str) -> Metric | None:
        share = _share_of(text)
        if share is None:
            return None
        function = partial(column, **{key: share})
        limits = {end: of(share) for end, of in ends.items()}
        more = {"summary": summary, "of_positive": True, **limits}
        return of_columns(f"{name}_{share:g}", function, CLASSES, **more)

    return make


PATTERNS = (
    Pattern("top_K_accuracy", "top_2_accuracy", r"top_?([1-9]\d*)(?:_acc(?:uracy)?)?", _top),
    Pattern("top_K_error", "top_2_error", r"top_?([1-9]\d*)_err(?:or)?", _top_error),
    Pattern("map_at_K", "map_at_2", r"map(?:_at)?_?([1-9]\d*)", _map_at),
    *(_f_pattern(average) for average in OF_AVERAGE),
    Pattern(
        "pauc_tpr_S", "pauc_tpr_0.8", rf"pauc_tpr_{NUMBER}",
        _of_share(
            "pauc_tpr", ranks.column_auc_above, "sensitivity",
            "area under the ROC curve above a sensitivity of S, at most 1 - S (ISIC 2024: 0.8)",
            high=lambda share: 1 - share,
        ),
    ),
    Pattern(
        "pauc_fpr_S", "pauc_fpr_0.1", rf"pauc_fpr_{NUMBER}",
        _of_share(
            "pauc_fpr", ranks.column_auc_up_to, "false_positive_rate",
            "area under the ROC curve up to a false positive rate of S, 0.5 by chance, 1 at best",
            low=lambda share: 0.5 * (1 - (share / 2) / (1 - share / 2)),
        ),
    ),
    Pattern(
        "sensitivity_at_specificity_S", "sensitivity_at_specificity_0.9",
        rf"sensitivity_at_specificity_{NUMBER}",
        _of_share(
            "sensitivity_at_specificity", ranks.column_sensitivity, "specificity",
            "highest share of positives found where the specificity is at least S",
        ),
    ),
    Pattern(
        "specificity_at_sensitivity_S", "specificity_at_sensitivity_0.9",
        rf"specificity_at_sensitivity_{NUMBER}",
        _of_share(
            "specificity_at_sensitivity", ranks.column_specificity, "sensitivity",
            "highest share of negatives found where the sensitivity is at least S",
        ),
    ),
)  # fmt: skip

ALIASES = {
    "acc": "accuracy",
    "balanced_acc": "balanced_accuracy",
    "uar": "balanced_accuracy",
    "macro_recall": "balanced_accuracy",
    "recall_macro": "balanced_accuracy",
    "hamming": "hamming_loss",
    "mcc": "matthews_correlation",
    "matthews": "matthews_correlation",
    "matthews_corrcoef": "matthews_correlation",
    "qwk": "quadratic_weighted_kappa",
    "kappa": "quadratic_weighted_kappa",
    "lwk": "linear_weighted_kappa",
    "linear_kappa": "linear_weighted_kappa",
    "logloss": "log_loss",
    "cross_entropy": "log_loss",
    "bce": "log_loss",
    "weighted_logloss": "weighted_log_loss",
    "balanced_logloss": "balanced_log_loss",
    "brier_score": "brier",
    "brier_score_loss": "brier",
    "probabilistic_f1": "pf1",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "auc_roc": "roc_auc",
    "roc_auc_score": "roc_auc",
    "weighted_auc": "weighted_roc_auc",
    "pauc": "pauc_tpr_0.8",
    "ap": "average_precision",
    "auprc": "average_precision",
    "map": "average_precision",
    "mean_average_precision": "average_precision",
    "cmap": "padded_cmap",
    "gap": "global_average_precision",
    "label_ranking_average_precision": "lrap",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
    "mcrmse": "rmse",
    "medae": "median_absolute_error",
    "r2_score": "r2",
    "pearsonr": "pearson",
    "plcc": "pearson",
    "spearmanr": "spearman",
    "srocc": "spearman",
    "ccc": "concordance",
    "gini": "normalized_gini",
    "normalised_gini": "normalized_gini",
}
