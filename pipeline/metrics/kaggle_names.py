"""Names that Kaggle's pages give to metrics, and ours."""

import re
from typing import get_args

from pipeline.config.schema import Kind

# A name in lower case without punctuation: ours, or ours by the kind of task ("": other kinds).
# Spaces do not count, as Kaggle writes QuadraticWeightedKappa, too.
KAGGLE_NAMES: dict[str, str | dict[str, str]] = {
    "area under the roc curve": "roc_auc",
    "area under receiver operating characteristic curve": "roc_auc",
    "area under the receiver operating characteristic curve": "roc_auc",
    "area under curve": "roc_auc",
    "roc auc score": "roc_auc",
    "auc roc": "roc_auc",
    "mean column wise auc": "roc_auc",
    "mean column wise roc auc": "roc_auc",
    "mean columnwise area under the roc curve": "roc_auc",
    "macro averaged roc auc": "roc_auc",
    "area under the precision recall curve": "average_precision",
    "average precision score": "average_precision",
    "categorization accuracy": "accuracy",
    "classification accuracy": "accuracy",
    "categorisation accuracy": "accuracy",
    "accuracy score": "accuracy",
    "balanced accuracy score": "balanced_accuracy",
    "balanced multiclass accuracy": "balanced_accuracy",
    "mean class accuracy": "balanced_accuracy",
    "log loss": "log_loss",
    "logarithmic loss": "log_loss",
    "multi class log loss": "log_loss",
    "multiclass log loss": "log_loss",
    "multi class logarithmic loss": "log_loss",
    "multiclass loss": "log_loss",
    "mean column wise log loss": "log_loss",
    "mean columnwise log loss": "log_loss",
    "binary cross entropy": "log_loss",
    "weighted multi label logarithmic loss": "weighted_log_loss",
    "weighted multi class logarithmic loss": "weighted_log_loss",
    "quadratic weighted kappa": "quadratic_weighted_kappa",
    "quadratic kappa": "quadratic_weighted_kappa",
    "cohens kappa": "cohen_kappa",
    "matthews correlation coefficient": "matthews_correlation",
    "f1": {"binary": "f1", "multilabel": "f1_samples", "": "f1_macro"},
    "f1 score": {"binary": "f1", "multilabel": "f1_samples", "": "f1_macro"},
    "f score": {"binary": "f1", "multilabel": "f1_samples", "": "f1_macro"},
    "mean f1 score": {"binary": "f1_macro", "multilabel": "f1_samples", "": "f1_macro"},
    "mean f score": {"binary": "f1_macro", "multilabel": "f1_samples", "": "f1_macro"},
    "mean fscore": {"binary": "f1_macro", "multilabel": "f1_samples", "": "f1_macro"},
    "macro f1 score": "f1_macro",
    "macro f1": "f1_macro",
    "macro f score": "f1_macro",
    "macro averaged f1 score": "f1_macro",
    "micro f1 score": "f1_micro",
    "micro averaged f1 score": "f1_micro",
    "row wise micro averaged f1 score": "f1_samples",
    "weighted f1 score": "f1_weighted",
    "mean f2 score": {"binary": "f2_macro", "multilabel": "f2_samples", "": "f2_macro"},
    "f2 score": {"binary": "f2", "multilabel": "f2_samples", "": "f2_macro"},
    "f beta score": {"binary": "f1", "multilabel": "f1_samples", "": "f1_macro"},
    "probabilistic f score": "pf1",
    "probabilistic f1 score": "pf1",
    "mean average precision": "average_precision",
    "padded cmap": "padded_cmap",
    "global average precision": "global_average_precision",
    "label ranking average precision": "lrap",
    "label weighted label ranking average precision": "lwlrap",
    "hamming loss": "hamming_loss",
    "jaccard index": {"binary": "jaccard", "multilabel": "jaccard_samples", "": "jaccard_macro"},
    "brier score": "brier",
    "normalized gini index": "normalized_gini",
    "normalized gini coefficient": "normalized_gini",
    "gini": "normalized_gini",
    "mean absolute error": "mae",
    "mean squared error": "mse",
    "root mean squared error": "rmse",
    "root mean square error": "rmse",
    "mean columnwise root mean squared error": "rmse",
    "mean column wise root mean squared error": "rmse",
    "root mean squared logarithmic error": "rmsle",
    "root mean squared log error": "rmsle",
    "mean squared logarithmic error": "msle",
    "median absolute error": "median_absolute_error",
    "mean absolute percentage error": "mape",
    "symmetric mean absolute percentage error": "smape",
    "root mean squared percentage error": "rmspe",
    "root mean square percentage error": "rmspe",
    "r2 score": "r2",
    "coefficient of determination": "r2",
    "weighted r2": "weighted_r2",
    "pearson correlation coefficient": "pearson",
    "spearman correlation coefficient": "spearman",
    "mean spearmans correlation coefficient": "spearman",
    "spearmans correlation": "spearman",
    "concordance correlation coefficient": "concordance",
}
# Families whose name holds a number: a pattern, and ours.
KAGGLE_PATTERNS = (
    (r"(?:mean)?(?:averageprecision|map)k?(?:at)?(\d+)", r"map_at_\1"),
    (r"top(\d+)(?:classification)?(?:accuracy)", r"top_\1_accuracy"),
    (r"top(\d+)(?:classification)?(?:error)", r"top_\1_error"),
)
_SQUEEZED = {name.replace(" ", ""): ours for name, ours in KAGGLE_NAMES.items()}


def kaggle_name(text: str, kind: Kind) -> str:
    """Return our name of a metric that Kaggle's pages call so, for a kind of task; else empty."""
    plain = re.sub(r"\([^)]*\)|[^a-z0-9]", "", text.lower())  # (multi-class) goes, too
    known = _SQUEEZED.get(plain, "")
    if known:
        return known if isinstance(known, str) else known.get(kind, known[""])
    found = ((re.fullmatch(pattern, plain), ours) for pattern, ours in KAGGLE_PATTERNS)
    return next((match.expand(ours) for match, ours in found if match), "")


def depends_on_kind(text: str) -> bool:
    """Return whether a name of Kaggle's stands for several of ours, which a person must choose."""
    return len({kaggle_name(text, kind) for kind in get_args(Kind)}) > 1
