"""The executor of one machine with several jobs at once, each in a process of its own."""

import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pipeline.core.interruption import end_with_parent
from pipeline.core.locks import Run
from pipeline.core.log_lines import lines_of_job, log_progress, start_logging
from pipeline.core.runtime import num_threads, threads_of_share, tune_allocator
from pipeline.project import Project
from pipeline.workflow.attempts import Outcome, Turn
from pipeline.workflow.budget import Deadline
from pipeline.workflow.execution import do_jobs
from pipeline.workflow.jobs import Job
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.worker import (
    MOST_LOSSES,
    Claims,
    bare,
    claims_of,
    do_apart,
    lost,
    part_of,
    split,
)

log = logging.getLogger(__name__)

SPAWN = get_context("spawn")  # a forked process cannot use threads or a GPU of its parent
DEVICES = "CUDA_VISIBLE_DEVICES"


class ProcessExecutor:
    """Does jobs in several processes, which share this machine's processors and GPUs.

    A process that is killed loses its job, which another one takes up where it was. Processes end
    with this one, however it ends. A job alone is done here.
    """

    def __init__(
        self,
        run: Run | None = None,
        deadline: Deadline | None = None,
        *,
        at_once: int,
        gpus: tuple[str, ...] = (),
    ) -> None:
        self.run, self.deadline, self.at_once, self.gpus = run, deadline, at_once, gpus

    def execute(self, jobs: list[Job]) -> None:
        """Do jobs, see `Executor`; those that would end after the deadline are left out."""
        if len(jobs) < 2:
            LocalExecutor(self.run, self.deadline).execute(jobs)
            return
        processes = Processes(min(self.at_once, len(jobs)), claims_of(self.run), self.gpus)
        with lines_of_job(""):  # its end takes the bar away
            try:
                do_jobs(jobs, processes, self.run, self.deadline)
            finally:
                processes.end()


class Processes:
    """Some processes; each is started when the first job for it comes."""

    def __init__(self, at_once: int, claims: Claims, gpus: tuple[str, ...]) -> None:
        self.at_once = at_once
        share = threads_of_share(max(1, num_threads() // at_once))
        devices = [{DEVICES: gpus[number % len(gpus)]} if gpus else {} for number in range(at_once)]
        self.all = [_Process(share | device, claims) for device in devices]
        self.losses: Counter[Path] = Counter()

    def has_room(self) -> bool:
        """Return whether a process has no job."""
        return any(process.task is None for process in self.all)

    def begin(self, job: Job, turn: Turn) -> None:
        """Give a job to a process without one."""
        log_progress(log, turn.number - 1, turn.total, turn.line(job))
        next(process for process in self.all if process.task is None).give(job, turn)

    def next_ended(self) -> tuple[Job, Outcome]:
        """Wait until a job has ended; one whose process is killed is begun again."""
        while True:
            busy = {process.connection: process for process in self.all if process.task}
            process = busy[wait(busy)[0]]
            job, turn = process.task
            outcome = process.answer()
            if isinstance(outcome, OSError):
                raise outcome
            if outcome is None:
                self.losses[job.folder] += 1
                times, why = self.losses[job.folder], process.why_ended()
                if times < MOST_LOSSES:
                    log.warning("%s: its process ended, %s; it is begun again", job.name, why)
                    process.give(job, turn)
                    continue
                outcome = lost(job, times, why)
            process.task = None
            return job, outcome

    def end(self) -> None:
        """End all processes, whatever they are doing."""
        for process in self.all:
            process.end()


class _Process:
    """A process, and what it is doing; it is started anew if it ends."""

    def __init__(self, environment: dict[str, str], claims: Claims) -> None:
        self.environment, self.claims = environment, claims
        self.task: tuple[Job, Turn] | None = None
        self.connection: Connection | None = None
        self.project: Project | None = None  # that the process has

    def _start(self) -> None:
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(theirs, self.claims))
        with _environment(self.environment), _interrupts_blocked():
            self.process.start()
        theirs.close()
        self.project = None

    def give(self, job: Job, turn: Turn) -> None:
        """Send a job, and its project if the process has another."""
        self.task = job, turn
        if self.connection is None or not self.process.is_alive():
            self._start()
        job, project = split(job)
        is_new = project is not None and project is not self.project
        try:
            self.connection.send((job, bare(project) if is_new else None, turn))
        except OSError:  # it has just ended, which its answer will say
            return
        if is_new:
            self.project = project

    def answer(self) -> Outcome | OSError | None:
        """Return what the process sent; None if it ended instead."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return None

    def why_ended(self) -> str:
        """Return by what the process ended."""
        code = self.process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """Kill the process, if there is one: whatever it was doing can be continued."""
        if self.connection is not None:
            self.process.kill()
            self.process.join()
            self.connection.close()


def serve(connection: Connection, claims: Claims) -> None:
    """Do jobs that come over a connection, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends this one
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_with_parent()
    tune_allocator()
    start_logging(in_worker=True)
    project: Project | None = None
    with part_of(claims) as run:
        while True:
            try:
                job, other, turn = connection.recv()
            except EOFError:
                return
            project = project if other is None else other
            connection.send(do_apart(job, project, run, turn))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a process that is started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C for a process that is started meanwhile, until it can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
