"""Models of plugins' learners: what can be saved without a pickle, and which files are read."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from pipeline.config.own_parts import imported_module
from pipeline.errors import UserError


def saveable(model: Any, learner: str) -> Any:
    """Return a model of a plugin's learner; refuse what cannot be saved without a pickle.

    Raises:
        UserError: naming what is in the way.
    """
    kind = type(model)
    is_named = getattr(imported_module(kind.__module__), kind.__qualname__, None) is kind
    is_ours = kind.__module__.startswith("pipeline.learners.")
    if not is_dataclass(model) or not hasattr(model, "predict") or not (is_named or is_ours):
        raise UserError(
            f"learner {learner}: its function returned a {kind.__module__}.{kind.__qualname__}; "
            "expected a dataclass with `predict`, defined at the top of the plugin's file. Its "
            "fields are saved as arrays, not pickled: copy an estimator's arrays into them."
        )
    for part in fields(model):
        value = getattr(model, part.name)
        is_saved = value.dtype.kind in "biufU" if isinstance(value, np.ndarray) else _is_json(value)
        if not is_saved and not (is_ours and part.name == "boosters"):
            raise UserError(
                f"learner {learner}: field {part.name} of {kind.__qualname__} holds "
                f"{type(value).__name__}; expected an array of numbers, a text, a number, or lists "
                "of them. A library's own format is kept as bytes, np.frombuffer(..., np.uint8)."
            )
    return model


def _is_json(value: Any) -> bool:
    """Return whether a value is the same after it was written as JSON and read."""
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        return False


def model_type_of(name: str, *, where: Path) -> type:
    """Return the class of a saved model: a file runs no code but ours and that of plugins in use.

    Raises:
        UserError: if it is another one.
    """
    module, _, qualname = name.partition(":")
    own = imported_module(module)
    if own is not None:
        found = getattr(own, qualname, None)
        if is_dataclass(found) and found.__module__ == module:
            return found
    elif module.startswith("pipeline.learners."):
        return resolve_name(name)
    raise UserError(
        f"{where}: {name} is no model of ours, nor of a plugin that the config names. Name the "
        "plugin that it was fitted with."
    )
