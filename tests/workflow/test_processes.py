"""Several jobs at once in processes: as one after the other, whatever is killed on the way."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny_project import CONFIG, NETWORK, start_run, submission, write_competition

from pipeline.core import artifacts
from pipeline.core.locks import Run
from pipeline.core.runtime import num_threads
from pipeline.errors import JobFailed, JobsFailed, UserError
from pipeline.workflow.attempts import JOB_LOG
from pipeline.workflow.jobs import Job, pending
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.processes import DEVICES, ProcessExecutor

CODE = Path(__file__).parents[2]
MOST_SECONDS = 180  # that a test waits for what must come


def work(
    *,
    folder: Path,
    fingerprint: str,
    reason: str = "",
    full: bool = False,
    kills: int = 0,
    meets: str = "",
) -> None:
    """Finish an artifact that says where it was made, after what the arguments ask for.

    Args:
        kills: how often the process is killed before it finishes.
        meets: a job that must have begun before this one ends.
    """
    logging.getLogger("pipeline.test").warning("work in %s", folder.name)
    folder.mkdir(exist_ok=True)
    begun = [*folder.glob("begun *")]
    (folder / f"begun {len(begun)}").touch()
    if len(begun) < kills:
        os.kill(os.getpid(), signal.SIGKILL)
    if reason:
        raise JobFailed(reason)
    if full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    until = time.monotonic() + MOST_SECONDS
    while meets and not (folder.parent / meets / "begun 0").exists():
        assert time.monotonic() < until, f"{meets} has not begun"
        time.sleep(0.01)
    place = {"pid": os.getpid(), "threads": num_threads(), "device": os.environ.get(DEVICES)}
    artifacts.finish(folder, fingerprint, **place, omp=os.environ.get("OMP_NUM_THREADS"))


def job(root: Path, name: str, *needs: Job, **arguments: object) -> Job:
    return Job(name, f"{__name__}:work", root / name, "r", arguments, needs=needs)


def places(jobs: list[Job], key: str) -> list:
    return [artifacts.read_meta(one.folder)[key] for one in jobs]


def test_jobs_are_done_at_once_and_needs_first(tmp_path):
    a, b = job(tmp_path, "a", meets="b"), job(tmp_path, "b", meets="a")
    c = job(tmp_path, "c", a, b)
    ProcessExecutor(at_once=2).execute(pending([c]))
    pids = places([a, b, c], "pid")
    assert len({*pids}) == 2
    assert os.getpid() not in pids
    assert pending([c]) == []


def test_a_job_alone_is_done_here(tmp_path):
    a = job(tmp_path, "a")
    ProcessExecutor(at_once=2).execute([a])
    assert places([a], "pid") == [os.getpid()]


def test_processes_share_processors_and_take_gpus_in_turn(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_PROCESSORS", "9")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    jobs = [job(tmp_path, "a", meets="b"), job(tmp_path, "b", meets="a")]
    ProcessExecutor(at_once=2, gpus=("3", "5")).execute(jobs)
    assert places(jobs, "threads") == [4, 4]
    assert places(jobs, "omp") == ["4", "4"]
    assert places(jobs, "device") == ["3", "5"]
    assert DEVICES not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the user's, for the bytes of another run
    jobs = [job(tmp_path, "c"), job(tmp_path, "d")]
    ProcessExecutor(at_once=2).execute(jobs)
    assert places(jobs, "omp") == ["7", "7"]


def test_failures_are_those_of_one_job_after_the_other(tmp_path, caplog):
    said = []
    for folder, executor in (("one", LocalExecutor()), ("two", ProcessExecutor(at_once=2))):
        root = tmp_path / folder
        bad = job(root, "bad", reason="its loss is nan")
        good, after_bad = job(root, "good"), job(root, "after_bad", bad)
        last = job(root, "last", after_bad, good)
        with pytest.raises(JobsFailed, match="1 of 4 jobs failed; 2 that need them") as caught:
            executor.execute(pending([bad, last]))
        assert good.is_done()
        assert "bad failed: its loss is nan" in caplog.messages
        assert json.loads((bad.folder / "failed.json").read_text()) == {"reason": "its loss is nan"}
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_killed_process_is_replaced_and_its_job_begun_again(tmp_path, caplog):
    killed, good = job(tmp_path, "killed", kills=2), job(tmp_path, "good")
    after = job(tmp_path, "after", killed)
    ProcessExecutor(at_once=2).execute(pending([after, good]))
    assert after.is_done()
    assert len([*killed.folder.glob("begun *")]) == 3
    again = [text for text in caplog.messages if "begun again" in text]
    assert again == ["killed: its process ended, signal 9; it is begun again"] * 2


def test_a_job_whose_process_is_killed_every_time_fails(tmp_path):
    killed, good = job(tmp_path, "killed", kills=9), job(tmp_path, "good")
    with pytest.raises(JobsFailed, match=r"ended 3 times, signal 9\. Where memory is short"):
        ProcessExecutor(at_once=2).execute([killed, good])
    assert good.is_done()
    assert "signal 9" in (killed.folder / "failed.json").read_text()


def test_a_full_disk_ends_the_run(tmp_path):
    full, waits = job(tmp_path, "full", full=True), job(tmp_path, "waits", meets="never")
    with pytest.raises(OSError, match="No space left") as caught:
        ProcessExecutor(at_once=2).execute([full, waits])
    assert caught.value.filename == str(full.folder)
    assert not (full.folder / "failed.json").exists()


def test_what_another_run_does_is_waited_for(tmp_path, caplog):
    caplog.set_level("INFO")
    with Run(tmp_path / ".runs") as run, Run(tmp_path / ".runs") as other:
        net, free = job(tmp_path, "net"), job(tmp_path, "free")
        run.count_on({net.folder: "r", free.folder: "r"})
        holding = other.lock(net.folder)
        assert holding.__enter__()
        original = run.lock

        def released(folder: Path, *, wait: bool):
            assert free.is_done()
            holding.__exit__(None, None, None)
            return original(folder, wait=wait)

        run.lock = released
        ProcessExecutor(run, at_once=2).execute([net, free])
    assert net.is_done()
    assert any(text.startswith("net: waiting for") for text in caplog.messages)


def test_warnings_are_said_here_and_all_lines_are_in_the_folder(tmp_path, caplog):
    ProcessExecutor(at_once=2).execute([job(tmp_path, "a"), job(tmp_path, "b")])
    lines = sorted(text for text in caplog.messages if "work in" in text)
    assert lines == ["[1/2] a · work in a", "[2/2] b · work in b"]
    assert (tmp_path / "b" / JOB_LOG).read_text().endswith(" work in b\n")


ORPHANED = """
import os, sys
from pathlib import Path
from test_processes import job
from pipeline.workflow.processes import ProcessExecutor
if __name__ == "__main__":
    root = Path(sys.argv[1])
    jobs = [job(root, name, meets="never") for name in "ab"]
    ProcessExecutor(at_once=2).execute(jobs)
"""


def children(pid: int) -> set[int]:
    """Return a process's children and theirs."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    own = {child for child, parent in pairs if parent == pid}
    return own.union(*(children(child) for child in own))


def wait_for(what, seconds: float = MOST_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(") ")[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ORPHANED)
    settings = os.environ | {"PYTHONPATH": f"{CODE}:{Path(__file__).parent}:{CODE / 'tests'}"}
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=settings)
    wait_for(lambda: all((tmp_path / name / "begun 0").exists() for name in "ab"))
    started = children(parent.pid)
    assert len(started) >= 2
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(map(is_alive, started)), seconds=10)


def start(root: Path, *overrides: str) -> subprocess.Popen:
    return start_run(root, "ensemble", "tiny.yaml", *overrides)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A whole run, one job after the other."""
    return write(tmp_path_factory.mktemp("alone"))


def write(root: Path) -> Path:
    write_competition(root)
    members = CONFIG["members"] | {
        "net": NETWORK,
        "student": {"extends": "linear", "pseudo": {"teacher": "soft_vote", "threshold": 0.4}},
    }
    (root / "tiny.yaml").write_text(yaml.safe_dump(CONFIG | {"members": members}))
    return root


def content(root: Path) -> dict[str, bytes]:
    paths = [submission(root), submission(root).with_suffix(".npz")]
    paths += [*root.glob("features/tiny/*/features.npy"), *root.glob("models/tiny/**/*.npz")]
    paths += root.glob("models/tiny/**/*.safetensors")
    whole = [path for path in paths if not path.name.startswith(".")]  # not of killed processes
    return {str(path.relative_to(root)): path.read_bytes() for path in whole}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_at_once_end_with_the_same_bytes_even_when_interrupted(alone, tmp_path, number):
    if not (alone / "submissions").exists():
        assert start(alone).wait() == 0
    root = write(tmp_path)
    run = start(root, "runtime.jobs=2")
    wait_for(lambda: [*root.glob("models/tiny/*/fold*/meta.json")])
    os.killpg(run.pid, number) if number == signal.SIGINT else run.terminate()
    said = run.communicate()[1].splitlines()
    assert run.returncode == 128 + number
    assert said[-1] == "interrupted: finished work is kept; the same command continues from there"
    assert "Traceback" not in "".join(said)
    assert start(root, "runtime.jobs=2").wait() == 0
    assert content(root) == content(alone)


def test_wrong_input_in_another_process_is_wrong_input_here(tmp_path):
    bad = Job("bad", "builtins:no_such", tmp_path / "bad", "r")
    with pytest.raises(UserError, match="AttributeError"):
        ProcessExecutor(at_once=2).execute([bad, job(tmp_path, "good")])


def test_a_line_says_which_jobs_begin_and_how_many_wait(tmp_path, caplog):
    caplog.set_level("INFO")
    jobs = [job(tmp_path, name) for name in "abc"]
    ProcessExecutor(at_once=2).execute(jobs)
    begun = [text for text in caplog.messages if text.startswith("[") and "work in" not in text]
    assert begun[:2] == ["[1/3] a · 1 begun, 2 waiting", "[2/3] b · 2 begun, 1 waiting"]
    assert begun[2].startswith("[3/3] c · 2 begun, 0 waiting")
