"""The order of jobs, on the simulated clock of tests/bench/cluster.py."""

import time
from pathlib import Path

import pytest
from bench.cluster import Simulated, graph, job, simulate

from pipeline.workflow.budget import Deadline
from pipeline.workflow.execution import do_jobs
from pipeline.workflow.jobs import Job

SECONDS = {"shard": 2.0, "assemble": 1.0, "fit": 3.0}


@pytest.mark.parametrize(
    ("at_once", "expected"),
    [(1, 6 + 1 + 6 + 1), (2, 4 + 1 + 3 + 1), (3, 2 + 1 + 3 + 1), (9, 2 + 1 + 3 + 1)],
)
def test_as_many_at_once_as_there_is_room_for_and_needs_first(tmp_path, at_once, expected):
    jobs = graph(tmp_path, shards=3, folds=2, **SECONDS)
    assert simulate(jobs, at_once) == pytest.approx(expected)


def test_handing_out_a_job_takes_its_time(tmp_path):
    jobs = [job(tmp_path, str(number)) for number in range(1000)]
    assert simulate(jobs, 1000, overhead=0.02) == pytest.approx(20)


def test_a_job_that_is_ready_does_not_wait_for_one_before_it_in_the_list(tmp_path):
    a, b = job(tmp_path, "a", seconds=5.0), job(tmp_path, "b", seconds=1.0)
    after_a, after_b = job(tmp_path, "after_a", a), job(tmp_path, "after_b", b, seconds=4.0)
    assert simulate([a, after_a, b, after_b], 2) == pytest.approx(5)


def test_a_deadline_counts_what_several_workers_do_at_once(tmp_path):
    def of_net(fold: int) -> Job:
        arguments = {"member": "net", "fold": fold, "seconds": 10.0}
        return Job(f"net {fold}", "x:y", tmp_path / str(fold), "r", arguments)

    def begun(at_once: int) -> set[Path]:
        jobs = [of_net(fold) for fold in range(9)]
        deadline = Deadline(time.monotonic() + 45, predicted={})
        workers = Records(at_once)
        do_jobs(jobs, workers, deadline=deadline)
        return workers.begun

    # After the first one or two, seven or eight are left, of 10 s each: over 45 s one at a time.
    assert len(begun(1)) == 1
    assert len(begun(2)) == 9


class Records(Simulated):
    """Workers that remember what they began."""

    def __init__(self, at_once: int) -> None:
        super().__init__(at_once)
        self.begun: set[Path] = set()

    def begin(self, job, turn):
        self.begun.add(job.folder)
        super().begin(job, turn)
