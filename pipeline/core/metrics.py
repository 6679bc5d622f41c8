"""Metrics by name: what each wants to see, which direction is better, and the score itself.

Importing this module loads numpy only: names and directions are needed wherever work is listed.
"""

import difflib
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from pipeline.config.errors import UserError
from pipeline.config.schema import Kind
from pipeline.core import scorers
from pipeline.core.scorers import RowMeans

Wants = Literal["labels", "probabilities", "values", "levels"]

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
        low, high: what no score lies beyond.
        by_class: whether a class of few rows counts as much as a common one.
        ranks: whether only the order of each column's predictions counts.
        of_positive: whether it matters which of two classes is the positive one.
    """

    name: str
    greater_is_better: bool
    wants: Wants
    kinds: frozenset[str]
    function: Callable[[np.ndarray, np.ndarray], float]
    summary: str = ""
    low: float = -np.inf
    high: float = np.inf
    by_class: bool = False
    ranks: bool = False
    of_positive: bool = False

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

    def best(self, scores: Sequence[float]) -> int:
        """Position of the score that none beats; of equals, the first."""
        best = 0
        for place, score in enumerate(scores):
            if self.is_better(score, scores[best]):
                best = place
        return best

    def limits(self, targets: np.ndarray, **scoring: Any) -> tuple[float, float]:
        """What no score lies beyond; a function of the user's own ends at the perfect score.

        Args:
            targets: (N, C); scoring: as for `score`.
        """
        low, high = self.low, self.high
        if np.isfinite(high if self.greater_is_better else low):
            return low, high
        perfect = self.score(targets, targets.astype(float), **scoring)
        if np.isnan(perfect):
            return low, high
        return (low, perfect) if self.greater_is_better else (perfect, high)

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
        function = RowMeans(partial(scorers.top_hits, k=int(top[1])), of="hits")
        kinds = SINGLE_LABEL - {"binary"}
        return Metric(canonical, True, "probabilities", kinds, function, low=0, high=1)
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


_BUILT_IN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy", True, "labels", CLASSES, RowMeans(scorers.hits, of="hits"),
            "share of rows that are right (multilabel: in every column)",
            low=0, high=1,
        ),
        Metric(
            "balanced_accuracy", True, "labels", SINGLE_LABEL,
            RowMeans(scorers.recall_terms, scorers.mean_recall, of="shares"),
            "mean over classes of the share found",
            low=0, high=1, by_class=True,
        ),
        Metric(
            "log_loss", False, "probabilities", CLASSES, RowMeans(scorers.log_losses, of="losses"),
            "mean negative log likelihood, probabilities clipped at 1e-15 and renormalised "
            "(multilabel: mean over columns)",
            low=0,
        ),
        Metric(
            "roc_auc", True, "probabilities", CLASSES,
            partial(scorers.ranking, column=scorers.column_auc),
            "area under the ROC curve; several classes: mean, one against the rest; "
            "a column with one class only is skipped",
            low=0, high=1, by_class=True, ranks=True,
        ),
        Metric(
            "average_precision", True, "probabilities", CLASSES,
            partial(scorers.ranking, column=scorers.column_average_precision),
            "area under the precision-recall steps; several classes: mean, as in roc_auc",
            low=0, high=1, by_class=True, ranks=True, of_positive=True,
        ),
        Metric(
            "f1", True, "labels", frozenset({"binary"}),
            RowMeans(partial(scorers.f1_terms, only=1), scorers.mean_recall, of="shares"),
            "F1 of the positive class, see task.positive",
            low=0, high=1, by_class=True, of_positive=True,
        ),
        Metric(
            "f1_macro", True, "labels", CLASSES,
            RowMeans(scorers.f1_terms, scorers.mean_recall, of="shares"),
            "mean over classes of F1; a class neither present nor predicted is skipped",
            low=0, high=1, by_class=True,
        ),
        Metric(
            "quadratic_weighted_kappa", True, "levels", SINGLE_LABEL,
            RowMeans(scorers.kappa_terms, scorers.kappa),
            "Cohen's kappa, quadratic weights; ordinal: of the level nearest to the expectation",
            low=-1, high=1,
        ),
        Metric(
            "mae", False, "values", NUMBERS,
            RowMeans(scorers.absolute_errors, scorers.mean_over_columns, of="losses"),
            "mean absolute error (mean over target columns)",
            low=0,
        ),
        Metric(
            "rmse", False, "values", NUMBERS,
            RowMeans(scorers.squared_errors, scorers.root_mean, of="losses"),
            "root of the mean squared error (mean over target columns of the roots)",
            low=0,
        ),
        Metric(
            "rmsle", False, "values", NUMBERS,
            RowMeans(scorers.squared_log_errors, scorers.root_mean, of="losses"),
            "rmse of log(1 + value); predictions below 0 count as 0",
            low=0,
        ),
        Metric(
            "top_K_accuracy", True, "probabilities", SINGLE_LABEL - {"binary"},
            RowMeans(scorers.top_hits, of="hits"),
            "share of rows whose class is among the K likeliest, e.g. top_3_accuracy",
            low=0, high=1,
        ),
    )
}  # fmt: skip

METRICS_OF_KIND: dict[str, list[str]] = {
    kind: [name for name, metric in _BUILT_IN.items() if kind in metric.kinds]
    for kind in get_args(Kind)
}
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
