"""Metrics by name: what each wants to see, which direction is better, and the score itself.

Importing this module loads numpy only: names and directions are needed wherever work is listed.
Most metrics are a function of means over rows (`RowMeans`), so that a bootstrap of them is one
matrix product.
"""

import difflib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np

from pipeline.config.errors import UserError
from pipeline.config.schema import Kind

Wants = Literal["labels", "probabilities", "values", "levels"]
EPS = 1e-15

ANY = frozenset(get_args(Kind))
CLASSES = ANY - {"regression"}
SINGLE_LABEL = CLASSES - {"multilabel"}
NUMBERS = frozenset({"ordinal", "regression"})


@dataclass(frozen=True)
class Metric:
    """A metric that scores the pipeline's matrices, see `score`.

    Attributes:
        name: the name to print beside every score.
        greater_is_better: its direction.
        wants: what `function(y_true, y_pred)` receives.
            labels: class positions (N,), 0/1 (N, C) for multilabel.
            probabilities: labels as above, and (N, C) probabilities; binary: (N,) of the positive.
            values: numbers (N,), the expected level for ordinal, (N, C) for several targets.
            levels: the level nearest to the expectation (N,); class positions where there are none.
            Regression always gives values.
        kinds: tasks that it fits.
        function: `function(y_true, y_pred) -> float`.
        summary: one line for the documentation.
    """

    name: str
    greater_is_better: bool
    wants: Wants
    kinds: frozenset[str]
    function: Callable[[np.ndarray, np.ndarray], float]
    summary: str = ""

    def score(
        self,
        targets: np.ndarray,
        values: np.ndarray,
        *,
        kind: Kind,
        levels: np.ndarray | None = None,
        threshold: float = 0.5,
    ) -> float:
        """Score predictions (N, C) against targets (N, C), both in the contracts' matrix form.

        NaN means undefined for these rows (e.g. AUC of one class); NaN never wins in `is_better`.

        Args:
            levels: (C,) ascending, for ordinal.
            threshold: a multilabel probability of at least this is a yes.
        Raises:
            UserError: if a prediction is NaN or infinite.
        """
        y_true, y_pred = self.inputs(targets, values, kind=kind, levels=levels, threshold=threshold)
        return float(self.function(y_true, y_pred))

    def inputs(
        self,
        targets: np.ndarray,
        values: np.ndarray,
        *,
        kind: Kind,
        levels: np.ndarray | None = None,
        threshold: float = 0.5,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Convert the matrices of `score` to the y_true and y_pred that `function` wants."""
        assert targets.shape == values.shape, f"{targets.shape} targets, {values.shape} values"
        # A row of NaN has an argmax too, so that a diverged model would get a score.
        if not np.isfinite(values).all():
            raise UserError(
                f"{self.name}: {int((~np.isfinite(values)).any(axis=1).sum())} of {len(values)} "
                "rows have NaN or infinite predictions. Training diverged; lower `lr`."
            )
        if kind == "regression":
            return (targets[:, 0], values[:, 0]) if values.shape[1] == 1 else (targets, values)
        if kind == "multilabel":
            y_true = (targets >= 0.5).astype(int)
            return y_true, values if self.wants == "probabilities" else (values >= threshold) + 0
        if kind == "ordinal" and self.wants in ("values", "levels"):
            assert levels is not None, "an ordinal task has levels"
            expected = values @ levels
            if self.wants == "levels":
                expected = levels[np.abs(expected[:, None] - levels).argmin(axis=1)]
            return targets @ levels, expected
        y_true = targets.argmax(axis=1)
        if self.wants == "probabilities":
            return y_true, values[:, 1] if kind == "binary" else values
        return y_true, values.argmax(axis=1)

    def is_better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`; NaN beats nothing and is beaten by any number."""
        if np.isnan(a) or np.isnan(b):
            return bool(np.isnan(b) and not np.isnan(a))
        return a > b if self.greater_is_better else a < b

    @property
    def worst(self) -> float:
        """A score that every number beats."""
        return -np.inf if self.greater_is_better else np.inf


def get_metric(name: str, kind: Kind) -> Metric:
    """Find a metric by its name, an alias, or `module:function`.

    A function of the user's own is called with (y_true, y_pred), see `Metric.wants`. It may carry
    the attributes `greater_is_better` (default True) and `wants` (default "probabilities").

    Raises:
        UserError: if it is unknown, not importable, or does not fit the task.
    """
    metric = _imported(name) if ":" in name else _built_in(name)
    if kind not in metric.kinds:
        fitting = [known.name for known in _BUILT_IN.values() if kind in known.kinds]
        raise UserError(
            f"task.metric: {metric.name} is for {', '.join(sorted(metric.kinds))} tasks, "
            f"but task.kind is {kind}. For {kind}: {', '.join(fitting)}."
        )
    return metric


def _built_in(name: str) -> Metric:
    canonical = _ALIASES.get(name, name)
    if top := re.fullmatch(r"top_([1-9]\d*)_accuracy", canonical):
        function = RowMeans(partial(_top_hits, k=int(top[1])))
        return Metric(canonical, True, "probabilities", SINGLE_LABEL - {"binary"}, function)
    if canonical in _BUILT_IN and canonical != "top_K_accuracy":
        return _BUILT_IN[canonical]
    near = difflib.get_close_matches(name, [*_BUILT_IN, *_ALIASES, "top_3_accuracy"])
    raise UserError(
        f"task.metric: {name!r} is unknown. "
        + (f"Did you mean {' or '.join(near)}? " if near else "")
        + f"There are {', '.join(_BUILT_IN)} (K any number), and module:function of your own."
    )


def _imported(name: str) -> Metric:
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # anything may go wrong while the user's module runs
        raise UserError(
            f"task.metric: cannot import {name!r}: {type(error).__name__}: {error}. "
            "Expected module:function, with module.py in the working directory or installed."
        ) from error
    wants = getattr(function, "wants", "probabilities")
    if not callable(function) or wants not in get_args(Wants):
        raise UserError(
            f"task.metric: {name!r} must be function(y_true, y_pred) -> float, and its attribute "
            f"`wants`, if any, one of {', '.join(get_args(Wants))}; got {function!r}, {wants!r}."
        )
    kinds = NUMBERS if wants == "values" else ANY
    return Metric(name, bool(getattr(function, "greater_is_better", True)), wants, kinds, function)


@dataclass(frozen=True)
class RowMeans:
    """A metric that depends on the rows through means only.

    Attributes:
        terms: (y_true, y_pred) -> (N, ...) one entry per row.
        finish: means over rows (..., as in terms) -> score (...); leading axes are kept.
    """

    terms: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return float(self.finish(self.terms(y_true, y_pred).mean(axis=0)))


def _columns(y: np.ndarray) -> np.ndarray:
    return y[:, None] if y.ndim == 1 else y


def _mean_over_columns(columns: np.ndarray) -> np.ndarray:
    return columns.mean(axis=-1)


def _mean_of_defined(columns: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(columns)
    with np.errstate(invalid="ignore"):
        return np.where(defined, columns, 0.0).sum(axis=-1) / defined.sum(axis=-1)


def _hits(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """1 where a row is right, in every column for multilabel."""
    return (_columns(y_true) == _columns(y_pred)).all(axis=1).astype(float)


def _top_hits(y_true: np.ndarray, probs: np.ndarray, *, k: int) -> np.ndarray:
    """1 where the class is among the k likeliest; ties go to the earlier class, as in argmax."""
    likeliest = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    return (likeliest == y_true[:, None]).any(axis=1).astype(float)


def _log_losses(y_true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Each row's negative log likelihood; multilabel: mean over its columns."""
    if probs.ndim == 2 and y_true.ndim == 1:
        probs = np.clip(probs, EPS, 1.0)
        probs = probs / probs.sum(axis=1, keepdims=True)
        return -np.log(probs[np.arange(len(probs)), y_true])
    probs = np.clip(probs, EPS, 1 - EPS)
    losses = -np.log(np.where(y_true == 1, probs, 1 - probs))
    return _columns(losses).mean(axis=1)


def _membership(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, C) 0/1, of class positions (N,) or of what is 0/1 already."""
    return (labels[:, None] == np.arange(classes)) + 0.0 if labels.ndim == 1 else labels + 0.0


def _recall_terms(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C, 2): is of class c and found, is of class c."""
    classes = int(max(y_true.max(), y_pred.max())) + 1
    truth, found = _membership(y_true, classes), _membership(y_pred, classes)
    return np.stack([truth * found, truth], axis=-1)


def _mean_recall(means: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return _mean_of_defined(means[..., 0] / means[..., 1])


def _f1_terms(y_true: np.ndarray, y_pred: np.ndarray, *, only: int | None = None) -> np.ndarray:
    """(N, C, 2): is and was said to be of class c, and the mean of both counts."""
    classes = max(int(max(y_true.max(), y_pred.max())), only or 0) + 1
    truth, found = _membership(y_true, classes), _membership(y_pred, classes)
    terms = np.stack([truth * found, (truth + found) / 2], axis=-1)
    return terms if only is None else terms[:, [only]]


def _absolute_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return np.abs(_columns(y_true) - _columns(y_pred))


def _squared_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return np.square(_columns(y_true) - _columns(y_pred))


def _squared_log_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    if y_true.min() < 0:
        raise UserError(
            f"task.metric: rmsle needs targets of at least 0, found {y_true.min()}. Use rmse."
        )
    return _squared_errors(np.log1p(y_true), np.log1p(np.maximum(y_pred, 0)))


def _root_mean(means: np.ndarray) -> np.ndarray:
    return _mean_over_columns(np.sqrt(means))


def _kappa_terms(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    return np.stack([y_true, y_pred, y_true**2, y_pred**2, y_true * y_pred], axis=1).astype(float)


def _kappa(means: np.ndarray) -> np.ndarray:
    """1 - observed / expected squared disagreement, as moments (Cohen 1968, quadratic weights).

    With levels 0, 1, 2 ... it equals the confusion matrix's; other levels count by their distance.
    """
    a, b, aa, bb, ab = np.moveaxis(means, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = aa + bb - 2 * a * b
        return np.where(expected > 1e-12, 1 - (aa + bb - 2 * ab) / expected, np.nan)


def _ranked_counts(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives (T,) above each distinct threshold, from the highest down."""
    order = np.argsort(-score)
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true_positives = np.cumsum(truth[order])[last_of_tie]
    return true_positives, 1 + last_of_tie - true_positives


def _column_auc(truth: np.ndarray, score: np.ndarray) -> float:
    true_positives, false_positives = (np.append(0, n) for n in _ranked_counts(truth, score))
    area = np.sum(np.diff(false_positives) * (true_positives[1:] + true_positives[:-1])) / 2
    return float(area / (true_positives[-1] * false_positives[-1]))


def _column_average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    true_positives, false_positives = _ranked_counts(truth, score)
    precision = true_positives / (true_positives + false_positives)
    return float(np.sum(np.diff(true_positives, prepend=0) * precision) / true_positives[-1])


def _ranking(
    y_true: np.ndarray, probs: np.ndarray, *, column: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    """Mean of a ranking metric over columns (one class against the rest for multiclass).

    A column whose rows are all of one class is skipped; NaN if none is left.
    """
    truth = _columns(y_true) if probs.ndim == 1 else _membership(y_true, probs.shape[1])
    mixed = [c for c in range(truth.shape[1]) if 0 < truth[:, c].mean() < 1]
    scores = [column(truth[:, c], _columns(probs)[:, c]) for c in mixed]
    return float(np.mean(scores)) if scores else np.nan


_BUILT_IN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy", True, "labels", CLASSES, RowMeans(_hits),
            "share of rows that are right (multilabel: in every column)",
        ),
        Metric(
            "balanced_accuracy", True, "labels", SINGLE_LABEL,
            RowMeans(_recall_terms, _mean_recall),
            "mean over classes of the share found",
        ),
        Metric(
            "log_loss", False, "probabilities", CLASSES, RowMeans(_log_losses),
            "mean negative log likelihood, probabilities clipped at 1e-15 and renormalised "
            "(multilabel: mean over columns)",
        ),
        Metric(
            "roc_auc", True, "probabilities", CLASSES, partial(_ranking, column=_column_auc),
            "area under the ROC curve; several classes: mean, one against the rest; "
            "a column with one class only is skipped",
        ),
        Metric(
            "average_precision", True, "probabilities", CLASSES,
            partial(_ranking, column=_column_average_precision),
            "area under the precision-recall steps; several classes: mean, as in roc_auc",
        ),
        Metric(
            "f1", True, "labels", frozenset({"binary"}),
            RowMeans(partial(_f1_terms, only=1), _mean_recall),
            "F1 of the positive class (the last one)",
        ),
        Metric(
            "f1_macro", True, "labels", CLASSES, RowMeans(_f1_terms, _mean_recall),
            "mean over classes of F1; a class neither present nor predicted is skipped",
        ),
        Metric(
            "quadratic_weighted_kappa", True, "levels", SINGLE_LABEL,
            RowMeans(_kappa_terms, _kappa),
            "Cohen's kappa, quadratic weights; ordinal: of the level nearest to the expectation",
        ),
        Metric(
            "mae", False, "values", NUMBERS, RowMeans(_absolute_errors, _mean_over_columns),
            "mean absolute error (mean over target columns)",
        ),
        Metric(
            "rmse", False, "values", NUMBERS, RowMeans(_squared_errors, _root_mean),
            "root of the mean squared error (mean over target columns of the roots)",
        ),
        Metric(
            "rmsle", False, "values", NUMBERS, RowMeans(_squared_log_errors, _root_mean),
            "rmse of log(1 + value); predictions below 0 count as 0",
        ),
        Metric(
            "top_K_accuracy", True, "probabilities", SINGLE_LABEL - {"binary"}, RowMeans(_top_hits),
            "share of rows whose class is among the K likeliest, e.g. top_3_accuracy",
        ),
    )
}  # fmt: skip

METRICS: dict[str, str] = {name: metric.summary for name, metric in _BUILT_IN.items()}

_ALIASES = {
    "acc": "accuracy",
    "auc": "roc_auc",
    "logloss": "log_loss",
    "cross_entropy": "log_loss",
    "map": "average_precision",
    "mean_average_precision": "average_precision",
    "macro_f1": "f1_macro",
    "qwk": "quadratic_weighted_kappa",
    "kappa": "quadratic_weighted_kappa",
    "mcrmse": "rmse",
}
