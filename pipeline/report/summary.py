"""The summary on the terminal: the estimate, members and blends, where the submission lies."""

from collections.abc import Mapping
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.core.finding import Finding, read_findings
from pipeline.core.log_lines import is_verbose
from pipeline.core.results import RoundGain
from pipeline.core.summary import Summary, path_of_last
from pipeline.core.workspace import Workspace
from pipeline.images.view_decision import ViewDecision
from pipeline.report import wording
from pipeline.report.headlines import NOTHING, headlines, warnings
from pipeline.report.hints import hints

SENTENCES = (
    wording.positive_class,
    wording.averaging,
    wording.choice,
    wording.against_best_single,
    wording.against_last,
    wording.shake_up,
    wording.without_members,
    wording.form,
)


def print_summary(
    submissions: Path,
    root: Path,
    decision: ViewDecision | None = None,
    *,
    failed: Mapping[str, str] = NOTHING,
) -> None:
    """Print what the last ensemble of a competition found: scores, then five lines.

    With VERBOSE=1, the statistics in full come before them.

    Args:
        decision: on views and augmentation, where the config says `auto`.
        failed: members that could not be made, and why.
    """
    summary = Summary.read(path_of_last(submissions))
    console, findings = Console(highlight=False), _findings(submissions, root)
    console.print(_contestants(summary, with_weights=is_verbose()))
    if is_verbose():
        _print_statistics(console, summary, warnings(summary, findings, failed), decision)
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column()
    for title, text in headlines(summary, findings, failed).items():
        lines.add_row(title, Text(text, style=_style(title, text)))
    console.print(lines)


def _style(title: str, text: str) -> str:
    if title == "Warning":
        return "dim" if text == "none" else "yellow"
    return "bold" if title in ("Expected", "Submission") else ""


def _print_statistics(
    console: Console, summary: Summary, warned: list[str], decision: ViewDecision | None
) -> None:
    """Print all sentences about a submission, and the rounds of pseudo-labels."""
    estimate = summary.estimate
    console.print(wording.expected(summary), style="bold", markup=False)
    for text in warned:
        console.print(text, style="bold red", markup=False)
    console.print(
        f"Out of fold: {summary.metric} {estimate.score:.4f}, {estimate.kind} {estimate.name}, "
        f"{summary.rows} rows, {summary.folds} folds{wording.repeats(summary)}, seed "
        f"{estimate.seed}; every row scored by models, weights and a choice of blend made "
        "without it.",
        markup=False,
    )
    for sentence in SENTENCES:
        if text := sentence(summary):
            console.print(text, markup=False)
    if decision is not None:
        console.print(f"Decided by tests on frozen features: {decision.sentence()}.", markup=False)
    for rounds in summary.rounds:
        console.print(_rounds(summary, rounds))
    for hint in hints(summary):
        console.print(f"Try next: {hint}", style="dim", markup=False)


def _findings(submissions: Path, root: Path) -> list[Finding]:
    """Return what the audit found; nothing where folds were made elsewhere."""
    workspace = Workspace(root, submissions.name)
    return read_findings(workspace) if workspace.audit_json.exists() else []


def _contestants(summary: Summary, *, with_weights: bool) -> Table:
    title = f"{summary.competition}: out-of-fold {summary.metric}"
    table = Table(
        title=title,
        box=SIMPLE_HEAD,
        caption=wording.scores_as_predicted(summary) if with_weights else None,
    )
    for column in ("", "score", "90% interval", "over folds"):
        table.add_column(column, no_wrap=True)
    if with_weights:
        table.add_column("weights")
    for entry in summary.contestants:
        chosen = entry.name == summary.estimate.name
        cells = [
            f"{entry.kind} {entry.name}{' *' if chosen else ''}".strip(),
            wording.number_text(entry.score),
            wording.interval_text(entry.low, entry.high, joint="–"),
            wording.fold_range(entry.fold_scores, joint="–"),
        ]
        if with_weights:
            cells.append(_weights(summary, entry.weights or {}))
        table.add_row(*cells, style="bold" if chosen else None)
    return table


def _weights(summary: Summary, weights: dict[str, float]) -> str:
    """Return weights as one line, in the order of the members."""
    names = [name for name in summary.members if weights.get(name, 0) > 0.005]
    return " ".join(f"{name} {weights[name]:.2f}" for name in names)


def _rounds(summary: Summary, rounds: list[RoundGain]) -> Table:
    title = f"Rounds of pseudo-labels: out-of-fold {summary.metric}, gain over the round before"
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in wording.ROUND_COLUMNS:
        table.add_column(column, no_wrap=column != "member", overflow="fold")
    for cells in wording.round_rows(rounds, summary.folds):
        table.add_row(*cells)
    return table
