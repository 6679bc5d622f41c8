"""Find a competition's submission by what a user types as RUN=, and read its settings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.schema import Config
from pipeline.core.artifacts import fingerprint_of, read_json
from pipeline.core.ledger import Entry, read_ledger
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError

SHORT = 6  # letters of a fingerprint that its file's name holds
LAST, BEST = "last", "best"


def find_submission(workspace: Workspace, name: str, *, key: str = "RUN") -> Entry:
    """Return the ledger's entry of a submission.

    Args:
        name: `last`, `best`, or part of a submission's file name or fingerprint.
        key: that the user gave the name by, for messages.
    Raises:
        UserError: none, or more than one, with the candidates.
    """
    entries = read_ledger(workspace.ledger)
    if not entries:
        raise UserError(
            f"{workspace.ledger}: no submissions yet. Run `make ensemble CONFIG=...` first."
        )
    if name == LAST:
        return last_of(entries, workspace)
    if name == BEST:
        return best_of(entries, workspace)
    found = [entry for entry in entries if name and name in (short(entry), stem(entry))]
    found = found or [e for e in entries if name and (name in stem(e) or name in e["fingerprint"])]
    if len(found) == 1:
        return found[0]
    problem = "is no part of a submission's name" if not found else "fits several submissions"
    listed = ", ".join(stem(entry) for entry in found or entries)
    raise UserError(
        f"{key}={name}: {problem}: {listed}. Use more of the name, its last {SHORT} letters, "
        f"`{LAST}` or `{BEST}`."
    )


def last_of(entries: list[Entry], workspace: Workspace) -> Entry:
    """Return the submission that was made last, which the report shows."""
    made_last = fingerprint_of(workspace.submissions)
    return next((e for e in entries if e["fingerprint"] == made_last), entries[-1])


def best_of(entries: list[Entry], workspace: Workspace) -> Entry:
    """Return the submission that scores best out of fold, by the metric of the last one."""
    return best_first(entries, workspace)[0]


def best_first(entries: Iterable[Entry], workspace: Workspace) -> list[Entry]:
    """Sort by the out-of-fold score; submissions of another metric than the last's come after."""
    entries = list(entries)
    metric = last_of(entries, workspace)["metric"] if entries else ""

    def place(entry: Entry) -> tuple[Any, ...]:
        sign = -1 if greater_is_better(entry, workspace) else 1
        unknown = entry["score"] is None
        other = entry["metric"] != metric
        return other, entry["metric"] if other else "", unknown, sign * (entry["score"] or 0)

    return sorted(entries, key=place)


def greater_is_better(entry: Entry, workspace: Workspace) -> bool:
    """Return the metric's direction; older ledgers do not hold it, the submission's JSON does."""
    if "greater_is_better" in entry:
        return entry["greater_is_better"]
    return (read_json(summary_of(entry, workspace)) or {}).get("greater_is_better", True)


def csv_of(entry: Entry, workspace: Workspace) -> Path:
    """Return where the submission's CSV lies."""
    return workspace.root / entry["submission"]


def summary_of(entry: Entry, workspace: Workspace) -> Path:
    """Return where the submission's summary lies."""
    return csv_of(entry, workspace).with_suffix(".json")


def config_of(entry: Entry, workspace: Workspace) -> Config:
    """Return the settings that a submission was made with; `auto` is what it stood for.

    Raises:
        UserError: they are not known, or of another version.
    """
    path = summary_of(entry, workspace)
    settings = entry.get("config") or (read_json(path) or {}).get("config")
    if settings is None:
        raise UserError(f"{path}: not there or damaged, and the ledger has no settings of it.")
    if "config" not in entry:  # NAME.json sorts keys, and a blend that teaches sees an order
        members = settings.get("members", {})
        order = [name for name in entry["members"] if name in members]
        settings = settings | {"members": {name: members[name] for name in [*order, *members]}}
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        wrong = [".".join(map(str, problem["loc"])) for problem in error.errors()]
        raise UserError(
            f"{path}: its settings are not those of this version: {', '.join(wrong)}. Restore it "
            "with the version that made it, or write these keys anew."
        ) from None


def stem(entry: Entry) -> str:
    """Return a submission's name: its file's, without an ending."""
    return Path(entry["submission"]).name.removesuffix(".csv")


def short(entry: Entry) -> str:
    """Return a submission's short name: the first letters of its fingerprint."""
    return str(entry["fingerprint"])[:SHORT]
