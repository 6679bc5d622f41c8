"""Hints: what to try next after a run. Differences that may be chance give none."""

from pipeline.config.schema import External, Network
from pipeline.core.summary import Summary


def hints(summary: Summary) -> list[str]:
    """Return advice, a sentence each, the quickest first."""
    found = [
        _submit_a_member(summary),
        _leave_one_out(summary),
        *_shorter_views(summary),
        _add_a_network(summary),
        _add_pseudo_labels(summary),
    ]
    return [hint for hint in found if hint]


def _submit_a_member(summary: Summary) -> str:
    """Name a single member that scores better than the submission."""
    chosen = summary.estimate
    best = next(
        entry
        for entry in summary.contestants
        if entry.kind == "member" and entry.name == summary.best_single
    )
    if _gain(summary, best.score, chosen.score) <= 0:
        return ""
    may_be_chance = (summary.better_than_best_single.high or 0) >= 0
    return (
        f"{best.name} alone scores {best.score:.4f}, the submitted {chosen.name} "
        f'{chosen.score:.4f}: SET="submission.blend={best.name}" submits {best.name}'
        f"{', though the difference may be chance' if may_be_chance else ''}."
    )


def _leave_one_out(summary: Summary) -> str:
    """Name the member without which the blend is better on nearly all resampled rows."""
    diversity = summary.diversity
    lows = {name: gain.low or 0 for name, gain in diversity.better_without.items()}
    name = max(lows, key=lows.__getitem__, default="")
    if lows.get(name, 0) <= 0:
        return ""
    return (
        f"leave {name} out of `members`: {diversity.left_out_of} scores "
        f"{diversity.score_without[name]:.4f} without it, {diversity.score_with_all:.4f} with it."
    )


def _shorter_views(summary: Summary) -> list[str]:
    """Name members whose original view alone scores better, by more than half an interval."""
    found, views = [], ", ".join(summary.config.tta.views)
    for entry in summary.contestants:
        if entry.low is None:
            continue
        of_all = entry.score_as_predicted  # views are not calibrated either
        alone = summary.view_scores(entry.name).get("original", of_all)
        if _gain(summary, alone, of_all) > (entry.high - entry.low) / 2:
            found.append(
                f"{entry.name} scores {alone:.4f} on the original alone, {of_all:.4f} "
                f"on all views: try a shorter tta.views than {views}."
            )
    return found


def _add_a_network(summary: Summary) -> str:
    if any(isinstance(member, Network) for member in summary.config.members.values()):
        return ""
    name = next(iter(summary.config.backbones), "NAME")
    return f"fine-tune a backbone: add `net: {{network: {name}}}` to `members`."


def _add_pseudo_labels(summary: Summary) -> str:
    """Propose the best possible teacher of pseudo-labels, where no member has them."""
    members = summary.config.members
    if any("pseudo" in member.teachers for member in members.values()):
        return ""
    # An external member may have seen any row. A blend teaches by its members without distillation.
    teachers = {name for name, member in members.items() if not isinstance(member, External)}
    if any("distill" not in members[name].teachers for name in teachers):
        teachers.update(summary.config.blends)
    entries = [e for e in summary.contestants if e.name in teachers and e.score is not None]
    if not entries:
        return ""
    best = max(entries, key=lambda entry: summary.sign * entry.score)
    return f"learn from test images: add a member with `pseudo: {{teacher: {best.name}}}`."


def _gain(summary: Summary, score: float, rival: float) -> float:
    """Return how much better a score is than a rival's, as both are shown."""
    return summary.sign * (round(score, 4) - round(rival, 4))
