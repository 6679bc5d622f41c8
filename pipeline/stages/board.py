"""Board stage: opens TensorBoard over the logs of all members, folds and past trainings."""

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

from pipeline.core.workspace import Workspace
from pipeline.errors import UserError

log = logging.getLogger(__name__)

LOGS = "tensorboard"  # the folder that a training writes them to


def open_board(workspace: Workspace, *, port: str = "") -> None:
    """Serve the page until Ctrl-C; networks that are still training appear as they go.

    Args:
        port: empty: 6006, or the next free one.
    Raises:
        UserError: no TensorBoard, no logs, or a port that is no number or is taken.
    """
    if port and not port.isdecimal():
        raise UserError(f"PORT={port}: expected a number, such as PORT=6007.")
    if importlib.util.find_spec(LOGS) is None:
        raise UserError("TensorBoard is not installed: `make install`, or pip install tensorboard.")
    members = logged_members(workspace)
    if not members:
        raise UserError(
            f"{workspace.models}: no logs yet. Networks write them while they train (`make train`);"
            " learners have none."
        )
    log.info("TensorBoard over %s; Ctrl-C ends it", ", ".join(members))
    log.info("step/loss is of each batch, loss and val_loss of each epoch")
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(workspace.models)]
    try:
        done = subprocess.run([*command, *(["--port", port] if port else [])])
    except KeyboardInterrupt:
        return
    if done.returncode:
        taken = f" Is port {port} taken? Try another, or leave PORT= out." if port else ""
        raise UserError(f"TensorBoard ended with exit code {done.returncode}.{taken}")


def logged_members(workspace: Workspace) -> list[str]:
    """Return the members that have logs, in the order of their names."""
    folders = workspace.models.glob(f"*/*/{LOGS}/*")
    return sorted({_member(path) for path in folders if any(path.glob("events.out.*"))})


def _member(logs: Path) -> str:
    """Return the member of MEMBER/FOLD/tensorboard/TIME; past trainings lie in attic/."""
    return logs.parents[2].name
