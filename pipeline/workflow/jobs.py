"""Jobs: what there is to do, and one executor that does it in order.

A job is one artifact. It names its function as text, so that listing work imports nothing heavy:
a second run that finds everything done takes a second, not the time to import torch.
"""

import errno
import importlib
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from pipeline.core import artifacts
from pipeline.core.locks import Run
from pipeline.errors import UserError

log = logging.getLogger(__name__)

FAILED, TRACEBACK = "failed.json", "traceback.txt"  # in the folder of a job that failed
# No other job could write either: no space, no quota, read-only, not allowed.
NOTHING_CAN_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

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
class Job:
    """One piece of work that makes one artifact.

    Attributes:
        name: "train net fold 2", for the log.
        function: "package.module:function", called with `folder`, `fingerprint` and `arguments`.
            It finishes the artifact itself, metadata last.
        folder: the artifact.
        fingerprint: what the artifact must carry to count as done.
        arguments: picklable keyword arguments.
        needs: jobs whose artifacts must be current first.
        wants_gpu: whether an executor with several workers should place it on a GPU.
        owns_folder: whether all that lies in the folder is this artifact's, so that content of
            another recipe is cleared first.
        attic: where such content is kept; None: it is deleted.
        overwrites: whether files of an older artifact may be overwritten, so that its metadata is
            withdrawn first; otherwise what an older one holds is used again.
    """

    name: str
    function: str
    folder: Path
    fingerprint: str
    arguments: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    needs: tuple["Job", ...] = field(default=(), repr=False)
    wants_gpu: bool = False
    owns_folder: bool = True
    attic: Path | None = None
    overwrites: bool = True

    def is_done(self) -> bool:
        """Whether the artifact is there, whole, and made by this recipe."""
        return artifacts.is_current(self.folder, self.fingerprint)


def pending(targets: Iterable[Job]) -> list[Job]:
    """Jobs still to do for these targets, needs first; what a finished job needed is not asked.

    What damage makes a job one of them is said.
    """
    order: dict[str, Job] = {}

    def visit(job: Job) -> None:
        if str(job.folder) in order or job.is_done():
            return
        for damage in artifacts.damaged_files(job.folder, job.fingerprint):
            log.warning("%s: %s is done again", damage, job.name)
        for need in job.needs:
            visit(need)
        order[str(job.folder)] = job

    for target in targets:
        visit(target)
    return list(order.values())


def resolve(function: str) -> Callable[..., Any]:
    """The function that "package.module:function" names."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def all_needed(targets: Iterable[Job]) -> dict[Path, str]:
    """Fingerprints by folder of these artifacts and of all that they stand on."""
    found: dict[Path, str] = {}

    def visit(job: Job) -> None:
        if job.folder not in found:
            found[job.folder] = job.fingerprint
            for need in job.needs:
                visit(need)

    for target in targets:
        visit(target)
    return found


def execute(jobs: list[Job], run: Run | None = None) -> None:
    """Do jobs one after the other, here; a killed run leaves finished artifacts finished.

    A job that another run is doing is put off, and waited for when nothing else is left to do. One
    that fails is marked by `failed.json` in its folder, with `traceback.txt` where the error was
    not foreseen, and those that do not need it go on. What would stop every job ends the run:
    Ctrl-C, and a disk that is full or read-only.

    Raises:
        UserError: at the end, with the reason of each job that failed.
    """
    _Execution(len(jobs), run).work_through(jobs)


class _Execution:
    """What one call of `execute` has seen so far."""

    def __init__(self, total: int, run: Run | None) -> None:
        self.total, self.run = total, run
        self.seconds: dict[tuple, list[float]] = {}
        self.failed: dict[str, list[Job]] = {}  # by reason
        self.missing: set[Path] = set()  # folders of jobs that failed or were left out

    def work_through(self, jobs: list[Job]) -> None:
        left = jobs
        while left:
            put_off = self._do_what_is_free(left)
            if len(put_off) == len(left):
                first = put_off[0]
                log.info("%s: waiting for %s", first.name, self.run.holder_of(first.folder))
                with self.run.lock(first.folder, wait=True):
                    pass
            left = put_off
        if self.failed:
            raise UserError(
                _what_failed(self.failed, num_jobs=self.total, num_missing=len(self.missing))
            )

    def _do_what_is_free(self, jobs: list[Job]) -> list[Job]:
        """Do what no other run is doing; what is left for later, in order."""
        put_off: list[Job] = []
        for place, job in enumerate(jobs):
            needed = {need.folder for need in job.needs}
            if needed & self.missing:
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

    def _try(self, job: Job, left: list[Job]) -> None:
        """Do a job, which is the first of those left."""
        number = self.total - len(left) + 1
        log.info("[%d/%d%s] %s", number, self.total, _left(left, self.seconds), job.name)
        started = time.monotonic()
        try:
            worked = _do(job)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NOTHING_CAN_BE_WRITTEN:
                raise
            try:
                reason = _mark_failed(job, error)
            except RuntimeError:  # torch tells by a signal, at any time, that a worker ended
                reason = _mark_failed(job, error)
            log.error("%s failed: %s", job.name, reason)
            self.failed.setdefault(reason, []).append(job)
            self.missing.add(job.folder)
            return
        if worked:
            self.seconds.setdefault(_alike(job), []).append(time.monotonic() - started)


def _mark_failed(job: Job, error: Exception) -> str:
    """Write down why a job failed, an error that was not foreseen with its traceback."""
    reason, foreseen = str(error), isinstance(error, UserError)
    if not foreseen:
        first_line = next(iter(reason.strip().splitlines()), "no message").rstrip(". ")
        advice = next((f". {text}" for part, text in ADVICE.items() if part in repr(error)), "")
        reason = f"{type(error).__name__}: {first_line}{advice}"
    if not foreseen or error.__cause__ is not None:
        artifacts.write_text(job.folder / TRACEBACK, "".join(traceback.format_exception(error)))
    artifacts.write_json(job.folder / FAILED, {"reason": reason})
    return reason


def _what_failed(failed: dict[str, list[Job]], *, num_jobs: int, num_missing: int) -> str:
    """One message of all jobs that failed; those of one reason share a line."""
    jobs = [job for alike in failed.values() for job in alike]
    lines = []
    for reason, alike in failed.items():
        path = alike[0].folder / TRACEBACK
        names = "" if reason.startswith(alike[0].name) else ", ".join(job.name for job in alike)
        where = f" (traceback: {path})" if path.exists() else ""
        lines.append(f"{names}: {reason}{where}".removeprefix(": "))
    if num_jobs == 1:
        return lines[0].removeprefix(f"{jobs[0].name}: ")
    members = dict.fromkeys(str(job.arguments.get("member", "")) for job in jobs)
    if all(members):
        without = " ".join(f"members.{member}=null" for member in members)
        lines.append(f'To go on without: SET="{without}".')
    return (
        f"{len(jobs)} of {num_jobs} jobs failed; {num_missing - len(jobs)} that need them were "
        "left out, the rest is done and kept. What failed:\n" + "\n".join(lines)
    )


def _do(job: Job) -> bool:
    """Make one artifact; False where it is done: by another run, or once, and kept in the attic."""
    if job.owns_folder:
        artifacts.begin(job.folder, job.fingerprint, attic=job.attic)
    if job.is_done():
        return False
    if job.overwrites:
        artifacts.withdraw(job.folder)
    for name in (FAILED, TRACEBACK):
        (job.folder / name).unlink(missing_ok=True)
    resolve(job.function)(folder=job.folder, fingerprint=job.fingerprint, **job.arguments)
    if not job.is_done():
        raise AssertionError(f"{job.name} ended without finishing {job.folder}")
    return True


def _alike(job: Job) -> tuple[str | None, ...]:
    """Jobs that take about as long: one member's models, their predictions, one backbone's block.

    Where it is no model's, the member matters little: predictions of folds are joined in no time.
    """
    member = job.arguments.get("member") if "fold" in job.arguments else None
    return job.function, member, job.arguments.get("backbone")


def _left(jobs: list[Job], seconds: dict[tuple, list[float]]) -> str:
    """An estimate from jobs alike that are done; nothing while it would leave much out.

    Much: a model, a block, or several of a kind that was not timed yet. Of other kinds there is one
    job, which nothing can time before it is done: these are counted beside the estimate.
    """
    kinds = Counter(map(_alike, jobs))
    untimed = [job for job in jobs if _alike(job) not in seconds]
    if len(untimed) == len(jobs) or any(
        kinds[_alike(job)] > 1 or {"fold", "backbone"} & job.arguments.keys() for job in untimed
    ):
        return ""
    total = sum(mean(seconds[kind]) * kinds[kind] for kind in kinds if kind in seconds)
    beside = f" and {len(untimed)} not timed yet" if untimed else ""
    return f", about {total:.0f}s left{beside}"
