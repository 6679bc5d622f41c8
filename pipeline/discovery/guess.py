"""Guess: a decision about a competition, how sure it is, and what else it may be."""

from dataclasses import dataclass
from typing import Any, Literal

Certainty = Literal["sure", "likely", "a guess"]


@dataclass(frozen=True)
class Guess:
    """A decision, and what a person needs to check it.

    Attributes:
        value: of the config's key; None leaves the key out.
        reason: what was seen that speaks for it, as part of a sentence.
        alternatives: other values, each with what would speak for it.
    """

    value: Any
    certainty: Certainty
    reason: str
    alternatives: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether a person should look at it."""
        return self.certainty != "sure"
