"""TensorBoard over all members."""

import re
import subprocess
from types import SimpleNamespace

import pytest

from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.stages import board


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Logs of two members, a folder without logs, and a learner."""
    workspace = Workspace(tmp_path, "tiny")
    for place in ("net/fold0", "net/fold1", "wide/all_rows"):
        folder = workspace.models / place / "tensorboard" / "20260101-000000"
        folder.mkdir(parents=True)
        (folder / "events.out.tfevents.1.host.2.0").touch()
    (workspace.models / "begun" / "fold0" / "tensorboard" / "20260101-000000").mkdir(parents=True)
    (workspace.models / "linear" / "fold0").mkdir(parents=True)
    return workspace


@pytest.fixture
def commands(monkeypatch) -> list[list[str]]:
    """What would be run, and ends with exit code 0."""
    ran = []
    monkeypatch.setattr(
        subprocess, "run", lambda command: ran.append(command) or SimpleNamespace(returncode=0)
    )
    return ran


def test_it_opens_over_all_networks(workspace, commands, caplog):
    caplog.set_level("INFO")
    board.open_board(workspace)
    board.open_board(workspace, port="6007")
    assert "TensorBoard over net, wide; Ctrl-C" in caplog.text
    logs = ["-m", "tensorboard.main", "--logdir", str(workspace.models)]
    assert commands[0][1:] == logs
    assert commands[1][1:] == [*logs, "--port", "6007"]


def test_without_logs_it_says_what_writes_them(tmp_path, commands):
    with pytest.raises(UserError, match=r"no logs yet\. Networks write them while they"):
        board.open_board(Workspace(tmp_path, "tiny"))
    assert not commands


def test_a_missing_tensorboard_is_said(workspace, monkeypatch, commands):
    monkeypatch.setattr(board.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="TensorBoard is not installed: `make install`"):
        board.open_board(workspace)


@pytest.mark.parametrize(
    ("port", "said"),
    [("high", "PORT=high: expected a number"), ("6007", "Is port 6007 taken?")],
)
def test_a_port_that_does_not_do_is_said(workspace, monkeypatch, port, said):
    monkeypatch.setattr(subprocess, "run", lambda command: SimpleNamespace(returncode=1))
    with pytest.raises(UserError, match=re.escape(said)):
        board.open_board(workspace, port=port)
