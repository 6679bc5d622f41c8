"""What is worth trying next, from what a run showed; differences that may be chance say nothing."""

from typing import Any


def hints(summary: dict[str, Any]) -> list[str]:
    """Advice from a summary, a sentence each, what helps at once first."""
    found = [
        _submit_a_member(summary),
        _leave_one_out(summary),
        *_shorter_views(summary),
        _add_a_network(summary),
        _learn_from_test(summary),
    ]
    return [hint for hint in found if hint]


def _submit_a_member(summary: dict[str, Any]) -> str:
    """A single member that scores better than what is submitted."""
    chosen = summary["estimate"]
    members = [entry for entry in summary["contestants"] if entry["is"] == "member"]
    best = next(entry for entry in members if entry["name"] == summary["best_single"])
    if _gain(summary, best["score"], chosen["score"]) <= 0:
        return ""
    may_be_chance = (summary["better_than_best_single"]["high"] or 0) >= 0
    return (
        f"{best['name']} alone scores {best['score']:.4f}, the submitted {chosen['name']} "
        f'{chosen["score"]:.4f}: SET="submission.blend={best["name"]}" submits {best["name"]}'
        f"{', though the difference may be chance' if may_be_chance else ''}."
    )


def _leave_one_out(summary: dict[str, Any]) -> str:
    """The member without which the blend is better on nearly all resampled rows."""
    diversity = summary["diversity"]
    better = diversity.get("better_without", {})
    sure = {name: gain for name, gain in better.items() if (gain["low"] or 0) > 0}
    if not sure:
        return ""
    name = max(sure, key=lambda name: sure[name]["low"])
    return (
        f"leave {name} out of `members`: {diversity['left_out_of']} scores "
        f"{diversity['score_without'][name]:.4f} without it, {diversity['score_with_all']:.4f} "
        "with it."
    )


def _shorter_views(summary: dict[str, Any]) -> list[str]:
    """Members that the original alone serves better, by more than their score is uncertain."""
    found, views = [], ", ".join(summary["config"]["tta"]["views"])
    for entry in summary["contestants"]:
        if entry["low"] is None:
            continue
        of_view = summary["members"].get(entry["name"], {}).get("view_scores", {})
        of_all = entry.get("as_predicted", entry["score"])  # views are not calibrated either
        alone = of_view.get("original", of_all)
        if _gain(summary, alone, of_all) > (entry["high"] - entry["low"]) / 2:
            found.append(
                f"{entry['name']} scores {alone:.4f} on the original alone, {of_all:.4f} "
                f"on all views: a shorter tta.views than {views}."
            )
    return found


def _add_a_network(summary: dict[str, Any]) -> str:
    if any("network" in member for member in summary["config"]["members"].values()):
        return ""
    return "fine-tune a backbone: add `net: {network: NAME}` to `members`."


def _learn_from_test(summary: dict[str, Any]) -> str:
    """Pseudo-labels, by the best of those that may teach."""
    members = summary["config"]["members"]
    if any(member.get("pseudo") for member in members.values()):
        return ""
    # Nobody knows which rows saw what was made elsewhere; blends teach by members that nobody does.
    may_teach = {name for name, member in members.items() if "external" not in member}
    if any(not members[name].get("distill") for name in may_teach):
        may_teach.update(summary["config"]["blends"])
    teachers = [entry for entry in summary["contestants"] if entry["name"] in may_teach]
    if not teachers:
        return ""
    direction = 1 if summary["greater_is_better"] else -1
    best = max(teachers, key=lambda entry: direction * entry["score"])
    return f"learn from test images: a member with `pseudo: {{teacher: {best['name']}}}`."


def _gain(summary: dict[str, Any], score: float, rival: float) -> float:
    """How much better a score is than a rival's, as both are shown."""
    return (1 if summary["greater_is_better"] else -1) * (round(score, 4) - round(rival, 4))
