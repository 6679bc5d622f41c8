"""A budget of time: which members fit into it, and when to stop beginning jobs.

Of the members that fit, the one that is worth most per second is taken next, until none fits.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.config.schema import AnyMember, Config, Learner, Network
from pipeline.core.runtime import GIB, duration, memory_bytes
from pipeline.errors import JobsFailed, UserError
from pipeline.project import Project
from pipeline.workflow.failures import without_failed
from pipeline.workflow.jobs import Job, pending, resolve
from pipeline.workflow.plan import Plan

SPARE = 0.9  # share of the budget that predictions may fill
BLENDS = "pipeline.stages.ensemble:blend_members"
# What a blend's loss rises by without a member of the kind, in percent: medians over four
# competitions (docs/results.md).
WORTH = {Network: 20.0, Learner: 1.5}
UNITS = {"s": 1, "m": 60, "h": 3600}
CostOf = Callable[[Job], Any]  # a Cost of stages/plan.py
BringUpToDate = Callable[..., int]  # (project, jobs, deadline=...): does what is pending of them

log = logging.getLogger(__name__)


@dataclass
class Deadline:
    """When jobs must have ended, and which were not begun because of it.

    Attributes:
        ends: of the monotonic clock.
        predicted: seconds by folder, for kinds of jobs that were not timed yet.
        late: members with a job that would have ended too late.
    """

    ends: float
    predicted: dict[Path, float]
    late: set[str] = field(default_factory=set)

    def allows(self, job: Job, seconds: float) -> bool:
        """Return whether a job may begin; once one of a member may not, none of it may.

        Args:
            seconds: that the rest of the job's member is expected to take.
        """
        member = job.arguments.get("member")
        if member is None:
            return True
        if time.monotonic() + seconds > self.ends:
            self.late.add(member)
        return member not in self.late


def parse_budget(text: str) -> float:
    """Return the seconds that "90s", "30m", "6h" or "1h30m" stand for.

    Raises:
        UserError: for another form.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not parts or "".join(map("".join, parts)) != text.strip():
        raise UserError(f"BUDGET={text}: expected a time such as 30m, 6h or 1h30m.")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not seconds:
        raise UserError(f"BUDGET={text}: expected more than nothing.")
    return seconds


def plan_within(project: Project, ends: float | None) -> str:
    """Return the table of what is to do, with predicted times.

    Args:
        ends: the monotonic clock's time after which members do not fit any more; None: all do.
    """
    cost_of, chosen = _predictor(project), project
    if ends is not None:
        chosen = choose_members(project, SPARE * (ends - time.monotonic()), cost_of)
    return plan_table(project, chosen, cost_of)


def train_within(project: Project, ends: float, bring_up_to_date: BringUpToDate) -> Project:
    """Train and infer what fits into the time; return the project with the members that are done.

    Members whose jobs took longer than predicted are dropped on the way, and what is left of the
    time is filled again.
    """
    cost_of, late = _predictor(project), set[str]()
    while True:
        but = late | project.failed.keys()
        chosen = choose_members(project, SPARE * (ends - time.monotonic()), cost_of, but=but)
        log.info("plan:\n%s", plan_table(project, chosen, cost_of))
        plan = Plan(chosen)
        predicted = {job.folder: cost_of(job).seconds for job in jobs_of(chosen)}
        deadline = Deadline(ends - predicted.get(plan.ensemble().folder, 0.0), predicted)
        joined = [plan.join(name) for name in chosen.config.members]
        try:
            bring_up_to_date(chosen, joined, deadline=deadline)
        except JobsFailed as error:
            chosen = without_failed(chosen, error)
            project = replace(project, failed=chosen.failed)
        if not deadline.late:
            return chosen
        late |= deadline.late
        log.warning("out of time, left out: %s", ", ".join(sorted(deadline.late)))


def _predictor(project: Project) -> CostOf:
    """Return what predicts the cost of jobs, by a few batches of each kind."""
    log.info("predicting times by a few batches of each kind")
    predictor = resolve("pipeline.stages.plan:Predictor")(project)
    return lambda job: predictor.cost(job.function, job.arguments)


def choose_members(
    project: Project, seconds: float, cost_of: CostOf, *, but: Iterable[str] = ()
) -> Project:
    """Return the project with the members whose pending jobs, and the blends, fit into a time.

    Members that are done always do: a submission of them is better than none.

    Args:
        but: members that are out of the question.
    Raises:
        UserError: if none fits.
    """
    chosen, shortest, spent = [], float("inf"), 0.0
    left = [name for name in project.config.members if name not in but]
    while left:
        totals = {
            name: _total(project.with_members([*chosen, name]), cost_of)
            for name in left
            if _has_all_it_needs(project.config, name, chosen)
        }
        shortest = min([shortest, *totals.values()])
        rates = {
            name: _worth(project.config, name, chosen) / max(total - spent, 1e-6)
            for name, total in totals.items()
            if total <= seconds or _is_done(project.with_members([*chosen, name]))
        }
        if not rates:
            break
        best = max(rates, key=rates.__getitem__)  # the first of equals
        spent = totals[best]
        chosen.append(best)
        left.remove(best)
    if not chosen:
        raise UserError(
            f"BUDGET: no member fits into the {duration(max(seconds, 0))} left; the quickest needs "
            f"{duration(shortest)}. Give more time, or fewer rows: SET=data.subset=0.2."
        )
    return project.with_members(chosen)


def _total(project: Project, cost_of: CostOf) -> float:
    """Return the seconds of what is still to do for a submission."""
    return sum(cost_of(job).seconds for job in jobs_of(project))


def _is_done(project: Project) -> bool:
    """Return whether only the blends are still to do."""
    return all(job.function == BLENDS for job in jobs_of(project))


def _worth(config: Config, name: str, chosen: list[str]) -> float:
    """Return what a member is expected to be worth beside those chosen before it.

    That of its kind, halved for each one that differs from it only by settings.
    """
    members, kind = config.members, type(config.members[name])
    like = [other for other in chosen if _family(members[other]) == _family(members[name])]
    return WORTH.get(kind, 1.0) / 2 ** len(like)


def _family(member: AnyMember) -> tuple[Any, ...]:
    """Return what members that err alike share: the learner, or the network's backbone."""
    return type(member), getattr(member, "learner", None), getattr(member, "network", None)


def jobs_of(project: Project) -> list[Job]:
    """Return the jobs that are still to do for the submission."""
    return pending([Plan(project).ensemble()])


def plan_table(project: Project, chosen: Project, cost_of: CostOf) -> str:
    """Return the predicted time and memory of what is to do, and what is left out."""
    if not (jobs := jobs_of(chosen)):
        return "  nothing to do: everything is up to date"
    lines, total, most, disk = [], 0.0, 0.0, 0.0
    for title, alike in _by_title(jobs).items():
        costs = [cost_of(job) for job in alike]
        seconds, gib = sum(cost.seconds for cost in costs), max(cost.gib for cost in costs)
        written = sum(cost.disk_gib for cost in costs)
        if seconds:
            lines.append((title, duration(seconds), _sizes(gib, written)))
        total, most, disk = total + seconds, max(most, gib), disk + written
    lines.append(("total", duration(total), f"{_sizes(most, disk)} at most"))
    if most > (there := memory_bytes() / GIB):
        advice = f"{there:.1f} GiB are there: lower batch_size or image_size"
        lines.append(("memory", "too little", advice))
    for name in project.config.members:
        if name not in chosen.config.members:
            lines.append((name, "left out", "its time does not fit"))
    width = max(len(title) for title, *_ in lines)
    return "\n".join(
        f"  {title:{width}}  {time_:>8}  {rest}".rstrip() for title, time_, rest in lines
    )


def _sizes(gib: float, disk_gib: float) -> str:
    """Return memory and disk as cells; blank where there is nothing worth a word."""
    sizes = ((gib, "GiB memory", 0.05), (disk_gib, "GiB disk", 0.005))
    return "  ".join(f"{size:.2f} {what}" for size, what, least in sizes if size >= least)


def _by_title(jobs: list[Job]) -> dict[str, list[Job]]:
    """Return jobs by what a person calls them: a member's folds are one."""
    titles: dict[str, list[Job]] = {}
    for job in jobs:
        member = job.arguments.get("member")
        titles.setdefault(job.name if member is None else member, []).append(job)
    return titles


def _has_all_it_needs(config: Config, name: str, chosen: list[str]) -> bool:
    """Return whether the members that one depends on are chosen, and some member teaches."""
    needed = config.members[name].depends_on
    return all(other in chosen for other in needed if other in config.members) and (
        bool(chosen) or not needed
    )
