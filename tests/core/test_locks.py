"""Runs at the same time: one makes an artifact, none replaces what another counts on."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core import artifacts, locks
from pipeline.core.locks import Run
from pipeline.core.log_lines import JobFormatter
from pipeline.workflow.jobs import Job, all_needed, pending
from pipeline.workflow.local import LocalExecutor

OTHER = """
import sys, time
from pathlib import Path
from pipeline.core.log_lines import JobFormatter
from pipeline.core.locks import Run
root = Path(sys.argv[1])
with Run(root / ".runs") as run:
    run.count_on({root / "net": sys.argv[2]})
    with run.lock(root / "net"):
        print("holds", flush=True)
        time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def another(tmp_path, request):
    """Start a process that counts on tmp_path/net and holds its lock for some seconds."""

    def start(recipe: str = "r", seconds: float = 60) -> subprocess.Popen:
        arguments = [sys.executable, "-c", OTHER, str(tmp_path), recipe, str(seconds)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        request.addfinalizer(process.stdout.close)
        request.addfinalizer(process.wait)
        request.addfinalizer(process.kill)
        assert process.stdout.readline() == "holds\n"
        return process

    return start


@pytest.fixture
def run(tmp_path):
    with Run(tmp_path / ".runs") as found:
        yield found


def test_a_lock_is_held_by_one_and_says_by_whom(tmp_path, run, another):
    process = another()
    with run.lock(tmp_path / "net") as ours:
        assert not ours
    assert run.holder_of(tmp_path / "net").startswith(f"process {process.pid} on ")
    with run.lock(tmp_path / "other") as ours:
        assert ours


def test_a_dead_owners_lock_is_none(tmp_path, run, another):
    process = another()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with run.lock(tmp_path / "net") as ours:
        assert ours
    run.count_on({tmp_path / "net": "another recipe"})
    mine = {f"{run._record.stem}{ending}" for ending in (".json", ".lock")}
    assert {path.name for path in (tmp_path / ".runs").glob("run *")} == mine


def test_a_run_waits_for_one_that_counts_on_other_content(tmp_path, run, another, caplog):
    process = another("theirs", seconds=1.0)
    run.count_on({tmp_path / "net": "theirs", tmp_path / "other": "ours"})
    assert process.poll() is None  # the same content: no need to wait
    assert caplog.messages == []
    run.count_on({tmp_path / "net": "ours"})
    assert process.wait(timeout=60) == 0
    assert len(caplog.messages) == 1
    assert (
        f"{tmp_path / 'net'} is being used for another config, by process {process.pid}"
        in (caplog.messages[0])
    )


def test_what_a_run_counted_on_stays_claimed_until_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(locks.time, "sleep", lambda _: pytest.fail("it waits"))
    net = {tmp_path / "net": "first"}
    with Run(tmp_path / ".runs") as first, Run(tmp_path / ".runs") as second:
        first.count_on(net)
        first.count_on({tmp_path / "other": "x"})
        second.count_on({tmp_path / "third": "y"})
        with pytest.raises(pytest.fail.Exception, match="it waits"):
            second.count_on({tmp_path / "net": "second"})
        second.count_on(net)
    assert not list((tmp_path / ".runs").glob("run *"))


def test_where_nothing_can_be_written_there_is_nothing_to_agree_on(tmp_path):
    (tmp_path / "file").touch()
    with Run(tmp_path / "file" / ".runs") as run:
        run.count_on({tmp_path / "net": "r"})
        with run.lock(tmp_path / "net") as ours:
            assert ours


# Jobs of two runs


def work(*, folder: Path, fingerprint: str, seconds: float = 0.0) -> None:
    time.sleep(seconds)
    with open(folder.parent / "done.txt", "a", encoding="utf-8") as stream:
        stream.write(f"{folder.name}\n")
    artifacts.finish(folder, fingerprint)


def job(root: Path, name: str, *needs: Job, seconds: float = 0.0) -> Job:
    function = f"{__name__}:work"
    return Job(name, function, root / name, "r", {"seconds": seconds}, needs=needs)


def graph(root: Path) -> Job:
    """Six jobs and one that needs them all."""
    return job(root, "join", *(job(root, f"part{number}", seconds=0.2) for number in range(6)))


SHARED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_locks import graph
from pipeline.workflow.jobs import pending
from pipeline.workflow.local import LocalExecutor
from pipeline.core.log_lines import JobFormatter
from pipeline.core.locks import Run
root = Path(sys.argv[2])
with Run(root / ".runs") as run:
    LocalExecutor(run).execute(pending([graph(root)]))
"""


def test_two_runs_share_the_work_and_each_artifact_is_made_once(tmp_path):
    arguments = [sys.executable, "-c", SHARED, str(Path(__file__).parent), str(tmp_path)]
    processes = [subprocess.Popen(arguments) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    done = (tmp_path / "done.txt").read_text().split()
    assert sorted(done) == ["join", *(f"part{number}" for number in range(6))]
    assert done[-1] == "join"


def test_what_another_run_does_is_put_off_with_what_needs_it(tmp_path, run, another, caplog):
    caplog.set_level("INFO")
    caplog.handler.setFormatter(JobFormatter())
    process = another(seconds=1.0)
    net = job(tmp_path, "net")
    join, free = job(tmp_path, "join", net), job(tmp_path, "free")
    LocalExecutor(run).execute(pending([join, free]))
    assert (tmp_path / "done.txt").read_text().split() == ["free", "net", "join"]
    waits = [text for text in caplog.messages if "waiting for" in text]
    assert [text.split(" on ")[0] for text in waits] == [f"net: waiting for process {process.pid}"]
    assert re.findall(r"^\[(\d/\d)\]", caplog.text, re.MULTILINE) == ["1/3", "2/3", "3/3"]


def test_all_that_is_needed_is_claimed(tmp_path):
    join = graph(tmp_path)
    assert all_needed([join]) == dict.fromkeys(
        [tmp_path / "join", *(tmp_path / f"part{number}" for number in range(6))], "r"
    )
