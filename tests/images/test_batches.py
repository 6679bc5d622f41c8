"""Processes that read images."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

# The parent is killed while a worker starts, before torch's own watch over parents begins.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from torch.utils.data import DataLoader
from pipeline.images import batches

def start(worker):
    Path(sys.argv[1], str(os.getpid())).touch()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(0.5)
    batches._start_worker(worker)

if __name__ == "__main__":
    settings = batches._worker_settings(1) | {"worker_init_fn": start}
    next(iter(DataLoader(range(4), multiprocessing_context=sys.argv[2], **settings)))
"""


def is_running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        return "Z" not in state[:3]
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_end_with_a_parent_that_is_killed_while_they_start(tmp_path, start):
    script, pids = tmp_path / "script.py", tmp_path / "pids"
    script.write_text(KILLED)
    pids.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, script, pids, start], env=environment, timeout=100)
    assert ran.returncode == -9
    (worker,) = [int(path.name) for path in pids.iterdir()]
    ends = time.monotonic() + 60
    while is_running(worker) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not is_running(worker)
