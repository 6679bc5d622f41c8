"""Diff stage: prints what differs between two submissions of a competition."""

from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.config.difference import difference
from pipeline.config.schema import Config
from pipeline.core import predictions
from pipeline.core.artifacts import read_json
from pipeline.core.find_submission import (
    config_of,
    csv_of,
    find_submission,
    stem,
    summary_of,
)
from pipeline.core.ledger import Entry, read_ledger
from pipeline.core.public_score import PublicScore, expected_of
from pipeline.core.workspace import Workspace
from pipeline.ensembles.contestants import compare
from pipeline.ensembles.estimate import submitted_oof
from pipeline.errors import UserError
from pipeline.project import open_project
from pipeline.report import wording
from pipeline.report.changed_rows import changed_rows

LARGEST = 10  # changed test rows that are listed


@dataclass(frozen=True)
class Side:
    """One of the two submissions.

    Attributes:
        name: its file's name without an ending.
        members: fingerprints of members' predictions by name; empty where its JSON is gone.
    """

    name: str
    entry: Entry
    config: Config
    members: dict[str, str]


def show_diff(workspace: Workspace, a: str, b: str) -> None:
    """Print what differs from submission a to b: settings, data, code, members, scores, test rows.

    Args:
        a, b: see `find_submission`; an empty b is the last one, an empty a the one before b.
    Raises:
        UserError: no such submission, the same one twice, or settings of another version.
    """
    second = find_submission(workspace, b or "last", key="B")
    first = find_submission(workspace, a, key="A") if a else _before(second, workspace)
    if first["fingerprint"] == second["fingerprint"]:
        raise UserError(f"A= and B= are both {stem(first)}. `make ledger` lists the others.")
    old, new = _side(first, workspace), _side(second, workspace)
    console = Console(highlight=False)
    for letter, side in (("A", old), ("B", new)):
        console.print(f"{letter}  [bold]{side.name}[/bold]  {side.entry['time'][:16]} UTC")
    for title, lines in (
        ("Score", _score_lines(old, new, workspace)),
        ("Settings", [str(one) for one in difference(old.config, new.config)] or ["the same"]),
        ("Data", _data_lines(old, new, workspace)),
        ("Code", [_code_line(old.entry, new.entry)]),
        ("Members", _member_lines(old.members, new.members)),
    ):
        console.print(f"\n[bold]{title}[/bold]")
        for line in lines:
            console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("\n[bold]Test rows[/bold]")
    _print_test_rows(old, new, workspace, console)


def _before(entry: Entry, workspace: Workspace) -> Entry:
    """Return the submission that was made before another."""
    entries = read_ledger(workspace.ledger)
    place = [one["fingerprint"] for one in entries].index(entry["fingerprint"])
    others = entries[:place] or entries[place + 1 :]
    if not others:
        raise UserError(
            f"{workspace.ledger}: {stem(entry)} is the only submission; there is nothing to "
            "compare it with. `make ensemble` with other settings adds one."
        )
    return others[-1]


def _side(entry: Entry, workspace: Workspace) -> Side:
    members = (read_json(summary_of(entry, workspace)) or {}).get("members", {})
    made_by = {name: str(meta.get("fingerprint")) for name, meta in members.items()}
    return Side(stem(entry), entry, config_of(entry, workspace), made_by)


def _score_lines(old: Side, new: Side, workspace: Workspace) -> list[str]:
    """Return scores with intervals, public scores, and the comparison on the same rows."""
    lines = []
    for letter, side in (("A", old), ("B", new)):
        entry, expected = side.entry, expected_of(side.entry, workspace)
        score, test = wording.number_text(entry["score"]), wording.number_text(expected)
        interval = wording.interval_text(entry["low"], entry["high"])
        text = f"{letter}  {entry['metric']} {score} out of fold, expected {test} ({interval})"
        public = PublicScore.of(entry, workspace)
        lines.append(text if public is None else f"{text}, public {public.score:.4f}")
    if old.entry["metric"] != new.entry["metric"]:
        return [*lines, "the metrics differ: scores are not comparable"]
    return [*lines, _paired_line(old, new, workspace)]


def _paired_line(old: Side, new: Side, workspace: Workspace) -> str:
    """Compare out-of-fold predictions on resampled rows, the same for both."""
    side = new
    try:
        project = open_project(new.config, workspace.root)
        theirs = submitted_oof(project, new.entry["submission"])
        side = old
        ours = submitted_oof(project, old.entry["submission"])
    except UserError as error:
        reason = str(error).splitlines()[0]
        return f"not compared on the same rows: {side.name}: {reason}"
    gain = compare(project, theirs, ours)
    if gain.probability is None or np.isnan(gain.probability):
        return "not compared: the metric is undefined on all resampled rows"
    if wording.are_same(gain):
        return "B scores the same as A on all resampled rows"
    return (
        f"B is better with a probability of {gain.probability:.0%}; its gain is between "
        f"{gain.low:+.4f} and {gain.high:+.4f} (above 0 is better, on the same resampled rows)"
    )


def _data_lines(old: Side, new: Side, workspace: Workspace) -> list[str]:
    """Say which rows, images and folds differ."""
    lines = []
    for what, ending in (("training", "npz"), ("test", "test.npz")):
        try:
            before, after = (_ids(side, ending, workspace) for side in (old, new))
        except UserError as error:
            lines.append(str(error))
            continue
        gone, come = len(before - after), len(after - before)
        if gone or come:
            lines.append(f"{len(before)} -> {len(after)} {what} rows, {come} new, {gone} gone")
        else:
            lines.append(f"the same {len(after)} {what} rows")
    digests = [side.entry.get("digests") or {} for side in (old, new)]
    shared = [name for name in digests[0] if name in digests[1]]
    differing = [name for name in shared if digests[0][name] != digests[1][name]]
    if not shared:
        lines.append("content of rows, images and folds: not known, by an older version")
    elif differing:
        lines.append(f"content differs: {', '.join(differing)}")
    else:
        lines.append(f"the same content: {', '.join(shared)}")
    return lines


def _ids(side: Side, ending: str, workspace: Workspace) -> set[str]:
    path = csv_of(side.entry, workspace).with_suffix(f".{ending}")
    return set(predictions.load(path, scale=None).ids.tolist())


def _code_line(old: Entry, new: Entry) -> str:
    if not old.get("code") or not new.get("code"):
        return "not known: a ledger line of an older version"
    commits = f"{old.get('commit') or 'no commit'} -> {new.get('commit') or 'no commit'}"
    if old["code"] == new["code"]:
        return f"the same (digest {new['code']}, commit {new.get('commit') or 'unknown'})"
    return f"differs: {commits} (digests {old['code']} -> {new['code']})"


def _member_lines(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Say which members came, went, or predict by another recipe."""
    if not old or not new:
        return ["not known: the summary (.json) of one is not there"]
    retrained = {name for name in old if name in new and old[name] != new[name]}
    lines = [f"{name} added" for name in new if name not in old]
    lines += [f"{name} removed" for name in old if name not in new]
    lines += [f"{name} retrained: {old[name]} -> {new[name]}" for name in old if name in retrained]
    same = [name for name in old if name in new and name not in retrained]
    return lines + ([f"the same: {', '.join(same)}"] if same else [])


def _print_test_rows(old: Side, new: Side, workspace: Workspace, console: Console) -> None:
    """Print how many test rows change, how far values move, and the largest moves."""
    try:
        parts = [_test_predictions(side, workspace) for side in (old, new)]
        changed = changed_rows(*parts, new.config)
    except UserError as error:
        console.print(f"  {error}", markup=False)
        return
    console.print(f"  {changed.sentence()}", soft_wrap=True)
    rows = changed.largest(LARGEST)
    if not rows:
        return
    table = Table(title="largest moves", box=SIMPLE_HEAD, title_justify="left")
    for name in ("id", "A", "B", "moves by"):
        table.add_column(name, justify="right" if name == "moves by" else "left")
    for cells in rows:
        table.add_row(*map(Text, cells))
    console.print(table)


def _test_predictions(side: Side, workspace: Workspace) -> predictions.Predictions:
    """Return what the submitted file is made of."""
    csv = csv_of(side.entry, workspace)
    decided = csv.with_suffix(".decided.test.npz")
    return predictions.load(
        decided if decided.exists() else csv.with_suffix(".test.npz"), scale=None
    )
