"""The summary in words: sentences and cells that the terminal and the page share."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from pipeline.core.finding import Finding
from pipeline.core.results import Comparison, RoundGain, Score
from pipeline.core.summary import Summary
from pipeline.estimates.growing_errors import growing_errors_text

ROUND_COLUMNS = ("round", "member", "score", "gain", "better", "90% interval", "blends")


def expected(summary: Summary) -> str:
    """Return the score to expect of the test set with its interval; a shift comes first."""
    entry, shift = summary.estimate, summary.shift
    if entry.low is None:
        ends = "no interval, the metric is undefined on all resampled rows"
    else:
        ends = f"{entry.level:.0%} sure to be between {entry.low:.4f} and {entry.high:.4f}"
    score = f"{summary.metric} {entry.expected:.4f}"
    if not shift.differs:
        return f"Expected on the test set: {score}, {ends}."
    differ = shifted(summary)
    if not shift.by_way:
        return (
            f"{differ}, and the cost cannot be estimated without labels: {score} is the "
            f"out-of-fold estimate ({ends}), which may not hold there."
        )
    ways = ", ".join(f"{way} {score:.4f}" for way, score in shift.by_way.items())
    return (
        f"{differ}. Expected on the test set as it is: {score}, {ends}, estimated without "
        f"labels ({ways}). The out-of-fold score {entry.score:.4f} may not hold there."
    )


def shifted(summary: Summary) -> str:
    """Return that test images differ from training images, and in what; else empty."""
    signals = "; ".join(
        f"{signal.name} {signal.test:.2f}, on held-out rows {signal.train:.2f}"
        for signal in summary.shift.signals
        if signal.differs
    )
    if not summary.shift.differs:
        return ""
    return f"Test images differ from training images ({signals})"


def failed_members(failed: Mapping[str, str]) -> str:
    """Return which members the blend goes without, and why; empty where all were made."""
    if not failed:
        return ""
    reasons = "; ".join(f"{name}: {reason.rstrip('. ')}" for name, reason in failed.items())
    return f"Without {', '.join(failed)}, which failed ({reasons})."


def no_signal(summary: Summary) -> str:
    """Return a warning if a constant may score as well as the submission; else empty."""
    constant = summary.against_constant
    if constant.low is None or constant.low > 0:  # None: a constant has no score
        return ""
    return (
        f"No signal yet: a constant scores {constant.score:.4f}, the submission "
        f"{summary.estimate.score:.4f}, a difference that may be chance (better with a "
        f"probability of {probability_text(constant)})."
    )


def file_warnings(summary: Summary) -> str:
    """Return where the file is not what the sample or the metric asks for; else empty."""
    texts = [f"Warning: {warning}." for warning in summary.form.warnings]
    if (written := summary.form.score_as_written) is not None:
        texts.append(
            f"As written to the file, the out-of-fold predictions score {written:.4f}, not "
            f"{summary.estimate.score:.4f}."
        )
    return " ".join(texts)


def suspicious_findings(findings: list[Finding]) -> str:
    """Return the suspicious findings and what they offer; empty where there are none."""
    suspicious = [finding for finding in findings if finding.grade == "suspicious"]
    if not suspicious:
        return ""
    text = (
        f"{len(suspicious)} suspicious finding{'s' if len(suspicious) > 1 else ''} of the leak "
        f"checks ({', '.join(finding.name for finding in suspicious)}): the estimate may not hold; "
        "see `make audit`."
    )
    return " ".join([text, *(finding.offer for finding in suspicious if finding.offer)])


def repeats(summary: Summary) -> str:
    """Return what follows the number of folds: ", 3 repeats"; empty where there is one."""
    return f", {summary.repeats} repeats" if summary.repeats > 1 else ""


def positive_class(summary: Summary) -> str:
    """Return the positive class and why; empty where it does not matter."""
    return f"Positive class: {summary.positive_class}." if summary.positive_class else ""


def growing_errors(summary: Summary) -> str:
    """Return where errors grow with the prediction, and what to try; empty where they do not."""
    texts = [growing_errors_text(one) for one in summary.growing_errors]
    return " ".join(f"{text[:1].upper()}{text[1:]}" for text in texts)


def form(summary: Summary) -> str:
    """Return what the file's columns hold; empty where the sample leaves no doubt."""
    return " ".join(f"{fact[:1].upper()}{fact[1:]}." for fact in summary.form.facts)


def averaging(summary: Summary) -> str:
    """Return why more is expected than the out-of-fold score; empty where it is not."""
    entry = summary.estimate
    gain = entry.expected - entry.score
    if is_zero(gain) or summary.shift.differs:
        return ""
    return (
        f"That is the out-of-fold score {entry.score:.4f} {gain:+.4f}: test rows get the mean "
        f"of {summary.num_models} models, training rows only models that did not see them."
    )


def choice(summary: Summary) -> str:
    """Return which blends the folds chose, and the cost; empty where the config names one."""
    made = summary.choice
    if made is None:
        return ""
    counts = Counter(name for names in made.by_fold for name in names).most_common()
    if len(counts) == 1:
        return f"Blend: every fold chose {counts[0][0]}, on the rows of the other folds."
    folds = ", ".join(f"{name} in {count}" for name, count in counts)
    rule = (
        "the blend with the best score on the other folds"
        if made.rule == "metric"
        else "the mean of the blends whose loss on the other folds is near the least"
    )
    return (
        f"Blend: each fold takes {rule} ({folds} of {len(made.by_fold)} folds); it scores "
        f"{made.nested:.4f}. {made.best_overall} alone scores {made.naive:.4f}, but the same rows "
        "chose it."
    )


def no_better_members(summary: Summary) -> str:
    """Return the members that are no better than a constant; empty where all are."""
    constant = summary.against_constant
    if not constant.no_better:
        return ""
    names = ", ".join(constant.no_better)
    return f"No better than a constant ({number_text(constant.score)}): {names}."


def scores_as_predicted(summary: Summary) -> str:
    """Return members' scores before calibration and decisions; empty where they are the same."""
    scores = [
        f"{entry.name} {entry.score_as_predicted:.4f}"
        for entry in summary.contestants
        if entry.score is not None and not is_zero(entry.score_as_predicted - entry.score)
    ]
    if not scores:
        return ""
    return (
        "Members are calibrated and their decisions fitted as for blends, without the rows that "
        f"are scored. Scores before that: {', '.join(scores)}."
    )


def against_best_single(summary: Summary) -> str:
    """Return how the submission compares with the best single member."""
    best = summary.best_single
    if best == summary.estimate.name:
        return f"The submission is the best single member, {best}."
    gain = _gain_text(summary, summary.better_than_best_single)
    return f"Against the best single member ({best}): {gain}"


def against_last(summary: Summary) -> str:
    """Return how the submission compares with the last one; empty where there is none."""
    last = summary.better_than_last
    if last is None:
        return ""
    name = last.submission.rpartition("/")[2]
    if last.refused is not None:
        return f"Against the last submission ({name}): not compared, {last.refused}."
    return f"Against the last submission ({name}): {_gain_text(summary, last)}"


def shake_up(summary: Summary) -> str:
    """Return what a public leaderboard would show; empty where the config does not ask for it."""
    shaken = summary.shake_up
    if shaken is None:
        return ""
    share = summary.config.submission.public_share
    difference = interval_text(*shaken.difference, joint=" and ", sign="+")
    text = (
        f"A public leaderboard of {share:.0%} of the test rows ({shaken.public_rows}) would "
        f"show {interval_text(*shaken.public)}, the private one ({shaken.private_rows}) "
        f"{interval_text(*shaken.private)}; private minus public lies between {difference}."
    )
    if shaken.noise is None:
        return text
    return (
        f"{text} A public difference smaller than {shaken.noise:.4f} between two submissions "
        f"as alike as this one and {summary.best_single} is noise."
    )


def without_members(summary: Summary) -> str:
    """Return what a blend scores without each member, a line for each; empty where there is one."""
    return "\n".join(
        f"Without {name}: {summary.diversity.left_out_of} {score:.4f}, {change:+.4f} "
        f"({'worse' if change < 0 else 'better' if change > 0 else 'the same'})"
        for name, score, change in without_each(summary)
    )


def without_each(summary: Summary) -> list[tuple[str, float, float]]:
    """Return members by name with the blend's score without it, and by how much that is better.

    Changes are rounded as they are shown, so that none of them reads -0.0000.
    """
    diversity = summary.diversity
    return [
        (name, score, round(summary.sign * (score - diversity.score_with_all), 4) + 0.0)
        for name, score in diversity.score_without.items()
        if score is not None
    ]


def round_rows(rounds: list[RoundGain], num_folds: int) -> list[list[str]]:
    """Return a row of cells, see ROUND_COLUMNS, for each round of pseudo-labels."""
    return [
        [
            str(entry.round),
            entry.member,
            number_text(entry.score),
            "–" if entry.gain is None else f"{entry.gain:+.4f}",
            number_text(entry.probability, digits=2),
            "–" if entry.gain is None else interval_text(entry.low, entry.high, sign="+"),
            f"{entry.blends} of {num_folds}",
        ]
        for entry in rounds
    ]


def number_text(value: Score, *, digits: int = 4) -> str:
    """Return a number as a cell; a dash where there is none."""
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def interval_text(low: Score, high: Score, *, joint: str = " to ", sign: str = "") -> str:
    """Return an interval, or that the metric is undefined on all resampled rows."""
    return "undefined" if low is None else f"{low:{sign}.4f}{joint}{high:{sign}.4f}"


def fold_range(scores: list[Score], *, joint: str = " to ") -> str:
    """Return the lowest and highest of folds' scores, and in how many folds there is none."""
    defined = [score for score in scores if score is not None]
    if not defined:
        return "undefined"
    text = f"{min(defined):.4f}{joint}{max(defined):.4f}"
    missing = len(scores) - len(defined)
    return f"{text}, undefined in {missing}" if missing else text


def probability_text(gain: Comparison) -> str:
    """Return the probability of being better, "same" for equal scores, or "undefined"."""
    if gain.probability is None:
        return "undefined"
    return "same" if are_same(gain) else f"{gain.probability:.0%}"


def are_same(gain: Comparison) -> bool:
    """Return whether two submissions score the same on all resampled rows, as shown."""
    return is_zero(gain.low) and is_zero(gain.high)


def is_zero(number: float) -> bool:
    """Return whether a number is shown as 0.0000."""
    return round(number, 4) == 0


def _gain_text(summary: Summary, gain: Comparison) -> str:
    if gain.probability is None:
        return "not compared, the metric is undefined on all resampled rows."
    if are_same(gain):
        return "the same score."
    return (
        f"better with a probability of {gain.probability:.0%}; the gain is "
        f"{summary.estimate.level:.0%} sure to be between {gain.low:+.4f} and {gain.high:+.4f}."
    )
