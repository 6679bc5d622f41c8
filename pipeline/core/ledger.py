"""The ledger: one line of JSON for each submission, the oldest first.

A line is written once, by the ensemble stage. A note, and what Kaggle says of a sent file, are
added to it later. Keys outside of KEYS may be absent: older versions did not write them.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.core.artifacts import without_nan, write_text
from pipeline.core.code_version import code_version
from pipeline.core.summary import Summary
from pipeline.core.workspace import Workspace

log = logging.getLogger(__name__)

KEYS = {"time", "submission", "blend", "metric", "score", "low", "high", "members", "fingerprint"}
ADDED_LATER = {"note", "public_score", "private_score", "sent"}  # to a line, also by hand
DIGEST = "digest"  # of all other keys: settings are restored from a line
Entry = dict[str, Any]


def read_ledger(path: Path) -> list[Entry]:
    """Return the ledger's entries, oldest first; damaged lines are logged, and stay in the file."""
    entries = []
    for number, line in enumerate(_lines(path), start=1):
        if (entry := _parsed(line)) is not None:
            entries.append(entry)
        else:
            log.warning("%s: line %d is damaged and left out", path, number)
    return entries


def add_to_ledger(
    workspace: Workspace, summary: Summary, *, digests: Mapping[str, str] | None = None
) -> None:
    """Add one line per submission, only once if a killed run is repeated.

    Args:
        digests: of the data that the submission was made of, by name.
    """
    estimate, shaken = summary.estimate, summary.shake_up
    entry = {
        "time": now(),
        "submission": summary.submission,
        "blend": estimate.name,
        "metric": summary.metric,
        "greater_is_better": summary.greater_is_better,
        "score": estimate.score,
        "expected": estimate.expected,
        "low": estimate.low,
        "high": estimate.high,
        "public_interval": None if shaken is None else shaken.public,
        "members": list(summary.members),
        "fingerprint": summary.fingerprint,
        "digests": dict(digests or {}),
        **code_version(),
        # In the order of the YAML, which NAME.json does not keep.
        "config": summary.config.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }

    entry = without_nan(entry)
    entry[DIGEST] = _digest(entry)

    def added(lines: list[str]) -> list[str]:
        known = [other for line in lines if (other := _parsed(line)) is not None]
        if any(other["fingerprint"] == summary.fingerprint for other in known):
            return lines
        return [*lines, json.dumps(entry)]

    _rewrite(workspace, added)


def update_ledger(workspace: Workspace, fingerprint: str, **changes: Any) -> None:
    """Change keys of a submission's entry; a value of None removes the key. Other lines stay."""

    def changed(line: str) -> str:
        entry = _parsed(line)
        if entry is None or entry["fingerprint"] != fingerprint:
            return line
        kept = {key: value for key, value in (entry | changes).items() if key not in removed}
        return json.dumps(without_nan(kept))

    removed = {key for key, value in changes.items() if value is None}
    _rewrite(workspace, lambda lines: [changed(line) for line in lines])


def now() -> str:
    """Return the time in UTC, to the second, as the ledger writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _rewrite(workspace: Workspace, change: Callable[[list[str]], list[str]]) -> None:
    """Replace the ledger's lines by changed ones; nothing is written if they stay the same."""
    with _held(workspace):
        before = _lines(workspace.ledger)
        after = change(before)
        if after != before:
            write_text(workspace.ledger, "".join(f"{line}\n" for line in after))


@contextmanager
def _held(workspace: Workspace) -> Iterator[None]:
    """Hold the ledger's lock: of two runs that add a line, none loses the other's."""
    lock = FileLock(workspace.runs / "ledger.lock")
    try:
        workspace.runs.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        log.debug("no locks in %s: %s", workspace.runs, error)
    try:
        yield
    finally:
        lock.release()


def _parsed(line: str) -> Entry | None:
    """Return a line's entry; None where it is damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not entry.keys() >= KEYS:
        return None
    return entry if entry.get(DIGEST, digest := _digest(entry)) == digest else None


def _digest(entry: Entry) -> str:
    kept = {key: entry[key] for key in entry.keys() - ADDED_LATER - {DIGEST}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.split("\n") if line]
