"""Reproduce: makes a submission once more, from its settings and the input alone, and compares."""

import logging
import os
from contextlib import chdir
from pathlib import Path

import pandas as pd

from pipeline.core.artifacts import read_json, read_meta
from pipeline.core.find_submission import csv_of, find_submission, stem
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.stages.restore import restore
from pipeline.workflow import make

log = logging.getLogger(__name__)

MADE_HERE = ("features", "models", "submissions")
REPRODUCED = "reproduced"  # folder beside the submissions


def reproduce(workspace: Workspace, *, run: str = "") -> bool:
    """Make a submission again in a folder of its own; return whether its file has the same bytes.

    Nothing of the competition's features and models is used, weights of the hub aside.

    Args:
        run: see `find_submission`; empty: the last.
    Raises:
        UserError: no such submission, or its file or settings are gone.
    """
    entry = find_submission(workspace, run or "last")
    original = csv_of(entry, workspace)
    if not original.exists():
        raise UserError(f"{original}: is gone; there is nothing to compare with.")
    name = stem(entry)
    root = workspace.submissions / REPRODUCED / name
    _link_all_else(workspace.root, root)
    config = root / "settings.yaml"
    if not config.exists():
        restore(workspace, run=name, out=str(config))
    log.info("making %s again in %s", original.name, root)
    take_threads_of(workspace)
    with chdir(root):
        make.run("ensemble", config.name, [])
    again = Workspace(root, workspace.competition).submissions
    made = (again / read_meta(again)["summary"]).with_suffix(".csv")
    same = made.read_bytes() == original.read_bytes()
    log.info("%s", f"{made}: the same bytes" if same else _difference(original, made))
    return same


def take_threads_of(workspace: Workspace) -> None:
    """Let torch use as many threads as when networks were trained, if all had the same number."""
    snapshots = map(read_json, sorted(workspace.models.glob("*/fold*/snapshot.json")))
    threads = {snapshot.get("threads") for snapshot in snapshots if snapshot}
    if len(threads) == 1 and None not in threads:
        import torch

        torch.set_num_threads(threads.pop())


def _link_all_else(root: Path, again: Path) -> None:
    """Link what a run may read: input, the hub's weights, plugins, predictions made elsewhere."""
    again.mkdir(parents=True, exist_ok=True)
    kept_weights = Path("models", "weights")
    names = [entry.name for entry in root.iterdir() if entry.name not in MADE_HERE]
    (again / "models").mkdir(exist_ok=True)
    for name in [*names, *([kept_weights] if (root / kept_weights).is_dir() else [])]:
        if not os.path.lexists(again / name):
            (again / name).symlink_to((root / name).resolve())


def _difference(original: Path, made: Path) -> str:
    """Say how two submissions differ."""
    one, other = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (original, made))
    text = f"{made}: differs from {original}"
    if one.shape != other.shape or list(one) != list(other):
        return f"{text}: {one.shape[0]} rows of {list(one)}, now {other.shape[0]} of {list(other)}"
    rows = (one != other).any(axis=1)
    return (
        f"{text} in {rows.sum()} of {len(rows)} rows. `make diff` says whether code, data or "
        "libraries changed since; on another processor or GPU, or with another number of threads, "
        "the last digits may differ"
    )
