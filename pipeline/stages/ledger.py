"""Ledger stage: prints the ledger; writes notes and public scores into it."""

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.core.find_submission import best_first, find_submission, short
from pipeline.core.ledger import Entry, read_ledger, update_ledger
from pipeline.core.public_score import PublicScore, expected_of
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.report import wording

REQUIRED = ("name", "blend", "score", "expected")
CAPTION = (
    "score: out of fold. expected: of the test set, its interval below. public: with its gap to "
    "the expected score; below, the gap over the width of the interval for the public rows, and "
    "whether that interval holds it. Times are UTC. RUN= takes a name, last or best."
)


def show_ledger(workspace: Workspace, *, run: str = "", note: str = "", public: str = "") -> None:
    """Write what is given about a submission, then print all of them, or that one.

    Args:
        run: a submission, see `find_submission`; empty: all are printed.
        note: of the submission; "-" removes it.
        public: its score on the public leaderboard.
    Raises:
        UserError: no such submission, no number, or a note or a score without a submission.
    """
    if (note or public) and not run:
        given = f"NOTE={note!r}" if note else f"PUBLIC={public}"
        raise UserError(
            f"{given}: of which submission? Say RUN=last, or RUN= and a part of its name."
        )
    if run:
        fingerprint = find_submission(workspace, run)["fingerprint"]
        changes = {}
        if note:
            changes["note"] = None if note == "-" else note
        if public:
            changes["public_score"] = _number(public)
        update_ledger(workspace, fingerprint, **changes)
    entries = best_first(read_ledger(workspace.ledger), workspace)
    if run:
        entries = [entry for entry in entries if entry["fingerprint"] == fingerprint]
    print_entries(entries, workspace)


def print_entries(entries: list[Entry], workspace: Workspace) -> None:
    """Print entries as a table, in the order given: two lines for each, so that 80 columns do."""
    console = Console(highlight=False)
    if not entries:
        console.print(f"{workspace.ledger}: no submissions yet; `make ensemble` adds the first.")
        return
    metrics = {entry["metric"] for entry in entries}
    metric = metrics.pop() if len(metrics) == 1 else ""
    rows = [_cells(entry, workspace, with_metric=not metric) for entry in entries]
    title = f"{workspace.competition}: submissions, best out-of-fold {metric or 'score'} first"
    table = Table(
        title=title, box=SIMPLE_HEAD, caption=CAPTION, caption_justify="left", pad_edge=False
    )
    for name in rows[0]:
        if name in REQUIRED or any(any(row[name]) for row in rows):
            table.add_column(name, no_wrap=name != "note")
    for row in rows:
        shown = [row[column.header] for column in table.columns]
        # As Text, so that a note's brackets are no markup.
        table.add_row(*(Text(f"{top}\n").append(below, "dim") for top, below in shown))
    console.print(table)


def _cells(entry: Entry, workspace: Workspace, *, with_metric: bool) -> dict[str, tuple[str, str]]:
    """Return the two lines of each cell."""
    expected, count = expected_of(entry, workspace), len(entry["members"])
    return {
        "name": (short(entry), entry["time"].replace("T", " ")[5:16]),
        "blend": (entry["blend"], f"{count} member{'s' if count > 1 else ''}"),
        "score": (wording.number_text(entry["score"]), entry["metric"] if with_metric else ""),
        "expected": (
            "" if expected is None else wording.number_text(expected),
            wording.interval_text(entry["low"], entry["high"], joint="–"),
        ),
        "public": _public_lines(entry, workspace),
        "note": (entry.get("note", ""), ""),
    }


def _public_lines(entry: Entry, workspace: Workspace) -> tuple[str, str]:
    public = PublicScore.of(entry, workspace)
    if public is None:
        return entry.get("sent", {}).get("status", ""), ""
    inside = {True: "inside", False: "outside", None: ""}[public.is_inside]
    gap = "" if public.gap is None else f"{public.gap:+.4f}"
    widths = "" if public.widths is None else f"{public.widths:+.2f}"
    return f"{wording.number_text(public.score)} {gap}".strip(), f"{widths} {inside}".strip()


def _number(public: str) -> float:
    try:
        score = float(public.replace(",", "."))
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise UserError(f"PUBLIC={public}: no number. Copy the leaderboard's: PUBLIC=0.934.")
    return score
