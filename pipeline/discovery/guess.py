"""Guess: a decision about a competition, how sure it is, and what else it may be."""

from dataclasses import dataclass
from typing import Any, Literal

Certainty = Literal["sure", "likely", "a guess"]


def counted(number: int, noun: str) -> str:
    """Return `1 row`, `2,000 rows`, `2 classes`."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


@dataclass(frozen=True)
class Guess:
    """A decision, and what a person needs to check it.

    Attributes:
        value: of the config's key; None leaves the key out.
        reason: what was seen that speaks for it, as part of a sentence; a remark where there are
            neither a value nor alternatives.
        alternatives: other values, each with what would speak for it.
    """

    value: Any
    certainty: Certainty
    reason: str
    alternatives: tuple[str, ...] = ()

    @property
    def is_remark(self) -> bool:
        """Whether it decides nothing, and names nothing to decide on."""
        return self.value is None and not self.alternatives
