"""What a summary says in words, on the terminal and on the page."""

from collections import Counter
from typing import Any

from pipeline.data.alarms import Alarm


def repeats(summary: dict[str, Any]) -> str:
    """What follows the number of folds: ", 3 repeats"; empty where there is one."""
    number = summary.get("repeats", 1)
    return f", {number} repeats" if number > 1 else ""


def expected(summary: dict[str, Any]) -> str:
    """The one line to remember: the score to expect of the test set, and its interval.

    Where test images differ, it says so first, and by what.
    """
    entry, shift = summary["estimate"], summary["shift"]
    ends = f"{entry['level']:.0%} sure to be between {entry['low']:.4f} and {entry['high']:.4f}"
    name, number = summary["metric"], f"{entry['expected']:.4f}"
    if not shift["differs"]:
        return f"Expected on the test set: {name} {number}, {ends}."
    seen = "; ".join(
        f"{signal['name']} {signal['test']:.2f}, of held-out rows {signal['train']:.2f}"
        for signal in shift["signals"]
        if signal["differs"]
    )
    differ = f"Test images differ from training images ({seen})"
    if not shift["by_way"]:
        return (
            f"{differ}, and nothing tells what that costs: {name} {number} is the out-of-fold "
            f"estimate ({ends}), which need not hold there."
        )
    ways = ", ".join(f"{way} {score:.4f}" for way, score in shift["by_way"].items())
    return (
        f"{differ}. Expected on the test set as it is: {name} {number}, {ends}, estimated without "
        f"labels ({ways}). The out-of-fold score {entry['score']:.4f} need not hold there."
    )


def averaging(summary: dict[str, Any]) -> str:
    """Why more is expected than the out-of-fold score; empty where it is not."""
    entry = summary["estimate"]
    gain = entry["expected"] - entry["score"]
    if is_zero(gain) or summary["shift"]["differs"]:
        return ""
    num_models = summary["folds"] * summary.get("repeats", 1)
    return (
        f"That is the out-of-fold score {entry['score']:.4f} {gain:+.4f}: test rows get the mean "
        f"of {num_models} models, training rows only models that did not see them."
    )


def choice(summary: dict[str, Any]) -> str:
    """Which blends folds chose, and what choosing cost; empty where the config names one."""
    made = summary["choice"]
    if made is None:
        return ""
    counts = Counter(made["by_fold"]).most_common()
    if len(counts) == 1:
        return f"Blend: {counts[0][0]}, which every fold chose by the other folds' rows."
    folds = ", ".join(f"{name} in {count}" for name, count in counts)
    return (
        f"Blend: each fold takes the one that is best on the other folds ({folds}), which scores "
        f"{made['nested']:.4f}. {made['of']} alone shows {made['naive']:.4f}, but was picked by "
        "the rows that score it."
    )


def against_best_single(summary: dict[str, Any]) -> str:
    """Whether blending was worth it."""
    best = summary["best_single"]
    if best == summary["estimate"]["name"]:
        return f"Submitted is the best single member, {best}."
    return f"Against the best single member ({best}): {_better(summary, 'better_than_best_single')}"


def against_last(summary: dict[str, Any]) -> str:
    """Whether this submission is better than the one before; empty where there is none."""
    last = summary["better_than_last"]
    if last is None:
        return ""
    name = last["submission"].rpartition("/")[2]
    if "refused" in last:
        return f"Against the last submission ({name}): not compared, {last['refused']}."
    return f"Against the last submission ({name}): {_better(summary, 'better_than_last')}"


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


def suspicious(alarms: list[Alarm]) -> str:
    """What the leak radar holds against the estimate; empty where that is nothing."""
    names = [alarm.name for alarm in alarms if alarm.grade == "suspicious"]
    if not names:
        return ""
    return (
        f"{len(names)} suspicious finding{'s' if len(names) > 1 else ''} by the leak radar "
        f"({', '.join(names)}): the estimate may not hold; `make audit CONFIG=...` says more."
    )


def are_same(gain: dict[str, float]) -> bool:
    """Whether two submissions score the same on all resampled rows, as far as is shown."""
    return is_zero(gain["low"]) and is_zero(gain["high"])


def is_zero(number: float) -> bool:
    """Whether a number is shown as 0.0000."""
    return round(number, 4) == 0


def _better(summary: dict[str, Any], key: str) -> str:
    gain, level = summary[key], summary["estimate"]["level"]
    if are_same(gain):
        return "the same score."
    return (
        f"better with a probability of {gain['probability']:.0%}; the gain is {level:.0%} sure to "
        f"be between {gain['low']:+.4f} and {gain['high']:+.4f}."
    )
