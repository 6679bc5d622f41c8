"""Time and disk of artifacts: `.timing.json` in an artifact's folder, and the size of folders.

No fingerprint and no metadata depends on the record, and no stage but the report reads it.
"""

import os
import time
from pathlib import Path
from typing import Any

from pipeline.core.artifacts import read_json, write_json

TIMING = ".timing.json"


def write_timing(folder: Path, fingerprint: str, *, name: str, started: float) -> float:
    """Write how long a job took that made an artifact, whole or not at all; return the seconds.

    A job that a killed run had begun counts from where it went on.

    Args:
        name: the job's. started: by time.monotonic().
    """
    seconds = time.monotonic() - started
    content = {"job": name, "fingerprint": fingerprint, "seconds": round(seconds, 3)}
    write_json(folder / TIMING, content, lasting=False)
    return seconds


def read_seconds(folder: Path, fingerprint: str | None) -> float | None:
    """Return how long the job of an artifact took; None without a record of this fingerprint."""
    record: dict[str, Any] = read_json(folder / TIMING) or {}
    if fingerprint is None or record.get("fingerprint") != fingerprint:
        return None
    seconds = record.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None


def disk_bytes(folder: Path) -> int:
    """Return the size of a file, or of all files in a folder and below; 0 where there is none."""
    sizes = folder.stat().st_size if folder.is_file() and not folder.is_symlink() else 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink() and path.exists():  # another run may remove it meanwhile
                sizes += path.stat().st_size
    return sizes
