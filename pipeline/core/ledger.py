"""The ledger: one line of JSON for each submission, the oldest first."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.core.artifacts import without_nan, write_text
from pipeline.core.summary import Summary

log = logging.getLogger(__name__)

KEYS = {"time", "submission", "blend", "metric", "score", "low", "high", "members", "fingerprint"}


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """Return the ledger's entries, oldest first; damaged lines are logged, and stay in the file."""
    entries = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and entry.keys() >= KEYS:
            entries.append(entry)
        else:
            log.warning("%s: line %d is damaged and left out", path, number)
    return entries


def add_to_ledger(path: Path, summary: Summary) -> None:
    """Add one line per submission, only once if a killed run is repeated."""
    if any(entry["fingerprint"] == summary.fingerprint for entry in read_ledger(path)):
        return
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "submission": summary.submission,
        "blend": summary.estimate.name,
        "metric": summary.metric,
        "score": summary.estimate.score,
        "low": summary.estimate.low,
        "high": summary.estimate.high,
        "members": list(summary.members),
        "fingerprint": summary.fingerprint,
    }
    lines = [*_lines(path), json.dumps(without_nan(entry))]
    write_text(path, "".join(f"{line}\n" for line in lines))


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.split("\n") if line]
