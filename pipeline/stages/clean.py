"""Clean stage: says how much disk a competition's artifacts hold; removes what is not kept."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.filesize import decimal

from pipeline.core.locks import Run
from pipeline.core.timing import disk_bytes
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError, did_you_mean

log = logging.getLogger(__name__)

ATTIC = "attic"
NOTHING = "nothing"  # KEEP=nothing: remove all
PARTS: dict[str, str] = {  # by the word in KEEP=, what it holds
    "features": "folds, resized images, frozen features; made anew by the next run",
    "models": "weights and predictions of members; trained anew by the next run",
    ATTIC: "models of other settings, used again when these return",
    "submissions": "submissions, ledger, report; notes and public scores are only there",
}


def clean(workspace: Workspace, keep: str) -> None:
    """Print the size of each part; with `keep`, remove the others.

    Args:
        keep: "submissions,models", or "nothing"; empty: nothing is removed.
    Raises:
        UserError: an unknown part, a competition without artifacts, or one at which another
            process works.
    """
    kept = _parts_of(keep)
    sizes = {part: sum(map(disk_bytes, _entries(workspace, part))) for part in PARTS}
    if not any(sizes.values()):
        raise UserError(
            f"{workspace.competition}: no artifacts in {workspace.root}. Say COMPETITION=NAME, a "
            "folder of features/, models/ or submissions/."
        )
    for part, what in PARTS.items():
        fate = "" if not keep else "kept: " if part in kept else "removed: "
        print(f"{part:12} {decimal(sizes[part]):>9}  {fate}{what}")
    if not keep:
        print("To remove all but some: KEEP=submissions, KEEP=submissions,models or KEEP=nothing.")
        return
    with Run(workspace.runs) as run:
        if others := run.others():
            raise UserError(
                f"{workspace.competition} is being worked on by {', '.join(others)}; nothing was "
                "removed. Wait for its end, or stop it."
            )
        for part in PARTS:
            if part not in kept:
                for entry in _entries(workspace, part):
                    _remove(entry)
    if "features" not in kept:
        _remove(workspace.runs)
    freed = sum(size for part, size in sizes.items() if part not in kept)
    log.info("%s: %s freed; input/ is never touched", workspace.competition, decimal(freed))


def _parts_of(keep: str) -> set[str]:
    """Return the parts that KEEP= names."""
    names = {name.strip() for name in keep.split(",")} - {""}
    for name in sorted(names - {*PARTS, NOTHING}):
        raise UserError(f"KEEP={keep}: no part {name!r}{did_you_mean(name, [*PARTS, NOTHING])}")
    if NOTHING in names and len(names) > 1:
        raise UserError(
            f"KEEP={keep}: {NOTHING} beside parts that are kept; name one or the other."
        )
    return names - {NOTHING}


def _entries(workspace: Workspace, part: str) -> Iterator[Path]:
    """Yield what a part consists of, inside its folder, which may be a link to another disk."""
    folders: dict[str, tuple[Path, Callable[[str], bool]]] = {
        "features": (workspace.features, lambda name: name != workspace.runs.name),
        "models": (workspace.models, lambda name: name != ATTIC),
        ATTIC: (workspace.models, lambda name: name == ATTIC),
        "submissions": (workspace.submissions, lambda name: True),
    }
    folder, belongs = folders[part]
    if folder.is_dir():
        yield from (entry for entry in sorted(folder.iterdir()) if belongs(entry.name))


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
