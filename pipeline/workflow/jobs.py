"""Jobs: one job makes one artifact; an executor does those that are not done yet.

A job names its function as text, so that listing jobs imports nothing heavy: a second run that
finds everything done takes a second, not the time to import torch.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from pipeline.core import artifacts

log = logging.getLogger(__name__)


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
        owns_folder: whether all files in the folder belong to this artifact, so that content of
            another recipe is cleared first.
        attic: where such content is kept; None: it is deleted.
        overwrites: whether files of an older artifact may be overwritten, so that its metadata is
            withdrawn first; False: what an older artifact holds is used again.
    """

    name: str
    function: str
    folder: Path
    fingerprint: str
    arguments: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    needs: tuple["Job", ...] = field(default=(), repr=False)
    owns_folder: bool = True
    attic: Path | None = None
    overwrites: bool = True

    def is_done(self) -> bool:
        """Return whether the artifact is there, whole, and made by this recipe."""
        return artifacts.is_current(self.folder, self.fingerprint)


class Executor(Protocol):
    """Something that does jobs: here one after the other, or on several machines."""

    def execute(self, jobs: list[Job]) -> None:
        """Do jobs, each after those that it needs; go on when one fails.

        Args:
            jobs: as `pending` lists them.
        Raises:
            UserError: at the end, with the reason of each job that failed; JobsFailed if none of
                them failed by wrong input.
        """


def pending(targets: Iterable[Job]) -> list[Job]:
    """Return jobs still to do for these targets, needs first.

    Needs of a job that is done are not looked at. Damaged artifacts are done again, with a warning.
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


def all_needed(targets: Iterable[Job]) -> dict[Path, str]:
    """Return fingerprints by folder of these artifacts and of all that they need."""
    found: dict[Path, str] = {}

    def visit(job: Job) -> None:
        if job.folder not in found:
            found[job.folder] = job.fingerprint
            for need in job.needs:
                visit(need)

    for target in targets:
        visit(target)
    return found


def resolve(function: str) -> Callable[..., Any]:
    """Return the function that "package.module:function" names."""
    return resolve_name(function)
