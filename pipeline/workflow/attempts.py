"""One attempt at a job: make its artifact, or write down why it failed. Any executor uses this."""

import logging
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

from pipeline.core import artifacts
from pipeline.core.artifacts import WRITE_ERRORS
from pipeline.core.locks import Run
from pipeline.core.log_lines import lines_in_file, lines_of_job, log_progress
from pipeline.core.timing import write_timing
from pipeline.errors import JobFailed, UserError
from pipeline.workflow.jobs import Job, resolve

log = logging.getLogger(__name__)

FAILED, TRACEBACK = "failed.json", "traceback.txt"  # in the folder of a job that failed
JOB_LOG = "job.log"  # in the folder of every job

# What to do about errors of libraries: a part of their message or of their type's name.
ADVICE = dict.fromkeys(
    ("DataLoader worker", "ConnectionResetError", "shared memory"),
    "A process that reads images was ended, most often for lack of memory: set runtime.workers to "
    "0, or lower batch_size",
) | dict.fromkeys(
    ("out of memory", "allocate memory", "MemoryError", "OutOfMemoryError"),
    "There is not enough memory: lower batch_size or image_size, or leave the member out",
)


@dataclass(frozen=True)
class Turn:
    """A job's place among those of a run.

    Attributes:
        number: from 1.
        text: how the run stands, such as "5m left".
    """

    number: int = 1
    total: int = 1
    text: str = ""

    def title(self, job: Job) -> str:
        """Return what begins the job's log lines."""
        return f"[{self.number}/{self.total}] {job.name}"

    def line(self, job: Job) -> str:
        """Return what is said when the job begins in another process."""
        return " · ".join(filter(None, (self.title(job), self.text)))


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        status: held: another run is doing the job.
        seconds: that the job took; None where another run or the attic had its artifact.
        reason: of a failure.
        wrong_input: whether it failed by that.
        warnings: log lines of a job in another process.
    """

    status: Literal["done", "held", "failed"]
    seconds: float | None = None
    reason: str = ""
    wrong_input: bool = False
    warnings: tuple[str, ...] = ()


def attempt(job: Job, run: Run | None, turn: Turn) -> Outcome:
    """Do a job unless another run is doing it; write down why it failed.

    Raises:
        OSError: that would stop every job: a disk that is full or read-only.
    """
    with nullcontext(True) if run is None else run.lock(job.folder) as ours:
        if not ours:
            return Outcome("held")
        started = time.monotonic()
        try:
            with lines_of_job(turn.title(job)):
                log_progress(log, turn.number - 1, turn.total, turn.text)
                worked = make_artifact(job)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in WRITE_ERRORS:
                raise
            try:
                reason = mark_failed(job, error)
            except RuntimeError:  # torch reports by a signal, at any time, that a worker ended
                reason = mark_failed(job, error)
            wrong_input = isinstance(error, UserError) and not isinstance(error, JobFailed)
            return Outcome("failed", reason=reason, wrong_input=wrong_input)
        if not worked:
            return Outcome("done")
        seconds = write_timing(job.folder, job.fingerprint, name=job.name, started=started)
        return Outcome("done", seconds)


def make_artifact(job: Job) -> bool:
    """Call a job's function; return False if the artifact was done by another run or in the attic.

    Its log lines also go into a file of its folder.
    """
    if job.owns_folder:
        artifacts.begin(job.folder, job.fingerprint, attic=job.attic)
    if job.is_done():
        return False
    if job.overwrites:
        artifacts.withdraw(job.folder)
    for name in (FAILED, TRACEBACK):
        (job.folder / name).unlink(missing_ok=True)
    with lines_in_file(job.folder / JOB_LOG):
        resolve(job.function)(folder=job.folder, fingerprint=job.fingerprint, **job.arguments)
    if not job.is_done():
        raise AssertionError(f"{job.name} ended without finishing {job.folder}")
    return True


def mark_failed(job: Job, error: Exception) -> str:
    """Write why a job failed, with the traceback of an unexpected error; return the reason."""
    reason, is_expected = str(error), isinstance(error, UserError)
    if not is_expected:
        first_line = next(iter(reason.strip().splitlines()), "no message").rstrip(". ")
        advice = next((f". {text}" for part, text in ADVICE.items() if part in repr(error)), "")
        reason = f"{type(error).__name__}: {first_line}{advice}"
    if not is_expected or error.__cause__ is not None:
        artifacts.write_text(job.folder / TRACEBACK, "".join(traceback.format_exception(error)))
    artifacts.write_json(job.folder / FAILED, {"reason": reason})
    return reason
