"""The executor of one machine: jobs one after the other, beside other runs on the same folders."""

import logging
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from statistics import mean

from pipeline.core.artifacts import WRITE_ERRORS
from pipeline.core.locks import Run
from pipeline.core.log_lines import lines_of_job, log_progress
from pipeline.core.runtime import duration
from pipeline.core.timing import write_timing
from pipeline.errors import JobFailed, JobsFailed, UserError
from pipeline.workflow.attempts import make_artifact, mark_failed
from pipeline.workflow.budget import Deadline
from pipeline.workflow.failures import failure_message, reasons_of_members
from pipeline.workflow.jobs import Job

log = logging.getLogger(__name__)


class LocalExecutor:
    """Does jobs in this process, in order; a killed run leaves finished artifacts finished.

    A job that another run is doing is put off, and waited for when nothing else is left to do. A
    job that fails is marked by `failed.json` in its folder, with `traceback.txt` for an unexpected
    error, and jobs that do not need it go on. What would stop every job ends the run: Ctrl-C, and
    a disk that is full or read-only.
    """

    def __init__(self, run: Run | None = None, deadline: Deadline | None = None) -> None:
        self.run, self.deadline = run, deadline

    def execute(self, jobs: list[Job]) -> None:
        """Do jobs, see `Executor`; those that would end after the deadline are left out."""
        execution = _Execution(len(jobs), self.run, self.deadline)
        execution.work_through(jobs)
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


class _Execution:
    """State of one call of `execute`."""

    def __init__(self, total: int, run: Run | None, deadline: Deadline | None) -> None:
        self.total, self.run, self.deadline = total, run, deadline
        self.seconds: dict[tuple, list[float]] = {}  # by kind of job
        self.failed: dict[str, list[Job]] = {}  # by reason
        self.wrong_input = False  # whether a job failed by it
        self.missing: set[Path] = set()  # folders of jobs that failed or were left out

    def work_through(self, jobs: list[Job]) -> None:
        left = jobs
        while left:
            put_off = self._do_unlocked(left)
            if len(put_off) == len(left):
                first = put_off[0]
                log.info("%s: waiting for %s", first.name, self.run.holder_of(first.folder))
                with self.run.lock(first.folder, wait=True):
                    pass
            left = put_off

    def _do_unlocked(self, jobs: list[Job]) -> list[Job]:
        """Do jobs that no other run is doing; return the others, in order."""
        put_off: list[Job] = []
        for place, job in enumerate(jobs):
            needed = {need.folder for need in job.needs}
            if needed & self.missing or not self._is_in_time(job, jobs[place:]):
                self.missing.add(job.folder)
            elif needed & {other.folder for other in put_off}:
                put_off.append(job)
            else:
                with nullcontext(True) if self.run is None else self.run.lock(job.folder) as ours:
                    if ours:
                        self._try(job, [*jobs[place:], *put_off])
                    else:
                        put_off.append(job)
        return put_off

    def _is_in_time(self, job: Job, left: list[Job]) -> bool:
        """Return whether the rest of a job's member is expected to end before the deadline."""
        if self.deadline is None:
            return True
        member = job.arguments.get("member")
        same = [other for other in left if other.arguments.get("member") == member]
        return self.deadline.allows(job, sum(map(self._expected_seconds, same)))

    def _expected_seconds(self, job: Job) -> float:
        timed = self.seconds.get(kind_of(job))
        return mean(timed) if timed else self.deadline.predicted.get(job.folder, 0.0)

    def _try(self, job: Job, left: list[Job]) -> None:
        """Do a job, which is the first of those left."""
        number = self.total - len(left) + 1
        started = time.monotonic()
        try:
            with lines_of_job(f"[{number}/{self.total}] {job.name}"):
                log_progress(log, number - 1, self.total, time_left(left, self.seconds))
                worked = make_artifact(job)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in WRITE_ERRORS:
                raise
            try:
                reason = mark_failed(job, error)
            except RuntimeError:  # torch reports by a signal, at any time, that a worker ended
                reason = mark_failed(job, error)
            log.error("%s failed: %s", job.name, reason)
            self.wrong_input |= isinstance(error, UserError) and not isinstance(error, JobFailed)
            self.failed.setdefault(reason, []).append(job)
            self.missing.add(job.folder)
            return
        if worked:
            seconds = write_timing(job.folder, job.fingerprint, name=job.name, started=started)
            self.seconds.setdefault(kind_of(job), []).append(seconds)


def kind_of(job: Job) -> tuple[str | None, ...]:
    """Return what jobs share that take about as long: a member's models, a backbone's block.

    The member counts only for models of folds: joining the predictions of folds takes no time.
    """
    member = job.arguments.get("member") if "fold" in job.arguments else None
    return job.function, member, job.arguments.get("backbone")


def time_left(jobs: list[Job], seconds: dict[tuple, list[float]]) -> str:
    """Return an estimate from the times of jobs of the same kinds; empty if it would be far off.

    It would be where a model, a block, or several jobs of a kind were not timed yet. A kind of one
    other job cannot be timed before it is done: these are counted beside the estimate.
    """
    kinds = Counter(map(kind_of, jobs))
    untimed = [job for job in jobs if kind_of(job) not in seconds]
    if len(untimed) == len(jobs) or any(
        kinds[kind_of(job)] > 1 or {"fold", "backbone"} & job.arguments.keys() for job in untimed
    ):
        return ""
    total = sum(mean(seconds[kind]) * kinds[kind] for kind in kinds if kind in seconds)
    beside = f", {len(untimed)} not timed yet" if untimed else ""
    return f"{duration(total)} left{beside}"
