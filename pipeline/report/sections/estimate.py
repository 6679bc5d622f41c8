"""Estimate section: the score to expect of the submission, and how it compares."""

from pipeline.report import figures, wording
from pipeline.report.page import Folded, Part, Picture, Section, Text
from pipeline.report.page_inputs import PageInputs


def estimate_section(inputs: PageInputs) -> Section:
    """Return the estimate, its warnings and comparisons, and the shake-up."""
    summary = inputs.summary
    first = [
        wording.failed_members(inputs.project.failed),
        wording.no_signal(summary),
        wording.expected(summary),
        wording.file_warnings(summary),
        wording.suspicious_findings(inputs.findings),
        wording.no_better_members(summary),
        wording.against_best_single(summary),
        wording.against_last(summary),
        f"Submitted file: {summary.submission}",
    ]
    details = [
        "If test images come from the same source as training images, the leaderboard's score "
        "should lie inside the interval. Every row was scored by models, weights and a choice of "
        "blend made without it.",
        wording.averaging(summary),
        wording.choice(summary),
        wording.positive_class(summary),
        wording.growing_errors(summary),
        wording.form(summary),
    ]
    folded = Folded("How this was estimated", [Text("", text) for text in details if text])
    parts = [*(Text("", text) for text in first if text), folded, *_shake_up(inputs)]
    look = "The score to expect of the submitted file on the test set, and how sure it is."
    return Section("Score estimate", look, parts, _facts(inputs))


def _facts(inputs: PageInputs) -> list[tuple[str, str]]:
    summary, estimate = inputs.summary, inputs.summary.estimate
    direction = "higher" if summary.greater_is_better else "lower"
    facts = [
        (f"out-of-fold {summary.metric} ({direction} is better)", f"{estimate.score:.4f}"),
        ("expected on test rows", f"{estimate.expected:.4f}"),
        (f"{estimate.level:.0%} interval", wording.interval_text(estimate.low, estimate.high)),
        ("submitted", f"{estimate.kind} {estimate.name}"),
        ("folds", f"{summary.folds}{wording.repeats(summary)}"),
        ("seed", str(estimate.seed)),
        ("training rows", f"{summary.rows:,}"),
        ("test rows", f"{summary.test_rows:,}"),
        ("better than best member", wording.probability_text(summary.better_than_best_single)),
    ]
    last = summary.better_than_last
    if last is not None and last.refused is None:
        facts.append(("better than last submission", wording.probability_text(last)))
    return facts


def _shake_up(inputs: PageInputs) -> list[Part]:
    summary = inputs.summary
    shaken, estimate = summary.shake_up, summary.estimate
    if shaken is None:
        return []
    ranges = {
        "out of fold": (estimate.score_low, estimate.score_high),
        "all test rows": (estimate.low, estimate.high),
        f"public, {shaken.public_rows} rows": shaken.public,
        f"private, {shaken.private_rows} rows": shaken.private,
    }
    picture = figures.ranges(ranges, estimate.expected, metric=summary.metric, level=estimate.level)
    alt = f"Intervals of the score on {', '.join(ranges)}"
    return [Picture("Shake-up", wording.shake_up(summary), picture, alt)]
