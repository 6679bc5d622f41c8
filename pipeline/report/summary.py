"""The summary on the terminal: the estimate, members and blends, where the submission lies."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipeline.core.finding import Finding, read_findings
from pipeline.core.results import RoundGain
from pipeline.core.summary import Summary, path_of_last
from pipeline.core.workspace import Workspace
from pipeline.images.view_decision import ViewDecision
from pipeline.report import wording
from pipeline.report.hints import hints

SENTENCES = (
    wording.positive_class,
    wording.averaging,
    wording.choice,
    wording.no_better_members,
    wording.against_best_single,
    wording.against_last,
    wording.shake_up,
    wording.without_members,
    wording.growing_errors,
    wording.form,
)


def print_summary(submissions: Path, root: Path, decision: ViewDecision | None = None) -> None:
    """Print what the last ensemble of a competition found.

    Args:
        decision: on views and augmentation, where the config says `auto`.
    """
    summary = Summary.read(path_of_last(submissions))
    console = Console(highlight=False)
    console.print(_contestants(summary))
    for text, style in (
        (wording.no_signal(summary), "bold red"),
        (wording.expected(summary), "bold"),
        (wording.file_warnings(summary), "bold red"),
        (wording.suspicious_findings(_findings(submissions, root)), "bold red"),
    ):
        if text:
            console.print(text, style=style, markup=False)
    estimate = summary.estimate
    direction = "higher" if summary.greater_is_better else "lower"
    console.print(
        f"Out of fold: {summary.metric} [bold]{estimate.score:.4f}[/bold] ({direction} is "
        f"better), {estimate.kind} {estimate.name}, {summary.rows} rows, {summary.folds} folds"
        f"{wording.repeats(summary)}, seed {estimate.seed}; every row scored by models, "
        "weights and a choice of blend made without it."
    )
    for sentence in SENTENCES:
        if text := sentence(summary):
            console.print(text, markup=False)
    if decision is not None:
        console.print(f"Decided by tests on frozen features: {decision.sentence()}.", markup=False)
    console.print(f"Submission: [bold]{summary.submission}[/bold] ({summary.test_rows} rows)")
    for rounds in summary.rounds:
        console.print(_rounds(summary, rounds))
    for hint in hints(summary):
        console.print(f"Try next: {hint}", style="dim", markup=False)


def _findings(submissions: Path, root: Path) -> list[Finding]:
    """Return what the audit found; nothing where folds were made elsewhere."""
    workspace = Workspace(root, submissions.name)
    return read_findings(workspace) if workspace.audit_json.exists() else []


def _contestants(summary: Summary) -> Table:
    title = f"{summary.competition}: out-of-fold {summary.metric}"
    table = Table(title=title, box=SIMPLE_HEAD, caption=wording.scores_as_predicted(summary))
    for column in ("", "score", "90% interval", "over folds"):
        table.add_column(column, no_wrap=True)
    table.add_column("weights")
    for entry in summary.contestants:
        chosen = entry.name == summary.estimate.name
        weights = entry.weights or {}
        table.add_row(
            f"{entry.kind} {entry.name}{' *' if chosen else ''}".strip(),
            wording.number_text(entry.score),
            wording.interval_text(entry.low, entry.high, joint="–"),
            wording.fold_range(entry.fold_scores, joint="–"),
            " ".join(f"{name} {weight:.2f}" for name, weight in weights.items() if weight > 0.005),
            style="bold" if chosen else None,
        )
    return table


def _rounds(summary: Summary, rounds: list[RoundGain]) -> Table:
    title = f"Rounds of pseudo-labels: out-of-fold {summary.metric}, gain over the round before"
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in wording.ROUND_COLUMNS:
        table.add_column(column, no_wrap=column != "member", overflow="fold")
    for cells in wording.round_rows(rounds, summary.folds):
        table.add_row(*cells)
    return table
