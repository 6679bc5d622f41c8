"""The order of jobs: each after those that it needs, as many at once as there is room for.

Where they are done is an executor's: this process, several processes, or a cluster.
"""

import logging
from pathlib import Path
from statistics import mean
from typing import Protocol

from pipeline.core.locks import Run
from pipeline.errors import JobsFailed, UserError
from pipeline.workflow.attempts import Outcome, Turn
from pipeline.workflow.budget import Deadline
from pipeline.workflow.failures import failure_message, reasons_of_members
from pipeline.workflow.job_times import kind_of, time_left
from pipeline.workflow.jobs import Job
from pipeline.workflow.status import announcement

log = logging.getLogger(__name__)


class Workers(Protocol):
    """Where jobs are done.

    Attributes:
        at_once: how many jobs at most, or about.
    """

    at_once: int

    def has_room(self) -> bool:
        """Return whether a job may begin."""

    def begin(self, job: Job, turn: Turn) -> None:
        """Begin a job, whose needs are done."""

    def next_ended(self) -> tuple[Job, Outcome]:
        """Wait until one of the jobs that were begun has ended."""


def do_jobs(
    jobs: list[Job], workers: Workers, run: Run | None = None, deadline: Deadline | None = None
) -> None:
    """Do jobs, each after those that it needs; go on when one fails, see `jobs.Executor`.

    A job that another run is doing is put off, and waited for when nothing else is left to do.
    Those that would end after the deadline are left out.
    """
    if run is not None:
        run.announce(announcement(jobs, workers.at_once))
    execution = Execution(jobs, workers, run, deadline)
    execution.work_through()
    if execution.failed:
        num_failed = sum(map(len, execution.failed.values()))
        message = failure_message(
            execution.failed,
            num_jobs=len(jobs),
            num_left_out=len(execution.missing) - num_failed,
        )
        if execution.wrong_input:
            raise UserError(message)
        raise JobsFailed(message, reasons_of_members(execution.failed))


class Execution:
    """How far the jobs of one call of `do_jobs` are."""

    def __init__(
        self, jobs: list[Job], workers: Workers, run: Run | None, deadline: Deadline | None
    ) -> None:
        self.total, self.workers, self.run, self.deadline = len(jobs), workers, run, deadline
        self.waiting = {job.folder: job for job in jobs}
        self.running: dict[Path, Job] = {}
        self.held: dict[Path, Job] = {}  # which another run is doing
        self.seconds: dict[tuple, list[float]] = {}  # by kind of job
        self.failed: dict[str, list[Job]] = {}  # by reason
        self.wrong_input = False  # whether a job failed by it
        self.missing: set[Path] = set()  # folders of jobs that failed or were left out

    def work_through(self) -> None:
        """Do all jobs that can be done."""
        while self.waiting or self.running or self.held:
            self._begin_ready()
            if self.running:
                self._end(*self.workers.next_ended())
            elif self.held:
                self._wait_for_other_run()

    def _begin_ready(self) -> None:
        """Begin jobs whose needs are done, in order, until there is no room."""
        for folder, job in list(self.waiting.items()):
            if not self.workers.has_room():
                return
            needed = {need.folder for need in job.needs}
            if needed & self.missing or not self._is_in_time(job):
                self.missing.add(folder)
                del self.waiting[folder]
            elif not any(needed & of.keys() for of in (self.waiting, self.running, self.held)):
                turn = self._turn(job)
                self.running[folder] = self.waiting.pop(folder)
                self.workers.begin(job, turn)

    def _end(self, job: Job, outcome: Outcome) -> None:
        """Take down how a job ended."""
        del self.running[job.folder]
        for line in outcome.warnings:
            log.warning("%s", line)
        if outcome.status == "held":
            self.held[job.folder] = job
            return
        if outcome.status == "failed":
            log.error("%s failed: %s", job.name, outcome.reason)
            self.wrong_input |= outcome.wrong_input
            self.failed.setdefault(outcome.reason, []).append(job)
            self.missing.add(job.folder)
        elif outcome.seconds is not None:
            self.seconds.setdefault(kind_of(job), []).append(outcome.seconds)
        self._try_held_again()

    def _try_held_again(self) -> None:
        self.waiting, self.held = self.held | self.waiting, {}

    def _wait_for_other_run(self) -> None:
        first = next(iter(self.held.values()))
        log.info("%s: waiting for %s", first.name, self.run.holder_of(first.folder))
        with self.run.lock(first.folder, wait=True):
            pass
        self._try_held_again()

    def _is_in_time(self, job: Job) -> bool:
        """Return whether the rest of a job's member is expected to end before the deadline."""
        if self.deadline is None:
            return True
        member = job.arguments.get("member")
        left = [other for other in self._left() if other.arguments.get("member") == member]
        return self.deadline.allows(job, sum(map(self._expected_seconds, left)))

    def _expected_seconds(self, job: Job) -> float:
        """Return what a job adds to the run; what was predicted had the whole machine."""
        timed = self.seconds.get(kind_of(job))
        if timed:
            return mean(timed) / self.workers.at_once
        return self.deadline.predicted.get(job.folder, 0.0)

    def _left(self) -> list[Job]:
        """Return the jobs that were not begun."""
        return [*self.waiting.values(), *self.held.values()]

    def _turn(self, job: Job) -> Turn:
        """Return the place of a job that is waiting, and how the run stands."""
        left = self._left()
        text = time_left(left, self.seconds, at_once=self.workers.at_once)
        if self.workers.at_once > 1:
            counts = f"{len(self.running) + 1} begun, {len(left) - 1} waiting"
            text = " · ".join(filter(None, (counts, text)))
        return Turn(self.total - len(left) + 1, self.total, text)
