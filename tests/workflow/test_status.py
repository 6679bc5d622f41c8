"""`make status`: what another terminal is told of runs at work."""

import os
import re
import time
from pathlib import Path

import pytest
from test_processes import job

from pipeline.core import artifacts
from pipeline.core.locks import Run
from pipeline.core.timing import write_timing
from pipeline.core.workspace import Workspace
from pipeline.errors import JobFailed
from pipeline.workflow.attempts import JOB_LOG, mark_failed
from pipeline.workflow.execution import do_jobs
from pipeline.workflow.local import ThisProcess
from pipeline.workflow.status import announcement, show_status


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, "tiny")


def lines(workspace: Workspace, capsys) -> list[str]:
    show_status(workspace)
    return capsys.readouterr().out.splitlines()


def test_jobs_are_counted_by_state_and_running_ones_named(workspace, capsys):
    models = [
        job(workspace.models, name, member="net", fold=fold)
        for fold, name in enumerate(("done 0", "done 1", "runs", "failed", "waits"))
    ]
    with Run(workspace.runs) as run:
        mark_failed(models[4], JobFailed("of an earlier run"))
        time.sleep(0.01)
        run.count_on({one.folder: "r" for one in models})
        run.announce(announcement(models, at_once=2))
        for one, ago in zip(models[:2], (2.0, 4.0), strict=True):
            artifacts.finish(one.folder, "r")
            write_timing(one.folder, "r", name=one.name, started=time.monotonic() - ago)
        mark_failed(models[3], JobFailed("its loss is nan"))
        with run.lock(models[2].folder):
            models[2].folder.mkdir()
            (models[2].folder / JOB_LOG).write_text("epoch 1/8\nepoch 2/8 · loss 0.4\n")
            said = lines(workspace, capsys)
        after = lines(workspace, capsys)
    who = rf"process {os.getpid()} on \S+ since \S+"
    # Two jobs of about three seconds are left, two at once.
    counts = "1 running, 1 waiting, 2 done, 1 failed, 3s left"
    assert re.fullmatch(f"{who}: {counts}", said[0])
    assert re.fullmatch(f"  running  runs  0s, {who}", said[1])
    assert said[2:] == [
        "           epoch 2/8 · loss 0.4",
        "  failed   failed: its loss is nan",
    ]
    assert ": 0 running, 2 waiting, 2 done, 1 failed" in after[0]


def test_a_lock_whose_owner_was_killed_is_not_running(workspace, capsys):
    one = job(workspace.models, "a")
    with Run(workspace.runs) as run:
        run.announce(announcement([one], at_once=1))
        artifacts.write_json(run._owner_of(one.folder), {"owner": run._owner})
        assert ": 0 running, 1 waiting, 0 done, 0 failed" in lines(workspace, capsys)[0]


class Looks(ThisProcess):
    """A worker that looks at the status and is interrupted."""

    def begin(self, job, turn):
        show_status(Workspace(job.folder.parents[2], "tiny"))
        raise KeyboardInterrupt


def test_jobs_are_announced_as_long_as_a_run_lives(workspace, capsys):
    with Run(workspace.runs) as run, pytest.raises(KeyboardInterrupt):
        do_jobs([job(workspace.models, "a"), job(workspace.models, "b")], Looks(run), run)
    assert ": 0 running, 2 waiting" in capsys.readouterr().out
    assert lines(workspace, capsys)[0].startswith("no run is at work on tiny now")
    assert not list(workspace.runs.glob("*.json"))


def test_where_nothing_ran_nothing_is_written(workspace, capsys):
    assert lines(workspace, capsys)[0].startswith("no run is at work on tiny now")
    assert not workspace.features.exists()
