"""Jobs on Ray: the same files as here, whatever dies; `tests/torture.py` kills machines."""

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from node_kills import kill_machines
from test_processes import CODE, content, job, places, start, write
from torture import Tally

from pipeline.config.schema import Runtime
from pipeline.core.locks import Run
from pipeline.errors import JobsFailed, UserError
from pipeline.workflow.attempts import JOB_LOG, Turn
from pipeline.workflow.executors import choose_executor
from pipeline.workflow.jobs import pending

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed (EXTRAS=ray)"
)
RAY = Runtime(executor="ray", jobs=2)


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine that find this folder's modules."""
    from pipeline.workflow.ray import connect, ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(CODE / "tests")])
        )
        connect(2)
        yield
    ray.shutdown()


@needs_ray
@pytest.mark.slow
def test_jobs_are_done_at_once_and_needs_first(tmp_path, cluster):
    a, b = job(tmp_path, "a", meets="b"), job(tmp_path, "b", meets="a")
    c = job(tmp_path, "c", a, b)
    with Run(tmp_path / ".runs") as run:
        choose_executor(RAY, run).execute(pending([c]))
    assert len({*places([a, b], "pid")}) == 2
    assert os.getpid() not in places([a, b, c], "pid")
    assert places([a, b, c], "threads") == [1, 1, 1]
    assert pending([c]) == []


@needs_ray
@pytest.mark.slow
def test_a_job_that_fails_stops_what_needs_it_and_nothing_else(tmp_path, cluster, caplog):
    bad = job(tmp_path, "bad", reason="its loss is nan")
    good, after_bad = job(tmp_path, "good"), job(tmp_path, "after_bad", bad)
    with pytest.raises(JobsFailed, match=r"(?s)1 of 3 jobs failed; 1 that need.*loss is nan"):
        choose_executor(RAY).execute(pending([after_bad, good]))
    assert good.is_done()
    assert "[2/3] good · work in good" in caplog.messages
    assert (good.folder / JOB_LOG).read_text().endswith(" work in good\n")


@needs_ray
@pytest.mark.slow
def test_the_job_of_a_worker_that_dies_is_begun_again(tmp_path, cluster):
    killed, always = job(tmp_path, "killed", kills=1), job(tmp_path, "always", kills=99)
    after = job(tmp_path, "after", killed)
    with pytest.raises(JobsFailed, match=r"1 of 3 jobs failed; 0.*\nalways: the process that did"):
        choose_executor(RAY).execute(pending([after, always]))
    assert after.is_done()
    assert len([*killed.folder.glob("begun *")]) == 2
    assert (always.folder / "failed.json").exists()


@needs_ray
@pytest.mark.slow
def test_a_full_disk_ends_the_run(tmp_path, cluster):
    full, waits = job(tmp_path, "full", full=True), job(tmp_path, "waits", meets="never")
    with pytest.raises(OSError, match="No space left"):
        choose_executor(RAY).execute([full, waits])


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_whole_run_ends_with_the_same_bytes(tmp_path_factory, workers):
    alone = tmp_path_factory.getbasetemp() / "of one process"
    if not alone.exists():
        alone.mkdir()
        assert start(write(alone)).wait() == 0
    root = write(tmp_path_factory.mktemp("ray"))
    run = start(root, "runtime.executor=ray", f"runtime.jobs={workers}")
    assert run.communicate()[1].count("Traceback") == run.returncode == 0
    assert content(root) == content(alone)


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(tmp_path):
    write(tmp_path)
    settings = os.environ | {"PYTHONPATH": str(CODE), "RAY_ADDRESS": "127.0.0.1:1"}
    command = [sys.executable, "-m", "pipeline", "folds", "--config", "tiny.yaml"]
    done = subprocess.run(
        [*command, "runtime.executor=ray"],
        cwd=tmp_path,
        env=settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "error: RAY_ADDRESS=127.0.0.1:1: " in done.stderr
    assert "Traceback" not in done.stderr


def test_without_ray_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "pipeline.workflow.ray", raising=False)
    with pytest.raises(UserError, match="make install EXTRAS=ray"):
        choose_executor(RAY)


@needs_ray
@pytest.mark.slow
def test_a_machine_that_dies_changes_no_byte(tmp_path):
    tally = Tally()
    kill_machines(tmp_path, 1, rng=random.Random(0), tally=tally)
    assert tally.outcomes.total() >= 1


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "times", "fails"), [("NodeDiedError", 5, False), ("WorkerCrashedError", 5, True)]
)
def test_a_job_may_lose_many_machines_and_few_workers(
    tmp_path, cluster, monkeypatch, error, times, fails
):
    from pipeline.workflow.ray import Cluster, ray

    original, errors = ray.get, [getattr(ray.exceptions, error)] * times

    def get(reference):
        original(reference)
        if errors:
            raise errors.pop()(*(["died"] if error == "NodeDiedError" else []))
        return "its outcome"

    one = job(tmp_path, "a")
    workers = Cluster(RAY, None, hurries=False)
    monkeypatch.setattr(ray, "get", get)
    workers.begin(one, Turn())
    ended, outcome = workers.next_ended()
    assert ended == one
    assert outcome == "its outcome" if not fails else outcome.status == "failed"
