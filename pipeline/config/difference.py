"""Which keys differ between two configs, dotted, with both values."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.config.schema import Config

ABSENT = object()  # a key that one of two configs does not have
NAMED = ("members", "backbones")  # sections whose keys are names that the user gives
AUTO = "auto"
MAX_LETTERS = 60  # of a value in a text


@dataclass(frozen=True)
class Difference:
    """A key that differs; ABSENT where a config has no such member or backbone.

    Attributes:
        key: dotted, as SET= takes it.
    """

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.old is ABSENT:
            return f"{self.key} added"
        if self.new is ABSENT:
            return f"{self.key} removed"
        return f"{self.key} {_text(self.old)} -> {_text(self.new)}"


def difference(old: Config, new: Config) -> list[Difference]:
    """Return the keys whose values differ, in the order of the schema, defaults filled in."""
    return list(_differing(*(config.model_dump(mode="json") for config in (old, new)), ()))


def without_decided(differences: list[Difference]) -> list[Difference]:
    """Return differences without those of `auto` to a value: it may be what `auto` stood for."""
    return [entry for entry in differences if AUTO not in (entry.old, entry.new)]


def _differing(old: Any, new: Any, keys: tuple[str, ...]) -> Iterator[Difference]:
    both = isinstance(old, dict) and isinstance(new, dict)
    # A learner in place of a network of the same name has other keys altogether.
    replaced = both and len(keys) == 2 and keys[0] in NAMED and old.keys() != new.keys()
    if both and not replaced:
        for key in {**old, **new}:
            yield from _differing(old.get(key, ABSENT), new.get(key, ABSENT), (*keys, key))
    elif old != new:
        yield Difference(".".join(keys), old, new)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 4]} ..."
