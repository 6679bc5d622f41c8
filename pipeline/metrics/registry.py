"""Metrics that `task.metric` may name; `metrics.patterns` has those with a number in the name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pipeline.metrics import number_scorers as numbers
from pipeline.metrics import rank_scorers as ranks
from pipeline.metrics import scorers
from pipeline.metrics.metric import CLASSES, NUMBERS, SINGLE_LABEL, Average, Metric, Wants
from pipeline.metrics.scorers import Counts, RowMeans

BINARY = frozenset({"binary"})
MULTILABEL = frozenset({"multilabel"})
SEVERAL = CLASSES - BINARY  # classes or labels, a column each
ONE_OF_SEVERAL = SINGLE_LABEL - BINARY
REGRESSION = frozenset({"regression"})
IN_UNIT = {"low": 0.0, "high": 1.0}
BY_COLUMN = {"by_class": True, "ranks": True}
OF_LOGS = {"takes": (0.0, np.inf), "scale": "log1p"}
OF_AVERAGE: dict[Average, tuple[str, dict[str, Any]]] = {
    "": ("of the positive class, see task.positive", {"kinds": BINARY, "of_positive": True}),
    "macro": ("mean over classes; one neither present nor predicted is skipped", {}),
    "micro": ("of all classes' counts together", {}),
    "weighted": ("mean over classes, each by its number of rows", {}),
    "samples": ("mean over rows; 0 for a row without labels", {"kinds": MULTILABEL}),
}


def higher(name: str, wants: Wants, kinds: frozenset[str], function: Any, **more: Any) -> Metric:
    """Make a metric that is better high."""
    return Metric(name, True, wants, kinds, function, **more)


def lower(name: str, wants: Wants, kinds: frozenset[str], function: Any, **more: Any) -> Metric:
    """Make a metric that is better low, 0 at best."""
    return Metric(name, False, wants, kinds, function, **{"low": 0.0, **more})


def of_counts(name: str, counts: Counts, average: Average) -> Metric:
    """Make a ratio of counts of decisions, averaged as scikit-learn does: NAME_AVERAGE."""
    text, more = OF_AVERAGE[average]
    finish, of = {
        "weighted": (scorers.weighted_mean_of_ratios, "moments"),
        "samples": (np.asarray, "hits"),
    }.get(average, (scorers.mean_of_ratios, "shares"))
    return higher(
        f"{name}_{average}" if average else name,
        "labels",
        more.get("kinds", CLASSES),
        RowMeans(partial(scorers.ratio_terms, counts=counts, average=average), finish, of=of),
        summary=f"{name}: {text}",
        by_class=average in ("", "macro"),
        of_positive=average == "",
        average=average,
        **IN_UNIT,
    )


def f_beta(beta: float, average: Average) -> Metric:
    """F1, F2, F0.5 ...: recall counts beta times as much as precision."""
    return of_counts(f"f{beta:g}", partial(scorers.f_counts, beta=beta), average)


def of_columns(name: str, column: ranks.Column, kinds: frozenset[str], **more: Any) -> Metric:
    """Average a metric of ranks over columns, one class against the rest."""
    function = partial(ranks.ranking, column=column)
    return higher(name, "probabilities", kinds, function, **{**IN_UNIT, **BY_COLUMN, **more})


def of_moments(name: str, finish: Callable, kinds: frozenset[str], **more: Any) -> Metric:
    """Average a metric of moments over target columns."""
    function = RowMeans(numbers.moments, finish)
    defaults = {"low": -1.0, "high": 1.0, "row_error": "squared"}
    return higher(name, "values", kinds, function, **{**defaults, **more})


def errors(
    name: str, terms: Callable, root: bool = False, kinds: frozenset[str] = NUMBERS, **more: Any
) -> Metric:
    """Average errors' means, or their roots, over target columns."""
    finish = numbers.root_mean if root else numbers.mean_over_columns
    function = RowMeans(terms, finish, of="losses")
    return lower(name, "values", kinds, function, **{"row_error": "squared", **more})


def _log_loss_of_weights(weights: np.ndarray | None) -> RowMeans:
    return RowMeans(partial(scorers.weighted_log_losses, weights=weights), scorers.ratio)


def _log_loss_by_class(weights: np.ndarray | None) -> RowMeans:
    finish = partial(scorers.mean_over_classes, weights=weights)
    return RowMeans(scorers.log_losses_by_class, finish)


def _auc_of_weights(weights: np.ndarray | None) -> Callable:
    return partial(ranks.ranking, column=ranks.column_auc, weights=weights)


def _r2_of_weights(weights: np.ndarray | None) -> RowMeans:
    return RowMeans(numbers.pooled_moments, partial(numbers.pooled_r2, weights=weights))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # Decisions.
        higher(
            "accuracy", "labels", CLASSES, RowMeans(scorers.hits, of="hits"), **IN_UNIT,
            summary="share of rows that are right (multilabel: in every column)",
        ),
        higher(
            "balanced_accuracy", "labels", SINGLE_LABEL,
            RowMeans(
                partial(scorers.ratio_terms, counts=scorers.recall_counts, average="macro"),
                scorers.mean_of_ratios, of="shares",
            ),
            summary="mean over classes of the share found", by_class=True, **IN_UNIT,
        ),
        *(f_beta(1, average) for average in OF_AVERAGE),
        *(of_counts("jaccard", scorers.jaccard_counts, average) for average in OF_AVERAGE),
        lower(
            "hamming_loss", "labels", CLASSES, RowMeans(scorers.wrong_shares, of="hits"), high=1.0,
            summary="share of labels that are wrong",
        ),
        higher(
            "matthews_correlation", "labels", SINGLE_LABEL,
            RowMeans(scorers.agreement_terms, scorers.matthews, of="agreement"), low=-1.0, high=1.0,
            summary="correlation of decisions with classes (MCC)",
        ),
        higher(
            "cohen_kappa", "labels", SINGLE_LABEL,
            RowMeans(scorers.agreement_terms, scorers.cohen, of="agreement"), low=-1.0, high=1.0,
            summary="agreement beyond chance, without weights",
        ),
        higher(
            "quadratic_weighted_kappa", "levels", SINGLE_LABEL,
            RowMeans(numbers.kappa_terms, numbers.kappa), low=-1.0, high=1.0,
            summary="Cohen's kappa, quadratic weights; ordinal: of the level nearest to the "
            "expectation",
        ),
        higher(
            "linear_weighted_kappa", "levels", SINGLE_LABEL,
            RowMeans(numbers.linear_kappa_terms, numbers.linear_kappa), low=-1.0, high=1.0,
            summary="the same with linear weights",
        ),
        # Probabilities.
        lower(
            "log_loss", "probabilities", CLASSES, RowMeans(scorers.log_losses, of="losses"),
            summary="mean negative log likelihood, probabilities clipped at 1e-15 and renormalised "
            "(multilabel: mean over columns)",
        ),
        lower(
            "kl_divergence", "shares", frozenset({"multiclass"}),
            RowMeans(scorers.divergences, of="losses"),
            summary="mean Kullback-Leibler divergence of probabilities from the targets' shares, "
            "see task.votes; of targets that are classes, the log loss",
        ),
        lower(
            "weighted_log_loss", "probabilities", CLASSES, _log_loss_of_weights(None),
            summary="each row by the weight of its class, multilabel: each column by its own, see "
            "task.class_weights", weigh=_log_loss_of_weights, needs_weights=True,
        ),
        lower(
            "balanced_log_loss", "probabilities", SINGLE_LABEL, _log_loss_by_class(None),
            summary="mean over classes of the log loss of their rows; task.class_weights, if any, "
            "weigh classes", by_class=True, weigh=_log_loss_by_class,
        ),
        lower(
            "brier", "probabilities", CLASSES,
            RowMeans(scorers.squared_probability_errors, of="losses"), high=2.0,
            summary="squared error of the positive class, summed over several (multilabel: mean)",
        ),
        higher(
            "pf1", "probabilities", BINARY,
            RowMeans(scorers.probable_f1_terms, scorers.mean_of_ratios, of="shares"), **IN_UNIT,
            summary="probabilistic F1: probabilities counted in place of decisions", by_class=True,
            of_positive=True,
        ),
        # Order of rows.
        of_columns(
            "roc_auc", ranks.column_auc, CLASSES,
            summary="area under the ROC curve; several classes: mean, one against the rest; "
            "a column with one class only is skipped",
        ),
        higher(
            "roc_auc_micro", "probabilities", SEVERAL,
            partial(ranks.pooled_ranking, column=ranks.column_auc),
            summary="the same of all columns' rows as one column", ranks=True, **IN_UNIT,
        ),
        of_columns(
            "weighted_roc_auc", ranks.column_auc, SEVERAL,
            summary="roc_auc, columns weighted by task.class_weights",
            weigh=_auc_of_weights, needs_weights=True,
        ),
        of_columns(
            "average_precision", ranks.column_average_precision, CLASSES,
            summary="area under the precision-recall steps; several classes: mean, as in roc_auc",
            of_positive=True,
        ),
        higher(
            "average_precision_micro", "probabilities", SEVERAL,
            partial(ranks.pooled_ranking, column=ranks.column_average_precision),
            summary="the same of all columns' rows as one column", ranks=True, **IN_UNIT,
        ),
        higher(
            "padded_cmap", "probabilities", SEVERAL,
            partial(ranks.padded_ranking, column=ranks.column_average_precision),
            summary="average_precision with five rows added that are all found (BirdCLEF 2023)",
            **IN_UNIT, **BY_COLUMN,
        ),
        higher(
            "normalized_gini", "probabilities", BINARY | REGRESSION, ranks.gini,
            low=-1.0, high=1.0, ranks=True, row_error="squared",
            summary="Gini coefficient over that of the truth: 2 roc_auc - 1 of two classes",
        ),
        higher(
            "global_average_precision", "probabilities", ONE_OF_SEVERAL,
            ranks.global_average_precision, **IN_UNIT,
            summary="likeliest classes ranked over all rows (GAP of landmark recognition)",
        ),
        # Order of a row's classes.
        higher(
            "lrap", "probabilities", MULTILABEL, RowMeans(ranks.label_ranking, of="hits"),
            summary="label ranking average precision: mean over rows of their labels' precision",
            **IN_UNIT,
        ),
        higher(
            "lwlrap", "probabilities", MULTILABEL,
            RowMeans(ranks.label_weighted_ranking, scorers.ratio),
            summary="the same as a mean over labels", **IN_UNIT,
        ),
        # Numbers.
        errors(
            "mae", numbers.absolute_errors, row_error="absolute",
            summary="mean absolute error (mean over columns)",
        ),
        errors("mse", numbers.squared_errors, summary="mean squared error (mean over columns)"),
        errors(
            "rmse", numbers.squared_errors, root=True,
            summary="root of the mean squared error (mean over target columns of the roots)",
        ),
        errors(
            "msle", numbers.squared_log_errors, **OF_LOGS,
            summary="mse of log(1 + value); predictions below 0 count as 0",
        ),
        errors(
            "rmsle", numbers.squared_log_errors, root=True, **OF_LOGS,
            summary="rmse of log(1 + value); predictions below 0 count as 0",
        ),
        lower(
            "median_absolute_error", "values", NUMBERS, numbers.median_absolute_error,
            row_error="absolute",
            summary="median of the absolute errors (mean over columns)",
        ),
        errors(
            "mape", numbers.relative_errors, kinds=REGRESSION, row_error="relative",
            summary="mean absolute error as a share of the target's size",
        ),
        errors(
            "rmspe", numbers.squared_relative_errors, root=True, kinds=REGRESSION,
            row_error="squared_relative",
            summary="root of the mean squared error as a share of the target's size",
        ),
        errors(
            "smape", numbers.symmetric_relative_errors, kinds=REGRESSION, high=200.0,
            row_error="symmetric",
            summary="mean absolute error in per cent of the mean size of target and prediction",
        ),
        of_moments("r2", numbers.r2, NUMBERS, low=-np.inf, summary="variance explained (mean)"),
        higher(
            "weighted_r2", "values", REGRESSION, _r2_of_weights(None), high=1.0,
            row_error="squared",
            summary="variance explained of all columns' values together, columns weighted by "
            "task.class_weights", weigh=_r2_of_weights, needs_weights=True,
        ),
        of_moments(
            "pearson", numbers.pearson, NUMBERS, ranks=True,
            summary="correlation (mean over columns); 0 for a constant",
        ),
        of_moments(
            "concordance", numbers.concordance, NUMBERS,
            summary="concordance correlation of Lin 1989 (mean over columns)",
        ),
        higher(
            "spearman", "values", NUMBERS, ranks.spearman, low=-1.0, high=1.0, ranks=True,
            row_error="ranks",
            summary="correlation of ranks (mean over columns)",
        ),
    )
}  # fmt: skip
