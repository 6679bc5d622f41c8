"""What a summary says in words, on the terminal and on the page."""

from collections import Counter
from typing import Any


def repeats(summary: dict[str, Any]) -> str:
    """What follows the number of folds: ", 3 repeats"; empty where there is one."""
    number = summary.get("repeats", 1)
    return f", {number} repeats" if number > 1 else ""


def expected(summary: dict[str, Any]) -> str:
    """The score of the test rows, and what it is told from."""
    entry = summary["estimate"]
    gain = entry["expected"] - entry["score"]
    num_models = summary["folds"] * summary.get("repeats", 1)
    averaged = (
        f"a test row is predicted by the mean of {num_models} models, which should move the "
        f"score by {gain:+.4f}; "
        if gain
        else ""
    )
    return (
        f"Expect {entry['expected']:.4f} on the test rows: {averaged}{entry['level']:.0%} of test "
        f"sets of {summary['test_rows']} rows score {entry['low']:.4f} to {entry['high']:.4f}. The "
        f"out-of-fold score alone is sure to {entry['score_low']:.4f} to {entry['score_high']:.4f}."
    )


def choice(summary: dict[str, Any]) -> str:
    """What choosing among blends cost; empty where the config names one."""
    made = summary["choice"]
    if made is None:
        return ""
    folds = ", ".join(f"{name} {count}" for name, count in Counter(made["by_fold"]).most_common())
    return (
        f"Choice among blends: {summary['metric']} chosen nested {made['nested']:.4f}, naive "
        f"{made['naive']:.4f} ({made['of']}); folds chose {folds}."
    )


def against_best_single(summary: dict[str, Any]) -> str:
    """Whether blending was worth it."""
    rival = f"the best single member ({summary['best_single']})"
    return f"Against {rival}: {_better(summary['better_than_best_single'])}"


def against_last(summary: dict[str, Any]) -> str:
    """Whether this submission is better than the one before; empty where there is none."""
    last = summary["better_than_last"]
    if last is None:
        return ""
    name = last["submission"].rpartition("/")[2]
    if "refused" in last:
        return f"Against the last submission ({name}): not compared, {last['refused']}."
    return f"Against the last submission ({name}): {_better(last)}"


def shake_up(summary: dict[str, Any]) -> str:
    """What the public leaderboard shows, and says nothing about; empty where it is not asked."""
    shaken = summary["shake_up"]
    if shaken is None:
        return ""
    share = summary["config"]["submission"]["public_share"]
    (low, high), (private_low, private_high) = shaken["public"], shaken["private"]
    shift_low, shift_high = shaken["difference"]
    text = (
        f"A public leaderboard of {share:.0%} of the test rows ({shaken['public_rows']}) would "
        f"show {low:.4f} to {high:.4f}, the private one ({shaken['private_rows']}) "
        f"{private_low:.4f} to {private_high:.4f}; private less public lies between "
        f"{shift_low:+.4f} and {shift_high:+.4f}."
    )
    if shaken["noise"] is None:
        return text
    return (
        f"{text} A public difference smaller than {shaken['noise']:.4f} between two submissions "
        f"as alike as this one and {summary['best_single']} says nothing."
    )


def without_members(summary: dict[str, Any]) -> str:
    """What each member is worth, a line for each; empty where there is one only."""
    blend = summary["diversity"]["left_out_of"]
    return "\n".join(
        f"Without {name}: {blend} {score:.4f}, {change:+.4f} "
        f"({'worse' if change < 0 else 'better' if change > 0 else 'the same'})"
        for name, score, change in without_each(summary)
    )


def without_each(summary: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Members by name: the blend's score without it, and by how much that is better.

    Changes are rounded as they are shown, so that none of them reads -0.0000.
    """
    diversity = summary["diversity"]
    direction = 1 if summary["greater_is_better"] else -1
    return [
        (name, score, round(direction * (score - diversity["score_with_all"]), 4) + 0.0)
        for name, score in diversity["score_without"].items()
        if score is not None
    ]


def _better(gain: dict[str, float]) -> str:
    return (
        f"better with probability {gain['probability']:.2f}, by {gain['low']:+.4f} to "
        f"{gain['high']:+.4f}, positive meaning better."
    )
