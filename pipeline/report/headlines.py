"""The five lines that a run ends with. The statistics in full: the report, and VERBOSE=1."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.core.finding import Finding
from pipeline.core.summary import Summary
from pipeline.report import wording
from pipeline.report.hints import hints

NOTHING: Mapping[str, str] = MappingProxyType({})


def headlines(
    summary: Summary, findings: list[Finding], failed: Mapping[str, str] = NOTHING
) -> dict[str, str]:
    """Return the lines by their titles: what to expect, the gain, the file, a warning, advice.

    Args:
        failed: members that could not be made, and why.
    """
    advice, file = hints(summary), f"{summary.submission} ({summary.test_rows} rows)"
    return {
        "Expected": _expected(summary),
        "Best member": _best_member(summary),
        "Submission": ". ".join(filter(None, (file, wording.form(summary)))),
        "Warning": _first_of(warnings(summary, findings, failed)) or "none",
        "Try next": advice[0] if advice else "more members, folds or epochs; see the report",
    }


def warnings(
    summary: Summary, findings: list[Finding], failed: Mapping[str, str] = NOTHING
) -> list[str]:
    """Return what may make the estimate or the file wrong, the worst first."""
    found = [
        wording.failed_members(failed),
        wording.no_signal(summary),
        wording.file_warnings(summary),
        wording.suspicious_findings(findings),
        wording.shifted(summary),  # the first line says it, too
        wording.no_better_members(summary),
        wording.growing_errors(summary),
    ]
    return [text for text in found if text]


def _expected(summary: Summary) -> str:
    entry, shift = summary.estimate, summary.shift
    direction = "higher" if summary.greater_is_better else "lower"
    text = f"{summary.metric} {entry.expected:.4f} on the test set ({direction} is better)"
    if shift.differs:
        how = "estimated without labels" if shift.by_way else "as out of fold, which may not hold"
        text = f"test images differ from training images; {how}: {text}"
    if entry.low is None:
        return f"{text}, without an interval: the metric is undefined on all resampled rows"
    text += f", {entry.level:.0%} interval {wording.interval_text(entry.low, entry.high)}"
    if wording.is_zero(entry.expected - entry.score):
        return text
    text += f"; out of fold {entry.score:.4f}"
    if shift.differs:
        return text
    return f"{text}, test rows get the mean of {summary.num_models} models"


def _best_member(summary: Summary) -> str:
    entry, best = summary.estimate, summary.best_single
    score = next(c.score for c in summary.contestants if c.kind == "member" and c.name == best)
    text = f"{best} {wording.number_text(score)} out of fold"
    if best == entry.name:
        return f"{text}, which is submitted"
    compared = summary.better_than_best_single
    text += f"; the submitted {entry.kind} {wording.number_text(entry.score)}"
    if compared.probability is None or wording.are_same(compared):
        return text
    gain = summary.sign * (entry.score - score)
    change = "better" if gain >= 0 else "worse"
    return (
        f"{text}, {abs(gain):.4f} {change} (probability of being better "
        f"{wording.probability_text(compared)})"
    )


def _first_of(texts: list[str]) -> str:
    if len(texts) < 2:
        return "".join(texts)
    return f"{texts[0]} ({len(texts) - 1} more in the report, or with VERBOSE=1)"
