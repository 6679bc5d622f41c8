"""Jobs that failed: what is said of them, and a blend without the members that they were for."""

import logging
from dataclasses import replace

from pipeline.errors import JobsFailed
from pipeline.project import Project
from pipeline.workflow.attempts import TRACEBACK
from pipeline.workflow.jobs import Job
from pipeline.workflow.plan import Plan

log = logging.getLogger(__name__)


def without_failed(project: Project, error: JobsFailed) -> Project:
    """Return the project without the members whose predictions could not be made.

    Raises:
        JobsFailed: the same error, where no member is left.
    """
    plan, names = Plan(project), list(project.config.members)
    done = [name for name in names if plan.join(name).is_done()]
    if not done:
        raise error
    reasons = {
        name: error.reasons.get(name, "what it is made from failed")
        for name in names
        if name not in done
    }
    log.warning("going on without %s", ", ".join(reasons))
    return replace(project.with_members(done), failed={**project.failed, **reasons})


def reasons_of_members(failed: dict[str, list[Job]]) -> dict[str, str]:
    """Return why members failed: the first reason of each.

    Args:
        failed: jobs by reason.
    """
    reasons: dict[str, str] = {}
    for reason, alike in failed.items():
        for job in alike:
            if member := job.arguments.get("member"):
                reasons.setdefault(str(member), reason)
    return reasons


def failure_message(failed: dict[str, list[Job]], *, num_jobs: int, num_left_out: int) -> str:
    """Return one message about all failed jobs, a line for each reason.

    Args:
        failed: jobs by reason.
        num_left_out: how many jobs were not tried because they need failed ones.
    """
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
        f"{len(jobs)} of {num_jobs} jobs failed; {num_left_out} that need them were left out, the "
        "rest is done and kept. Failed:\n" + "\n".join(lines)
    )
