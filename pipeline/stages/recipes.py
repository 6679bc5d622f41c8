"""What settings put into a fingerprint, and the versions of the code that makes artifacts."""

from typing import Any

from pipeline.config.expansion import MULTIPLIERS
from pipeline.config.schema import Backbone, Folds, Learner, Network, Pseudo, Section
from pipeline.core.weights import weights_identity

# Raise one when its code changes what it writes: everything made by the old code is made anew.
FORMAT = {
    "folds": 3,
    "cache": 1,
    "block": 2,
    "train": 2,
    "predict": 1,
    "blend": 3,  # what a blend says to those it teaches
    "ensemble": 8,
    "report": 5,
}
# Keys that what lies on disk did not know: no part of a recipe while they are at their default.
YOUNGER: dict[type[Section], tuple[str, ...]] = {
    Backbone: ("stages", "pool"),
    Pseudo: ("agreement", "balance", "rounds", "after"),
    Learner: ("concatenate", "search", "stacks"),
    Folds: ("repeats",),
}


def backbone_recipe(settings: Backbone) -> dict[str, Any]:
    """What the features of a backbone depend on, besides images and views."""
    weights = {"weights": weights_identity(settings.weights)}
    return _without_younger(settings, settings.model_dump()) | weights


def folds_recipe(settings: Folds) -> dict[str, Any]:
    """How rows are held out, besides the rows themselves."""
    return _without_younger(settings, settings.model_dump())


def settings_recipe(settings: Learner | Network) -> dict[str, Any]:
    """A member's settings without what changes nothing in one of its models."""
    recipe = settings.model_dump(exclude={"all_rows", *MULTIPLIERS})
    if settings.pseudo is not None:
        recipe["pseudo"] = _without_younger(settings.pseudo, recipe["pseudo"])
    return _without_younger(settings, recipe)


def _without_younger(settings: Section, recipe: dict[str, Any]) -> dict[str, Any]:
    """A section's recipe without its YOUNGER keys that are at their default."""
    defaults = {
        key: type(settings).model_fields[key].default for key in YOUNGER.get(type(settings), ())
    }
    return {key: v for key, v in recipe.items() if key not in defaults or v != defaults[key]}
