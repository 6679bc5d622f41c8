"""The version of the pipeline's code, for the ledger."""

import hashlib
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
GIT_SECONDS = 5


def code_version() -> dict[str, str | None]:
    """Return `code`, a digest of the pipeline's Python files, and `commit`, None without git.

    Copies of the same files have the same digest. The commit is the checkout's last one: files may
    have been changed since, which the digest shows.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return {"code": digest.hexdigest()[:12], "commit": _commit()}


def _commit() -> str | None:
    """Return the first letters of the last commit; None where the package is no git checkout."""
    # Of the package's own folder: a copy inside of another project has no commit of its own.
    command = ["git", "-C", str(PACKAGE), "log", "-1", "--format=%h", "--", "."]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
