"""Metric: what a score is of, which direction is better, what it wants to see."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

import numpy as np

from pipeline.config.schema import Kind, Scale
from pipeline.core.scale import from_scale
from pipeline.core.task import Task
from pipeline.errors import UserError

Wants = Literal["labels", "probabilities", "shares", "values", "levels"]
RowError = Literal["", "squared", "absolute", "relative", "squared_relative", "symmetric", "ranks"]
Average = Literal["", "macro", "micro", "weighted", "samples"]
Function = Callable[[np.ndarray, np.ndarray], float]

log = logging.getLogger(__name__)

ANY = frozenset(get_args(Kind))
CLASSES = ANY - {"regression"}
SINGLE_LABEL = CLASSES - {"multilabel"}
NUMBERS = frozenset({"ordinal", "regression"})


class MetricFailed(UserError):
    """A function of the user's own has no score for some rows."""


ROUNDING = 1e-12


@dataclass(frozen=True)
class Metric:
    """A metric that scores the pipeline's matrices, see `score`.

    Attributes:
        name: the name to print beside every score.
        greater_is_better: its direction.
        wants: what `function(y_true, y_pred)` receives.
            labels: class positions (N,), 0/1 (N, C) for multilabel.
            probabilities: labels as above, and (N, C) probabilities; binary: (N,) of the positive.
            shares: shares of classes (N, C), see `task.votes`, and (N, C) probabilities.
            values: numbers (N,), the expected level for ordinal, (N, C) for several targets.
            levels: the level nearest to the expectation (N,); class positions where there are none.
            Regression always gives values.
        kinds: tasks that it fits.
        function: `function(y_true, y_pred) -> float`.
        summary: one line for the documentation.
        low, high: what no score lies beyond.
        by_class: whether a class of few rows counts as much as a common one.
        ranks: whether the level of predictions does not count, only how they compare over rows.
        of_positive: whether it matters which of two classes is the positive one.
        average: what counts of several columns are averaged over, as scikit-learn has it.
        top: how many classes of a row, from the likeliest down, are looked at; None: all.
        takes: values (of targets, too) that it is defined on; predictions beyond are clipped.
        scale: log1p where its errors are of log(1 + value).
        row_error: of numbers, on `scale`: the error of a row that its mean, or its ranks, are of;
            empty where it is not known.
        weigh: makes `function` of classes' weights (C,); None where it takes none.
        needs_weights: whether it is another metric without weights.
        class_weights: (C,) those that `function` was made of; empty where there are none.
    """

    name: str
    greater_is_better: bool
    wants: Wants
    kinds: frozenset[str]
    function: Function
    summary: str = ""
    low: float = -np.inf
    high: float = np.inf
    by_class: bool = False
    ranks: bool = False
    of_positive: bool = False
    average: Average = ""
    top: int | None = None
    takes: tuple[float, float] = (-np.inf, np.inf)
    scale: Scale = "none"
    row_error: RowError = ""
    weigh: Callable[[np.ndarray], Function] | None = None
    needs_weights: bool = False
    class_weights: tuple[float, ...] = ()

    def score(
        self,
        targets: np.ndarray,
        values: np.ndarray,
        task: Task,
    ) -> float:
        """Score predictions (N, C) against targets (N, C), both as the task has them.

        Numbers of a regression are on the task's scale, and scored in the target's unit.

        NaN means undefined for these rows (e.g. AUC of one class); NaN never wins in `is_better`.

        Raises:
            UserError: if a prediction is NaN or infinite, or a target is none that it takes.
        """
        return self.of_rows(*self.inputs(targets, values, task))

    def of_rows(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Score what `inputs` gives; NaN where a function of the user's own fails on these rows."""
        try:
            score = float(self.function(y_true, y_pred))
        except MetricFailed as error:
            _warn_once(f"{error} Its score counts as undefined there.")
            return np.nan
        # Rounding leaves the range by the last bit, and otherwise on each kind of processor.
        nearest = float(np.clip(score, self.low, self.high))
        return nearest if abs(score - nearest) < ROUNDING else score

    def inputs(
        self,
        targets: np.ndarray,
        values: np.ndarray,
        task: Task,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Convert the matrices of `score` to the y_true and y_pred that `function` wants."""
        assert targets.shape == values.shape, f"{targets.shape} targets, {values.shape} values"
        # A row of NaN has an argmax too, so that a diverged model would get a score.
        if not np.isfinite(values).all():
            raise UserError(
                f"{self.name}: {int((~np.isfinite(values)).any(axis=1).sum())} of {len(values)} "
                "rows have NaN or infinite predictions. Training diverged; lower `lr`."
            )
        if task.is_regression:
            targets, values = from_scale(targets, task.scale), from_scale(values, task.scale)
            self.refuse_targets(targets)
            values = self.clip(values)
            return (targets[:, 0], values[:, 0]) if values.shape[1] == 1 else (targets, values)
        if task.is_multilabel:
            y_true = (targets >= 0.5).astype(int)
            return y_true, values if self.wants == "probabilities" else (
                values >= task.threshold
            ) + 0
        if task.is_ordinal and self.wants in ("values", "levels"):
            expected = self.clip(task.expected_levels(values))
            self.refuse_targets(task.levels)
            if self.wants == "levels":
                nearest = np.abs(expected[:, None] - task.levels).argmin(axis=1)
                expected = task.levels[nearest]
            return task.expected_levels(targets), expected
        if self.wants == "shares":
            return targets, values
        y_true = targets.argmax(axis=1)
        if self.wants == "probabilities":
            return y_true, values[:, 1] if task.is_binary else values
        return y_true, values.argmax(axis=1)

    def clip(self, values: np.ndarray) -> np.ndarray:
        """Values of a regression, or expected levels, moved into what the metric takes.

        It may be done on the task's scale, too: 0 is 0 on both.
        """
        return values if self.takes == (-np.inf, np.inf) else np.clip(values, *self.takes)

    def refuse_targets(self, targets: np.ndarray) -> None:
        """Refuse targets of a regression, or levels, that the metric does not take.

        Raises:
            UserError: naming the first beyond.
        """
        low, high = self.takes
        for beyond, end, word in (
            (targets < low, low, "at least"),
            (targets > high, high, "at most"),
        ):
            if beyond.any():
                raise UserError(
                    f"task.metric: {self.name} needs targets of {word} {end:g}, found "
                    f"{targets[beyond][0]:g}. Correct them, or use rmse or mae."
                )

    def weighted(self, weights: np.ndarray) -> "Metric":
        """Return the same with weights of classes (C,)."""
        assert self.weigh is not None, f"{self.name} takes no class weights"
        made = {"function": self.weigh(weights), "class_weights": tuple(weights.tolist())}
        return replace(self, needs_weights=False, **made)

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

    def limits(self, targets: np.ndarray, task: Task) -> tuple[float, float]:
        """Return what no score of targets (N, C) lies beyond.

        A function of the user's own ends at the perfect score.
        """
        low, high = self.low, self.high
        if np.isfinite(high if self.greater_is_better else low):
            return low, high
        perfect = self.score(targets, targets.astype(float), task)
        if np.isnan(perfect):
            return low, high
        return (low, perfect) if self.greater_is_better else (perfect, high)

    @property
    def worst(self) -> float:
        """A score that every number beats."""
        return -np.inf if self.greater_is_better else np.inf


@cache
def _warn_once(text: str) -> None:
    log.warning(text)
