"""How long jobs take that are still to do, told from those of the same kind."""

from collections import Counter
from statistics import mean

from pipeline.core.runtime import duration
from pipeline.workflow.jobs import Job


def kind_of(job: Job) -> tuple[str | None, ...]:
    """Return what jobs share that take about as long: a member's models, a backbone's block.

    The member counts only for models of folds: joining the predictions of folds takes no time.
    """
    member = job.arguments.get("member") if "fold" in job.arguments else None
    return job.function, member, job.arguments.get("backbone")


def time_left(jobs: list[Job], seconds: dict[tuple, list[float]], *, at_once: int = 1) -> str:
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
    total = sum(mean(seconds[kind]) * kinds[kind] for kind in kinds if kind in seconds) / at_once
    beside = f", {len(untimed)} not timed yet" if untimed else ""
    return f"{duration(total)} left{beside}"
