"""What is worth trying next, from what a run showed; differences that may be chance say nothing."""

from pipeline.config.schema import External, Network
from pipeline.core.summary import Summary


def hints(summary: Summary) -> list[str]:
    """Advice from a summary, a sentence each, what helps at once first."""
    found = [
        _submit_a_member(summary),
        _leave_one_out(summary),
        *_shorter_views(summary),
        _add_a_network(summary),
        _learn_from_test(summary),
    ]
    return [hint for hint in found if hint]


def _submit_a_member(summary: Summary) -> str:
    """A single member that scores better than what is submitted."""
    chosen = summary.estimate
    members = [entry for entry in summary.contestants if entry.kind == "member"]
    best = next(entry for entry in members if entry.name == summary.best_single)
    if _gain(summary, best.score, chosen.score) <= 0:
        return ""
    may_be_chance = (summary.better_than_best_single.high or 0) >= 0
    return (
        f"{best.name} alone scores {best.score:.4f}, the submitted {chosen.name} "
        f'{chosen.score:.4f}: SET="submission.blend={best.name}" submits {best.name}'
        f"{', though the difference may be chance' if may_be_chance else ''}."
    )


def _leave_one_out(summary: Summary) -> str:
    """The member without which the blend is better on nearly all resampled rows."""
    diversity = summary.diversity
    better = diversity.better_without
    sure = {name: gain for name, gain in better.items() if (gain.low or 0) > 0}
    if not sure:
        return ""
    name = max(sure, key=lambda name: sure[name].low)
    return (
        f"leave {name} out of `members`: {diversity.left_out_of} scores "
        f"{diversity.score_without[name]:.4f} without it, {diversity.score_with_all:.4f} "
        "with it."
    )


def _shorter_views(summary: Summary) -> list[str]:
    """Members that the original alone serves better, by more than their score is uncertain."""
    found, views = [], ", ".join(summary.config.tta.views)
    for entry in summary.contestants:
        if entry.low is None:
            continue
        of_view = summary.view_scores(entry.name)
        of_all = entry.score_as_predicted  # views are not calibrated either
        alone = of_view.get("original", of_all)
        if _gain(summary, alone, of_all) > (entry.high - entry.low) / 2:
            found.append(
                f"{entry.name} scores {alone:.4f} on the original alone, {of_all:.4f} "
                f"on all views: a shorter tta.views than {views}."
            )
    return found


def _add_a_network(summary: Summary) -> str:
    if any(isinstance(member, Network) for member in summary.config.members.values()):
        return ""
    return "fine-tune a backbone: add `net: {network: NAME}` to `members`."


def _learn_from_test(summary: Summary) -> str:
    """Pseudo-labels, by the best of those that may teach."""
    members = summary.config.members
    if any(getattr(member, "pseudo", None) for member in members.values()):
        return ""
    # Nobody knows which rows saw what was made elsewhere; blends teach by members that nobody does.
    may_teach = {name for name, member in members.items() if not isinstance(member, External)}
    if any(not getattr(members[name], "distill", None) for name in may_teach):
        may_teach.update(summary.config.blends)
    teachers = [entry for entry in summary.contestants if entry.name in may_teach]
    if not teachers:
        return ""
    best = max(teachers, key=lambda entry: summary.sign * entry.score)
    return f"learn from test images: a member with `pseudo: {{teacher: {best.name}}}`."


def _gain(summary: Summary, score: float, rival: float) -> float:
    """How much better a score is than a rival's, as both are shown."""
    return summary.sign * (round(score, 4) - round(rival, 4))
