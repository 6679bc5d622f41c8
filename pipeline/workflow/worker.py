"""Jobs in a process that another one started, on this machine or on another."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.config.own_parts import import_plugins
from pipeline.core.locks import Run
from pipeline.core.log_lines import kept_warnings
from pipeline.errors import JobFailed
from pipeline.project import Project
from pipeline.workflow.attempts import Outcome, Turn, attempt, mark_failed
from pipeline.workflow.jobs import Job

MOST_LOSSES = 3  # processes or machines that a job may lose before it counts as failed
Claims = tuple[Path, dict[str, str]] | None  # of a run, see `Run`; None: there are no locks


def claims_of(run: Run | None) -> Claims:
    """Return what another process needs to be part of a run."""
    return None if run is None else (run.folder, run.counts_on)


@contextmanager
def part_of(claims: Claims) -> Iterator[Run | None]:
    """Be part of a run: this process holds the locks of the jobs that it does.

    The process that started it may be killed, and then nobody touches what this one still writes.
    """
    if claims is None:
        yield None
        return
    with Run(claims[0]) as run:
        run.count_on(claims[1])
        yield run


def split(job: Job) -> tuple[Job, Project | None]:
    """Return a job without its needs, and its project, to be sent once for many jobs."""
    project = job.arguments.get("project")
    placeholder = {} if project is None else {"project": None}
    return replace(job, needs=(), arguments=job.arguments | placeholder), project


def bare(project: Project) -> Project:
    """Return a project without what it has computed for itself."""
    return replace(project)


def do_apart(job: Job, project: Project | None, run: Run | None, turn: Turn) -> Outcome | OSError:
    """Attempt a job that was split from its project; return an error that stops every job."""
    if "project" in job.arguments:
        import_plugins(project.config.plugins)
        job = replace(job, arguments=job.arguments | {"project": project})
    with kept_warnings() as lines:
        try:
            outcome = attempt(job, run, turn)
        except OSError as error:
            return error
    return replace(outcome, warnings=tuple(lines))


def lost(job: Job, times: int, why: str) -> Outcome:
    """Write down that a job failed because its processes were ended."""
    error = JobFailed(
        f"the process that did it ended {times} times, {why}. Where memory is short, lower "
        "runtime.jobs, batch_size or image_size"
    )
    return Outcome("failed", reason=mark_failed(job, error))
