"""Recipes: what of a config's section an artifact depends on, as JSON for its fingerprint."""

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.backbones.weights import weights_identity
from pipeline.config.expand import MULTIPLIERS
from pipeline.config.own_parts import code_of_architecture, codes_of
from pipeline.config.schema import (
    Backbone,
    Config,
    Folds,
    Learner,
    Network,
    Pseudo,
    Section,
    Submission,
    Task,
)
from pipeline.metrics.find_metric import metric_digest

OF_METRIC = {"metric", "greater_is_better", "wants", "class_weights"}  # keys of `task`
# Keys added after artifacts were written: no part of a recipe while they are at their default.
ADDED_LATER: dict[type[Section], tuple[str, ...]] = {
    Backbone: ("stages", "pool"),
    Pseudo: ("agreement", "balance", "rounds", "after"),
    Learner: ("concatenate", "search", "stacks", "pool_images"),
    Network: ("patience_share", "early_size"),
    Folds: ("repeats",),
    Submission: ("id", "columns", "rows"),
    Task: ("votes",),
}


def backbone_recipe(settings: Backbone) -> dict[str, Any]:
    """Return what the features of a backbone depend on, besides images and views."""
    weights = {"weights": weights_identity(settings.weights)}
    return _without_added(settings, settings.model_dump()) | weights | code_recipe(settings)


def precision_recipe(precision: str) -> dict[str, str]:
    """Return a precision that changes features and predictions; nothing of the exact one.

    Neither of "auto": a fingerprint does not depend on the machine that it is resolved on.
    """
    return {} if precision in ("auto", "32") else {"precision": precision}


def code_recipe(settings: Backbone) -> dict[str, str]:
    """Return the code of an architecture that a plugin registered; nothing of timm's own."""
    code = code_of_architecture(settings.arch)
    return {} if code is None else {"code": code}


def folds_recipe(settings: Folds) -> dict[str, Any]:
    """Return how rows are held out, besides the rows themselves."""
    return _without_added(settings, settings.model_dump())


def task_recipe(settings: Task) -> dict[str, Any]:
    """Return what is predicted, besides the rows, whose digest holds the order of classes."""
    recipe = settings.model_dump(exclude={*OF_METRIC, "positive", "transform"})
    return _without_added(settings, recipe)


def metric_recipe(settings: Task) -> dict[str, Any]:
    """Return the metric, its declared properties, and the digest of a user's own code."""
    return settings.model_dump(include=OF_METRIC) | {"code": metric_digest(settings.metric)}


def submission_recipe(settings: Submission) -> dict[str, Any]:
    """Return what is submitted, and in which form."""
    return _without_added(settings, settings.model_dump(mode="json", exclude={"slug"}))


def scoring_recipe(config: Config) -> list[Any]:
    """Return how predictions are scored."""
    return [metric_recipe(config.task), config.submission.threshold]


def settings_recipe(settings: Learner | Network) -> dict[str, Any]:
    """Return a member's settings without those that change nothing in one of its models."""
    recipe = settings.model_dump(exclude={"all_rows", *MULTIPLIERS})
    if settings.pseudo is not None:
        recipe["pseudo"] = _without_added(settings.pseudo, recipe["pseudo"])
    if isinstance(settings, Network) and not settings.patience:
        del recipe["patience_share"]
    if _counts_labels_by_weight(settings):
        recipe["labels"] = "by weight"  # earlier versions: labels and weights mixed apart
    if code := _own_code(settings):
        recipe["code"] = code
    return _without_added(settings, recipe)


def blends_recipe(names: Iterable[str]) -> dict[str, Any]:
    """Return the code of blends that plugins registered; nothing where there are none."""
    codes = codes_of("blend", names)
    return {"blend_code": codes} if codes else {}


def _own_code(settings: Learner | Network) -> dict[str, str]:
    """Return the code of the parts of a member that plugins registered."""
    if isinstance(settings, Learner):
        return codes_of("learner", [settings.learner])
    used = codes_of("loss", settings.loss_weights)
    return used | codes_of("augmentation", _transforms_in(settings.augment))


def _transforms_in(augment: Any) -> Iterator[str]:
    """Yield the keys of a list of transforms and of those inside them; others are no names."""
    if isinstance(augment, dict):
        yield from augment
        augment = list(augment.values())
    if isinstance(augment, list):
        for inner in augment:
            yield from _transforms_in(inner)


def _counts_labels_by_weight(settings: Learner | Network) -> bool:
    """Return whether rows of unequal weight are mixed, or soft labels of unequal classes."""
    pseudo = settings.pseudo
    soft = pseudo is not None and pseudo.labels == "soft"
    if isinstance(settings, Learner):
        return soft and (settings.sampling == "smote" or settings.class_weights != "none")
    strengths = (settings.mixup, settings.cutmix, settings.ricap, settings.mosaic)
    mixed = any(strengths) and settings.mix_probability > 0 and not settings.plain
    by_class = "cumulative" in settings.loss_weights and settings.class_weights != "none"
    unequal = pseudo is not None and pseudo.weight != 1 and settings.sampling != "weighted"
    return (mixed and unequal) or (by_class and (mixed or soft))


def _without_added(settings: Section, recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a section's recipe without its ADDED_LATER keys that are at their default."""
    defaults = {
        key: type(settings).model_fields[key].default for key in ADDED_LATER.get(type(settings), ())
    }
    return {key: v for key, v in recipe.items() if key not in defaults or v != defaults[key]}
