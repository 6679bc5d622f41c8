"""What settings put into a fingerprint, and the versions of the code that makes artifacts."""

from typing import Any

import numpy as np

from pipeline.backbones.weights import weights_identity
from pipeline.config.expand import MULTIPLIERS
from pipeline.config.schema import Backbone, Folds, Learner, Network, Pseudo, Section, Task
from pipeline.metrics.named import metric_digest

# Raise one when its code changes what it writes: everything made by the old code is made anew.
FORMAT = {
    "folds": 6,
    "scenes": 1,  # what is a scene, where folds keep them whole
    "scene_check": 2,
    "cache": 1,
    "block": 3,
    "train": 4,
    "predict": 2,
    "blend": 5,  # what a blend says to those it teaches
    "ensemble": 12,
    "report": 9,
}
OF_METRIC = {"metric", "greater_is_better", "wants", "class_weights"}  # keys of `task`
# Keys that what lies on disk did not know: no part of a recipe while they are at their default.
YOUNGER: dict[type[Section], tuple[str, ...]] = {
    Backbone: ("stages", "pool"),
    Pseudo: ("agreement", "balance", "rounds", "after"),
    Learner: ("concatenate", "search", "stacks"),
    Network: ("patience_share",),
    Folds: ("repeats",),
}


def backbone_recipe(settings: Backbone) -> dict[str, Any]:
    """What the features of a backbone depend on, besides images and views."""
    weights = {"weights": weights_identity(settings.weights)}
    return _without_younger(settings, settings.model_dump()) | weights


def folds_recipe(settings: Folds) -> dict[str, Any]:
    """How rows are held out, besides the rows themselves."""
    return _without_younger(settings, settings.model_dump())


def task_recipe(settings: Task) -> dict[str, Any]:
    """What is learnt, besides the rows, whose digest holds the order of classes."""
    return settings.model_dump(exclude={*OF_METRIC, "positive"})


def metric_recipe(settings: Task) -> dict[str, Any]:
    """What a score is: the metric, what is declared of it, and the code of a user's own one."""
    return settings.model_dump(include=OF_METRIC) | {"code": metric_digest(settings.metric)}


def settings_recipe(settings: Learner | Network) -> dict[str, Any]:
    """A member's settings without what changes nothing in one of its models."""
    recipe = settings.model_dump(exclude={"all_rows", *MULTIPLIERS})
    if settings.pseudo is not None:
        recipe["pseudo"] = _without_younger(settings.pseudo, recipe["pseudo"])
    if isinstance(settings, Network) and not settings.patience:
        del recipe["patience_share"]
    if _counts_labels_by_weight(settings):
        recipe["labels"] = "by weight"  # once, mixed labels and weights apart
    return _without_younger(settings, recipe)


def stopping_recipe(groups: np.ndarray, threshold: float, metric: dict[str, Any]) -> dict[str, Any]:
    """What the end of a training with `patience` depends on besides its settings and rows."""
    rows = "inner rows"  # once, the held-out ones
    return {"rows": rows, "groups": groups.tolist(), "threshold": threshold, "metric": metric}


def _counts_labels_by_weight(settings: Learner | Network) -> bool:
    """Whether rows of unequal weight are mixed, or soft labels are of classes of unequal weight."""
    pseudo = settings.pseudo
    soft = pseudo is not None and pseudo.labels == "soft"
    if isinstance(settings, Learner):
        return soft and (settings.sampling == "smote" or settings.class_weights != "none")
    strengths = (settings.mixup, settings.cutmix, settings.ricap, settings.mosaic)
    mixed = any(strengths) and settings.mix_probability > 0 and not settings.plain
    by_class = "cumulative" in settings.loss_weights and settings.class_weights != "none"
    unequal = pseudo is not None and pseudo.weight != 1 and settings.sampling != "weighted"
    return (mixed and unequal) or (by_class and (mixed or soft))


def _without_younger(settings: Section, recipe: dict[str, Any]) -> dict[str, Any]:
    """A section's recipe without its YOUNGER keys that are at their default."""
    defaults = {
        key: type(settings).model_fields[key].default for key in YOUNGER.get(type(settings), ())
    }
    return {key: v for key, v in recipe.items() if key not in defaults or v != defaults[key]}
