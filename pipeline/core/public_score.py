"""A submission's public score against its estimate."""

from dataclasses import dataclass
from typing import Any, Self

from pipeline.core.artifacts import read_json
from pipeline.core.find_submission import summary_of
from pipeline.core.ledger import Entry
from pipeline.core.workspace import Workspace


@dataclass(frozen=True)
class PublicScore:
    """A public score and what was expected of it; all but the score may be unknown (None).

    Attributes:
        gap: the score less the estimate.
        low, high: the interval that was expected to hold it.
        of_public_rows: whether that is the interval on as many rows as the public leaderboard
            shows; else it is the whole test set's, which is narrower.
    """

    score: float
    gap: float | None
    low: float | None
    high: float | None
    of_public_rows: bool

    @classmethod
    def of(cls, entry: Entry, workspace: Workspace) -> Self | None:
        """Return a ledger's entry's public score; None where it has none."""
        if (score := entry.get("public_score")) is None:
            return None
        expected = expected_of(entry, workspace)
        interval = entry.get("public_interval")
        if "public_interval" not in entry:  # a line of an older version
            interval = (_summary(entry, workspace).get("shake_up") or {}).get("public")
        low, high = interval or (entry["low"], entry["high"])
        gap = None if expected is None else score - expected
        return cls(score, gap, low, high, bool(interval))

    @property
    def is_inside(self) -> bool | None:
        """Whether the interval holds the score; None without an interval."""
        return None if self.low is None else self.low <= self.score <= self.high

    @property
    def widths(self) -> float | None:
        """The gap as a share of the interval's width; None where there is no width."""
        if self.gap is None or self.low is None or self.high == self.low:
            return None
        return self.gap / (self.high - self.low)

    def sentence(self, metric: str) -> str:
        """Say how far the score is from the estimate, and whether that is unusual."""
        text = f"public {metric} {self.score:.4f}"
        if self.gap is None:
            return f"{text}; there is no estimate to compare it with"
        side = "above" if self.gap > 0 else "below"
        text += f", {abs(self.gap):.4f} {side} the expected {self.score - self.gap:.4f}"
        if self.is_inside is None:
            return text
        rows = "the public rows" if self.of_public_rows else "the test set"
        text += f": {'inside' if self.is_inside else 'outside'} the interval for {rows}, "
        text += f"{self.low:.4f} to {self.high:.4f}"
        if self.widths is not None:
            text += f" (the gap is {abs(self.widths):.2f} of its width)"
        if self.is_inside:
            return f"{text}. A gap like this is expected by chance"
        return (
            f"{text}. That is rare by chance: test images may differ from training images, or "
            "folds may not be split as the test set was (`make audit`)"
        )


def expected_of(entry: Entry, workspace: Workspace) -> float | None:
    """Return the score expected of the test set; ledgers of older versions do not hold it."""
    if "expected" in entry:
        return entry["expected"]
    return (_summary(entry, workspace).get("estimate") or {}).get("expected")


def _summary(entry: Entry, workspace: Workspace) -> dict[str, Any]:
    return read_json(summary_of(entry, workspace)) or {}
