"""What the runs at work on a competition are doing now, for another terminal: `make status`.

A run announces its jobs once; how far they are is read from their folders and locks.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.core.artifacts import fingerprint_of, read_json
from pipeline.core.locks import Run
from pipeline.core.runtime import duration
from pipeline.core.timing import read_seconds
from pipeline.core.workspace import Workspace
from pipeline.workflow.attempts import FAILED, JOB_LOG
from pipeline.workflow.job_times import kind_of, time_left
from pipeline.workflow.jobs import Job

OF_KIND = ("member", "fold", "backbone")  # arguments that tell which jobs take as long
TAIL_BYTES = 4096  # of a job's log, whose last line is shown


@dataclass(frozen=True)
class JobState:
    """How far a job is.

    Attributes:
        seconds: of a job that is done, or since it was begun; None where nobody knows.
        text: who is doing it, or why it failed.
    """

    job: Job
    state: Literal["done", "running", "failed", "waiting"]
    seconds: float | None = None
    text: str = ""


def announcement(jobs: list[Job], at_once: int) -> dict[str, Any]:
    """Return what a run says of its jobs, as JSON."""
    return {
        "at": time.time(),
        "at_once": at_once,
        "jobs": [
            {
                "name": job.name,
                "function": job.function,
                "folder": str(job.folder),
                "fingerprint": job.fingerprint,
                "arguments": {key: job.arguments[key] for key in OF_KIND if key in job.arguments},
            }
            for job in jobs
        ],
    }


def show_status(workspace: Workspace) -> None:
    """Print what each run at work on a competition is doing."""
    run = Run(workspace.runs)  # which is not entered: it only looks
    announced = run.announcements() if workspace.runs.is_dir() else []
    if not announced:
        print(
            f"no run is at work on {workspace.competition} now; `make plan` lists what is to do, "
            "and what was done is kept"
        )
    for description, content in announced:
        states = [_state(job, run, since=content["at"]) for job in _jobs(content)]
        print("\n".join([f"{description}: {_counts(states, content)}", *_lines(states)]))


def _jobs(content: dict[str, Any]) -> list[Job]:
    return [Job(**{**entry, "folder": Path(entry["folder"])}) for entry in content["jobs"]]


def _state(job: Job, run: Run, *, since: float) -> JobState:
    """Return how far a job is, of a run that announced it at a time."""
    if fingerprint_of(job.folder) == job.fingerprint:
        return JobState(job, "done", read_seconds(job.folder, job.fingerprint))
    if holder := run.holder(job.folder):
        description, begun = holder
        return JobState(job, "running", time.time() - begun, description)
    failed = job.folder / FAILED
    if failed.exists() and failed.stat().st_mtime >= since:
        return JobState(job, "failed", None, (read_json(failed) or {}).get("reason", ""))
    return JobState(job, "waiting")


def _counts(states: list[JobState], content: dict[str, Any]) -> str:
    """Return how many jobs are in each state, and the time left, if it is known."""
    by_state = {
        state: [one for one in states if one.state == state]
        for state in ("running", "waiting", "done", "failed")
    }
    seconds: dict[tuple, list[float]] = {}
    for one in by_state["done"]:
        if one.seconds is not None:
            seconds.setdefault(kind_of(one.job), []).append(one.seconds)
    left = [one.job for one in (*by_state["running"], *by_state["waiting"])]
    counts = [f"{len(alike)} {state}" for state, alike in by_state.items()]
    text = time_left(left, seconds, at_once=content["at_once"]) if left else ""
    return ", ".join(filter(None, (*counts, text)))


def _lines(states: list[JobState]) -> Iterator[str]:
    """Yield a line of each job that runs or failed, and the last line of what runs."""
    for one in states:
        if one.state == "running":
            yield f"  running  {one.job.name}  {duration(one.seconds)}, {one.text}"
            if last := _last_line(one.job.folder / JOB_LOG):
                yield f"           {last}"
        elif one.state == "failed":
            yield f"  failed   {one.job.name}: {one.text}"


def _last_line(path: Path) -> str:
    """Return a log's last line; empty where there is none."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
