"""What a summary says in words, on the terminal and on the page."""

from collections import Counter

from pipeline.core.finding import Finding
from pipeline.core.summary import Comparison, Summary


def repeats(summary: Summary) -> str:
    """What follows the number of folds: ", 3 repeats"; empty where there is one."""
    return f", {summary.repeats} repeats" if summary.repeats > 1 else ""


def expected(summary: Summary) -> str:
    """The one line to remember: the score to expect of the test set, and its interval.

    Where test images differ, it says so first, and by what.
    """
    entry, shift = summary.estimate, summary.shift
    if entry.low is None:
        ends = "no interval, for the metric is undefined on all resampled rows"
    else:
        ends = f"{entry.level:.0%} sure to be between {entry.low:.4f} and {entry.high:.4f}"
    name, number = summary.metric, f"{entry.expected:.4f}"
    if not shift.differs:
        return f"Expected on the test set: {name} {number}, {ends}."
    seen = "; ".join(
        f"{signal.name} {signal.test:.2f}, of held-out rows {signal.train:.2f}"
        for signal in shift.signals
        if signal.differs
    )
    differ = f"Test images differ from training images ({seen})"
    if not shift.by_way:
        return (
            f"{differ}, and nothing tells what that costs: {name} {number} is the out-of-fold "
            f"estimate ({ends}), which need not hold there."
        )
    ways = ", ".join(f"{way} {score:.4f}" for way, score in shift.by_way.items())
    return (
        f"{differ}. Expected on the test set as it is: {name} {number}, {ends}, estimated without "
        f"labels ({ways}). The out-of-fold score {entry.score:.4f} need not hold there."
    )


def positive_class(summary: Summary) -> str:
    """Which of two classes the score is of, and why; empty where that does not matter."""
    return f"Positive class: {summary.positive_class}." if summary.positive_class else ""


def form(summary: Summary) -> str:
    """What the file's columns hold; empty where the sample leaves no doubt."""
    return "".join(f"{fact[:1].upper()}{fact[1:]}. " for fact in summary.form.facts).strip()


def less_than_promised(summary: Summary) -> str:
    """Where the file is not what the sample or the metric asks for; empty where it is."""
    text = "".join(f"Mind: {warning}. " for warning in summary.form.warnings)
    if (written := summary.form.score_as_written) is not None:
        text += (
            f"Written as the file has them, the out-of-fold predictions score {written:.4f}, not "
            f"{summary.estimate.score:.4f}."
        )
    return text.strip()


def averaging(summary: Summary) -> str:
    """Why more is expected than the out-of-fold score; empty where it is not."""
    entry = summary.estimate
    gain = entry.expected - entry.score
    if is_zero(gain) or summary.shift.differs:
        return ""
    return (
        f"That is the out-of-fold score {entry.score:.4f} {gain:+.4f}: test rows get the mean "
        f"of {summary.num_models} models, training rows only models that did not see them."
    )


def choice(summary: Summary) -> str:
    """Which blends folds chose, and what choosing cost; empty where the config names one."""
    made = summary.choice
    if made is None:
        return ""
    counts = Counter(name for names in made.by_fold for name in names).most_common()
    if len(counts) == 1:
        return f"Blend: {counts[0][0]}, which every fold chose by the other folds' rows."
    folds = ", ".join(f"{name} in {count}" for name, count in counts)
    taken = (
        "the one that is best on the other folds"
        if made.rule == "metric"
        else "the mean of those whose loss on the other folds cannot be told from the least"
    )
    return (
        f"Blend: each fold takes {taken} ({folds} of {len(made.by_fold)} folds), which scores "
        f"{made.nested:.4f}. {made.best_overall} alone shows {made.naive:.4f}, but was picked by "
        "the rows that score it."
    )


def nothing_learnt(summary: Summary) -> str:
    """Whether a constant does as well as the submission; empty where it does not."""
    rival = summary.against_constant
    if rival.low > 0:
        return ""
    return (
        f"The images tell nothing yet: a constant scores {rival.score:.4f} where this scores "
        f"{summary.estimate.score:.4f}, a difference that may be chance (better with a "
        f"probability of {rival.probability:.0%})."
    )


def no_better_members(summary: Summary) -> str:
    """Which members are no better than a constant; empty where all are."""
    rival = summary.against_constant
    if not rival.no_better:
        return ""
    names = ", ".join(rival.no_better)
    return f"No better than a constant, which scores {rival.score:.4f}: {names}."


def prepared(summary: Summary) -> str:
    """What is done to members before they are scored; empty where it changes no score."""
    raw = [
        f"{entry.name} {entry.as_predicted:.4f}"
        for entry in summary.contestants
        if not is_zero(entry.score_as_predicted - entry.score)
    ]
    if not raw:
        return ""
    return (
        "Members are calibrated and decided as blends are, without the rows that are scored. As "
        f"predicted they score: {', '.join(raw)}."
    )


def against_best_single(summary: Summary) -> str:
    """Whether blending was worth it."""
    best = summary.best_single
    if best == summary.estimate.name:
        return f"Submitted is the best single member, {best}."
    return (
        f"Against the best single member ({best}): "
        f"{_better(summary, summary.better_than_best_single)}"
    )


def against_last(summary: Summary) -> str:
    """Whether this submission is better than the one before; empty where there is none."""
    last = summary.better_than_last
    if last is None:
        return ""
    name = last.submission.rpartition("/")[2]
    if last.refused is not None:
        return f"Against the last submission ({name}): not compared, {last.refused}."
    return f"Against the last submission ({name}): {_better(summary, last)}"


def shake_up(summary: Summary) -> str:
    """What the public leaderboard shows, and says nothing about; empty where it is not asked."""
    shaken = summary.shake_up
    if shaken is None:
        return ""
    share = summary.config.submission.public_share
    difference = span(*shaken.difference, joint=" and ", sign="+")
    text = (
        f"A public leaderboard of {share:.0%} of the test rows ({shaken.public_rows}) would "
        f"show {span(*shaken.public)}, the private one ({shaken.private_rows}) "
        f"{span(*shaken.private)}; private less public lies between {difference}."
    )
    if shaken.noise is None:
        return text
    return (
        f"{text} A public difference smaller than {shaken.noise:.4f} between two submissions "
        f"as alike as this one and {summary.best_single} says nothing."
    )


def without_members(summary: Summary) -> str:
    """What each member is worth, a line for each; empty where there is one only."""
    blend = summary.diversity.left_out_of
    return "\n".join(
        f"Without {name}: {blend} {score:.4f}, {change:+.4f} "
        f"({'worse' if change < 0 else 'better' if change > 0 else 'the same'})"
        for name, score, change in without_each(summary)
    )


def without_each(summary: Summary) -> list[tuple[str, float, float]]:
    """Members by name: the blend's score without it, and by how much that is better.

    Changes are rounded as they are shown, so that none of them reads -0.0000.
    """
    diversity = summary.diversity
    return [
        (name, score, round(summary.sign * (score - diversity.score_with_all), 4) + 0.0)
        for name, score in diversity.score_without.items()
        if score is not None
    ]


def suspicious(findings: list[Finding]) -> str:
    """The suspicious findings; empty where that is nothing."""
    names = [finding.name for finding in findings if finding.grade == "suspicious"]
    if not names:
        return ""
    offers = [
        finding.offer for finding in findings if finding.grade == "suspicious" and finding.offer
    ]
    finding = (
        f"{len(names)} suspicious finding{'s' if len(names) > 1 else ''} by the leak radar "
        f"({', '.join(names)}): the estimate may not hold; `make audit CONFIG=...` says more."
    )
    return " ".join([finding, *offers])


def span(low: float | None, high: float | None, *, joint: str = " to ", sign: str = "") -> str:
    """An interval, or that there is none: the metric is undefined on all resampled rows."""
    return "undefined" if low is None else f"{low:{sign}.4f}{joint}{high:{sign}.4f}"


def over_folds(scores: list[float | None], *, joint: str = " to ") -> str:
    """The lowest and the highest of folds' scores, and in how many there is none."""
    defined = [score for score in scores if score is not None]
    if not defined:
        return "undefined"
    text = f"{min(defined):.4f}{joint}{max(defined):.4f}"
    missing = len(scores) - len(defined)
    return f"{text}, undefined in {missing}" if missing else text


def how_likely(gain: Comparison) -> str:
    """The probability of being better, "same", or "undefined"."""
    if gain.probability is None:
        return "undefined"
    return "same" if are_same(gain) else f"{gain.probability:.0%}"


def are_same(gain: Comparison) -> bool:
    """Whether two submissions score the same on all resampled rows, as far as is shown."""
    return is_zero(gain.low) and is_zero(gain.high)


def is_zero(number: float) -> bool:
    """Whether a number is shown as 0.0000."""
    return round(number, 4) == 0


def _better(summary: Summary, gain: Comparison) -> str:
    level = summary.estimate.level
    if gain.probability is None:
        return "not compared, the metric is undefined on all resampled rows."
    if are_same(gain):
        return "the same score."
    return (
        f"better with a probability of {gain.probability:.0%}; the gain is {level:.0%} sure to "
        f"be between {gain.low:+.4f} and {gain.high:+.4f}."
    )
