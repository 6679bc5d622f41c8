"""A metric of the user's own, `module:function` or a plugin's: what it declares, and a trial.

The function is called as `function(y_true, y_pred)` and returns a number. It declares two things,
by the YAML's `task: {greater_is_better: false, wants: classes}`, else by attributes of these names,
which a plugin's `@metric` sets:
which direction is better, and what it wants to see (see `metric.Metric`):

    probabilities   y_true: positions of classes (N,), 0/1 (N, C) for multilabel;
                    y_pred: probabilities (N, C), of the positive class (N,) for binary
    classes         positions of classes, 0 to C - 1, in place of probabilities (0/1 for multilabel)
    values, levels  numbers of a regression, expected levels or nearest levels of an ordinal task

Positions are those of `task.classes`, by default of the sorted labels; of two classes the positive
one is 1.
"""

import importlib
import numbers
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.own_parts import ITEMS, code_digest, code_of, line_of
from pipeline.config.schema import Kind
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.metrics.metric import ANY, CLASSES, NUMBERS, Metric, MetricFailed, Wants

SHOWN = {  # how what a function wants is written in the YAML
    "probabilities": "probabilities",
    "labels": "classes",
    "values": "values",
    "levels": "levels",
}
PLAIN_WANTS = ("probabilities", "labels")  # of tasks without levels
ROWS = 24  # made for the trial, at least two of each class


@dataclass(frozen=True)
class OwnFunction:
    """A function of the user's own, as `Metric.function` calls it.

    Attributes:
        name: module:function.
        call: the function itself.
    """

    name: str
    call: Callable[[np.ndarray, np.ndarray], Any]

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        """Its score of copies of the arrays.

        Raises:
            MetricFailed: if it fails, ends the program, or returns no number.
        """
        got = f"(y_true {_shape(y_true)}, y_pred {_shape(y_pred)})"
        try:
            # Resamples lack classes: hundreds of warnings that nothing can be done about.
            with warnings.catch_warnings(action="ignore"):
                found = _plain(self.call(y_true.copy(), y_pred.copy()))
        except (Exception, SystemExit) as error:  # anything may go wrong in the user's code
            raise MetricFailed(
                f"task.metric: {self.name} failed on {got}: {type(error).__name__}: {error}"
                f"{line_of(error)}."
            ) from error
        if not isinstance(found, float):
            raise MetricFailed(
                f"task.metric: {self.name} returned {str(found)[:60]!r} ({type(found).__name__}) "
                f"for {got}; expected one number."
            )
        return found

    def changes_its_inputs(self, y_true: np.ndarray, y_pred: np.ndarray) -> bool:
        """Whether a call leaves other numbers in the arrays that it was given."""
        given = y_true.copy(), y_pred.copy()
        with warnings.catch_warnings(action="ignore"):
            self.call(*given)
        return not (np.array_equal(given[0], y_true) and np.array_equal(given[1], y_pred))


def import_metric(
    name: str, kind: Kind, *, greater_is_better: bool | None = None, wants: str | None = None
) -> Metric:
    """Import `module:function`, or find a plugin's function, as a metric for a task.

    Args:
        greater_is_better, wants: of the config; they go before the function's attributes.
    Raises:
        UserError: if it cannot be imported, is no function, or does not say what it is.
    """
    function = _imported(name)
    if greater_is_better is None:
        greater_is_better = getattr(function, "greater_is_better", None)
    wants = wants or getattr(function, "wants", "values" if kind == "regression" else None)
    missing = {"greater_is_better": greater_is_better, "wants": wants}
    if None in missing.values():
        example = {"greater_is_better": "true", "wants": "probabilities"}
        lines = ", ".join(
            f"{key}: {example[key]}" for key, value in missing.items() if value is None
        )
        fitting = [
            shown for inner, shown in SHOWN.items() if kind == "ordinal" or inner in PLAIN_WANTS
        ]
        raise UserError(
            f"task.metric: {name} does not say {_lacking(missing)}. Add to the config's `task` "
            f"what is right of: `{lines}` (greater_is_better: true or false; wants: "
            f"{', '.join(fitting)}: what y_pred holds)."
        )
    of_shown = {shown: inner for inner, shown in SHOWN.items()} | {"labels": "labels"}
    if str(wants) not in of_shown or not isinstance(greater_is_better, bool | np.bool_):
        raise UserError(
            f"task.metric: {name} has wants {wants!r}, greater_is_better {greater_is_better!r}; "
            f"expected one of {', '.join(SHOWN.values())}, and true or false."
        )
    inner: Wants = of_shown[wants]
    if kind not in (NUMBERS if inner == "values" else CLASSES):
        fitting = "values" if kind == "regression" else "probabilities or classes"
        raise UserError(
            f"task.metric: {name} wants {wants}, which a {kind} task has none of. If it takes "
            f"{fitting}, say so by task.wants."
        )
    return Metric(name, bool(greater_is_better), inner, ANY, OwnFunction(name, function))


def metric_digest(name: str) -> str | None:
    """SHA-256 of the source of a metric's module; None for the built-in ones.

    Raises:
        UserError: if there is no such module, or it has no file.
    """
    if ":" not in name:
        return code_of("metric", name)
    try:
        return code_digest(name.partition(":")[0])
    except (ImportError, ValueError, SyntaxError, OSError) as error:
        raise UserError(f"task.metric: cannot read the module of {name!r}: {error}.") from error


def is_own(metric: Metric) -> bool:
    """Whether a metric is a function of the user's own."""
    return isinstance(metric.function, OwnFunction)


def describe(metric: Metric) -> str:
    """Return what a metric is taken for: "my:fn, lower is better, wants classes"."""
    direction = "higher" if metric.greater_is_better else "lower"
    return f"{metric.name}, {direction} is better, wants {SHOWN[metric.wants]}"


def try_metric(metric: Metric, targets: np.ndarray, task: Task) -> None:
    """Call a function of the user's own on made rows of the task, before anything is trained.

    Args:
        targets: (N, C) of the task; a regression's rows are taken from it.
    Raises:
        UserError: if it fails, returns no finite number, changes what it gets, or scores the truth
            worse than what is wrong.
    """
    function = metric.function
    if not isinstance(function, OwnFunction):
        return
    made, right = _made_rows(targets, task)
    wrong = [np.roll(right, shift, axis=0) for shift in (1, len(right) // 2)] + [right[::-1]]
    scores = []
    for values in (right, *wrong):
        inputs = metric.inputs(made, values, task)
        try:
            scores.append(function(*inputs))
        except MetricFailed as error:
            raise UserError(
                f"{error} It was tried on {len(made)} made rows; it wants "
                f"{SHOWN[metric.wants]}: if it is meant for something else, set task.wants."
            ) from error
        if not np.isfinite(scores[-1]):
            raise UserError(
                f"task.metric: {metric.name} is {scores[-1]} on {len(made)} made rows that hold "
                "every class; expected a finite number."
            )
        if function.changes_its_inputs(*inputs):
            raise UserError(
                f"task.metric: {metric.name} changes the arrays that it is given; let it work on "
                "copies, e.g. `y_pred = y_pred.copy()`."
            )
    if any(metric.is_better(score, scores[0]) for score in scores[1:]):
        shuffled = ", ".join(f"{score:.4g}" for score in scores[1:])
        declared, other = ("true", "false") if metric.greater_is_better else ("false", "true")
        raise UserError(
            f"task.metric: {metric.name} has greater_is_better: {declared}, but it is "
            f"{scores[0]:.4g} for right predictions and {shuffled} for shuffled ones. Set "
            f"task.greater_is_better: {other}, or correct the function."
        )


def _made_rows(targets: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Targets (n, C) that hold every class, and predictions that are right but not quite sure."""
    classes = targets.shape[1]
    if task.is_regression:
        places = np.linspace(0, len(targets) - 1, min(ROWS, len(targets))).astype(int)
        made = np.sort(targets, axis=0)[places]
        return made, made.astype(float)
    rows = np.arange(max(ROWS, 2 * classes))
    made = np.eye(classes)[rows % classes]
    if task.is_multilabel:
        made[rows, rows // 2 % classes] = 1.0  # some rows have two labels
        return made, task.threshold / 2 + made / 2
    return made, 0.9 * made + 0.1 / classes


def _imported(name: str) -> Callable[[np.ndarray, np.ndarray], Any]:
    if name in ITEMS["metric"]:
        return ITEMS["metric"][name]
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # anything may go wrong while the module runs
        raise UserError(
            f"task.metric: cannot import {name!r}: {type(error).__name__}: {error}. "
            "Expected module:function, with module.py in the working directory or installed."
        ) from error
    if not callable(function):
        raise UserError(
            f"task.metric: {name!r} must be function(y_true, y_pred) -> float, got {function!r}."
        )
    return function


def _plain(found: Any) -> Any:
    """Return a number of Python's, numpy's or torch's as a float; anything else as it is."""
    if np.ndim(found) == 0 and hasattr(found, "item"):
        found = found.item()
    is_number = isinstance(found, numbers.Real) and not isinstance(found, bool)
    return float(found) if is_number else found


def _lacking(declared: dict[str, Any]) -> str:
    """Return what is not declared, in words."""
    words = {
        "greater_is_better": "which direction is better (greater_is_better)",
        "wants": "what it wants to see (wants)",
    }
    return " and ".join(words[key] for key, value in declared.items() if value is None)


def _shape(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"
