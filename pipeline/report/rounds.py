"""The table of rounds of pseudo-labels, as the terminal and the page show it."""

from typing import Any


def round_columns(metric: str) -> list[str]:
    """Headings."""
    return ["round", "member", metric, "gain", "better with probability", "90% interval", "blends"]


def round_rows(rounds: list[dict[str, Any]], num_folds: int) -> list[list[str]]:
    """Cells: each round's score, what it gained over the one before, how many blends take it."""
    return [
        [
            str(entry["round"]),
            entry["member"],
            f"{entry['score']:.4f}",
            f"{entry['gain']:+.4f}" if "gain" in entry else "–",
            f"{entry['probability']:.2f}" if "gain" in entry else "–",
            f"{entry['low']:+.4f} to {entry['high']:+.4f}" if "gain" in entry else "–",
            f"{entry['blends']} of {num_folds}",
        ]
        for entry in rounds
    ]
