"""Decorators of a plugin: a module of your own that a config names, `plugins: [my_module]`.

A plugin lies in the working directory or on PYTHONPATH. It is imported before the rest of the
config is read, so that the YAML may name what it registers. What its code is counts: a changed
plugin has made anew what its parts take part in, and nothing else; a file for each part keeps the
others' work. This module imports no torch.

`@register_model` of timm needs no decorator of ours: its function's name is an `arch`.
"""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipeline.config.learners import BUILT_IN, LearnerEntry
from pipeline.config.network import LossName
from pipeline.config.own_parts import PartKind, register
from pipeline.config.schema import BlendKind, Kind
from pipeline.errors import UserError
from pipeline.metrics.find_metric import is_known

Function = Callable[..., Any]
FIT_ARGUMENTS = {"strengths", "seed"}


@dataclass(frozen=True)
class OwnLoss:
    """A plugin's loss: its function, and the kinds of tasks that it fits."""

    function: Function
    kinds: tuple[str, ...]
    takes_class_weights: bool


@dataclass(frozen=True)
class OwnBlend:
    """A plugin's blend: its function, see `blend`."""

    fit: Function
    learns: bool
    of_probabilities: bool


def learner(
    name: str,
    *,
    strengths: Sequence[float] = (1.0,),
    only_classes: bool = False,
    chooses: bool = True,
    penalties: Literal["several", "one", "none"] = "none",
) -> Callable[[Function], Function]:
    """Register `fit(rows, *, strengths, seed, ...)` as `learner: NAME`.

    `rows` are `pipeline.learners.rows.TrainingRows` of one fold: features (N, D), targets (N, C),
    which may be soft, weights (N,), inner folds (N,), and the task. Further keyword arguments are
    what the member's `params` may name.

    It returns a dataclass, defined in the same module or in `pipeline.learners`, with
    `predict(features (N, D)) -> (N, C)`: probabilities, or values of a regression. Its fields are
    arrays of numbers, and texts, numbers and lists of them. They are saved as they are: a pickle
    would run code when it is read, so an estimator of scikit-learn cannot be a field. Copy its
    arrays, or keep a library's own format as bytes: `np.frombuffer(text.encode(), np.uint8)`.

    Args:
        strengths: L2 penalties that `fit` gets where the config names none.
        only_classes: whether it fits no regression.
        chooses: whether it chooses something by rows it leaves out of `rows`; False allows
            `stacks`.
        penalties: how many `strength` may name: several to choose from, one, or none.
    """

    def registered(fit: Function) -> Function:
        _refuse_taken("learner", name, BUILT_IN)
        arguments = _arguments_of("learner", name, fit, {"rows", *FIT_ARGUMENTS})
        takes_all = any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values())
        params = tuple(key for key in arguments if key not in {"rows", *FIT_ARGUMENTS})
        entry = LearnerEntry(
            f"{fit.__module__}:{fit.__qualname__}",
            strengths=tuple(strengths),
            params=None if takes_all else params,
            only_classes=only_classes,
            chooses=chooses,
            penalties=penalties,
        )
        register("learner", name, entry, module=fit.__module__)
        return fit

    return registered


def loss(name: str, *, kinds: Sequence[Kind] = get_args(Kind)) -> Callable[[Function], Function]:
    """Register `loss(outputs, targets)` as `loss: NAME` of networks.

    Both are (B, C): logits, or numbers of a regression in standard deviations; and targets, which
    mixing and teachers make soft. It returns (B,), one value for each row, not their mean, so that
    rows can be weighted. With a keyword argument `class_weights`, (C,) or None, it takes the
    config's.

    Args:
        kinds: of tasks that it fits.
    """

    def registered(function: Function) -> Function:
        _refuse_taken("loss", name, get_args(LossName))
        takes_weights = "class_weights" in _arguments_of("loss", name, function)
        own = OwnLoss(function, tuple(kinds), takes_weights)
        register("loss", name, own, module=function.__module__)
        return function

    return registered


def augmentation(transform: type) -> type:
    """Register a transform class of albumentations under its name, for lists of `augment`.

    It is derived from `albumentations.ImageOnlyTransform` or another of its bases, takes uint8
    (H, W, 3) and returns the same. It draws from `self.py_random` or `self.random_generator` only:
    these are seeded for each image, whichever process works on it.
    """
    library = sys.modules.get("albumentations")  # the class's module has imported it
    base = getattr(library, "BasicTransform", ())
    if not (inspect.isclass(transform) and issubclass(transform, base)):
        raise UserError(
            f"augmentation {getattr(transform, '__name__', transform)!r} is no class that derives "
            "from albumentations.ImageOnlyTransform; @augmentation stands before such a class"
        )
    name = transform.__name__
    _refuse_taken("augmentation", name, vars(library))
    register("augmentation", name, transform, module=transform.__module__)
    return transform


def blend(
    name: str, *, learns: bool = True, of_probabilities: bool = False
) -> Callable[[Function], Function]:
    """Register `fit(members, targets, fitting)` as one of `blends`.

    `members` are calibrated predictions (M, N, C), `targets` (N, C), `fitting` a
    `pipeline.ensembles.fitting.BlendFitting` with the metric and the task. It returns weights of
    the members, (M,) of at least 0, or a function that combines (M, N, C) to (N, C). It sees no row
    that it is scored on: it is cross-fitted, calibrated and compared like the others.

    Args:
        learns: whether it uses the targets; if so, a soft vote takes its place where it does not
            gain on rows that it was not fitted on.
        of_probabilities: whether values of a regression lose their unit in it.
    """

    def registered(fit: Function) -> Function:
        _refuse_taken("blend", name, (*get_args(BlendKind), "best"))
        own = OwnBlend(fit, learns, of_probabilities)
        register("blend", name, own, module=fit.__module__)
        return fit

    return registered


def metric(
    name: str, *, greater_is_better: bool, wants: str = "probabilities"
) -> Callable[[Function], Function]:
    """Register `function(y_true, y_pred) -> float` as `task: {metric: NAME}`.

    Args:
        greater_is_better: its direction.
        wants: what y_pred holds: probabilities, classes, values or levels; `pipeline.metrics.own`
            says in which form.
    """

    def registered(function: Function) -> Function:
        if ":" in name or is_known(name):
            raise UserError(f"metric {name!r} is a built-in one's name; call yours otherwise")
        _refuse_taken("metric", name, ())
        function.greater_is_better, function.wants = greater_is_better, wants
        register("metric", name, function, module=function.__module__)
        return function

    return registered


def report_section(function: Function) -> Function:
    """Register `section(inputs)` as a section of the report, after the built-in ones.

    `inputs` are `pipeline.report.page_inputs.PageInputs`: the project, the submitted blend's
    predictions, the summary. It returns a `pipeline.report.page.Section`.
    """
    register("report section", function.__name__, function, module=function.__module__)
    return function


def _refuse_taken(kind: PartKind, name: str, built_in: Sequence[str] | dict[str, Any]) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UserError(f"{kind} {name!r}: expected a name of letters, digits, _ and -")
    if name in built_in:
        raise UserError(f"{kind} {name!r} is a built-in one's name; call yours otherwise")


def _arguments_of(
    kind: PartKind, name: str, function: Function, needed: set[str] = frozenset()
) -> dict[str, inspect.Parameter]:
    """Return a function's arguments by name.

    Raises:
        UserError: if one that it is called with is missing.
    """
    arguments = dict(inspect.signature(function).parameters)
    takes_all = any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values())
    if (missing := sorted(needed - set(arguments))) and not takes_all:
        raise UserError(
            f"{kind} {name!r}: {function.__name__}{inspect.signature(function)} takes no "
            f"{', '.join(missing)}; expected fit(rows, *, strengths, seed)"
        )
    return arguments
