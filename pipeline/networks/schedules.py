"""Schedules: the learning rate of each step, as a function of the step's number alone."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from pipeline.config.schema import Network
from pipeline.errors import UserError

RISE, START = 0.3, 1 / 25  # one_cycle: share of the run that rises, and from where; torch's too


def peak_learning_rate(settings: Network) -> float:
    """Return the head's highest rate; with `scale_lr` in proportion to the batch.

    Source: Goyal 2017, the linear scaling rule; their reference is 256 images per step, too.
    """
    return settings.lr * (settings.batch_size / 256 if settings.scale_lr else 1)


def check_schedule(settings: Network) -> None:
    """Refuse milestones that the schedule cannot use; call it before training.

    Raises:
        UserError: saying which.
    """
    milestones, schedule = settings.milestones, settings.schedule
    wanted = None
    if schedule not in ("step", "multistep"):
        if milestones:
            wanted = "none: only `step` and `multistep` use them. Say `schedule: multistep`, or []"
    elif schedule == "step" and len(milestones) != 1:
        wanted = "one number, the distance of the falls in epochs: [2]"
    elif not milestones:
        wanted = "the epochs at which lr falls: [4, 6]"
    else:
        points = [0.0, *milestones, float(settings.epochs)]
        # A NaN is refused: all its comparisons are false.
        if not all(before < after for before, after in pairwise(points)):
            wanted = f"ascending epochs, above 0 and below epochs ({settings.epochs})"
    if wanted:
        raise UserError(f"schedule: {schedule} with milestones {milestones}: expected {wanted}.")


def set_learning_rate(
    optimizer: torch.optim.Optimizer, step: int, *, settings: Network, steps_per_epoch: int
) -> float:
    """Set each group's rate for a step, counted over all epochs, and return the head's.

    No state is kept, so a resumed run needs none. Warm-up takes half of the run at most.
    """
    total = settings.epochs * steps_per_epoch
    factor = learning_rate_factor(
        step,
        schedule=settings.schedule,
        total=total,
        warmup=min(round(settings.warmup_epochs * steps_per_epoch), total // 2),
        floor=min(1.0, settings.min_lr / peak_learning_rate(settings)),
        drops=_drops(settings, steps_per_epoch),
        lr_drop=settings.lr_drop,
        restarts=settings.restarts,
    )
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return optimizer.param_groups[0]["lr"]


def learning_rate_factor(
    step: int,
    *,
    schedule: str,
    total: int,
    warmup: int,
    floor: float,
    drops: Sequence[int] = (),
    lr_drop: float = 0.1,
    restarts: int = 1,
) -> float:
    """Return the factor of the peak rates at a step: a linear warm-up to 1, then the schedule.

    Step 0 has 1 / (warmup + 1), step `warmup` has 1; from there on `floor` is the lowest, and a
    cosine reaches it at its last step. `one_cycle` rises by a cosine of its own instead of the
    warm-up; Smith cycles momentum against the rate, we leave it as it is.

    Args:
        total: steps of the run; drops: steps at which `step` and `multistep` fall, by `lr_drop`.
    Source: Loshchilov 2017 (SGDR); Smith 2018 (one cycle), with torch's numbers.
    """
    if schedule == "one_cycle":
        return max(floor, _one_cycle(step, total=total, floor=floor))
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    if schedule in ("step", "multistep"):
        return max(floor, lr_drop ** sum(step >= drop for drop in drops))
    if schedule == "restarts":
        # Cycle k begins at k * length // restarts, so that cycles differ by one step at most.
        length = total - warmup
        cycle = ((step - warmup + 1) * restarts - 1) // length
        warmup, total = (warmup + number * length // restarts for number in (cycle, cycle + 1))
    progress = (step - warmup) / max(1, total - 1 - warmup)
    return _cosine(1.0, floor, progress)


def _one_cycle(step: int, *, total: int, floor: float) -> float:
    peak = max(0.0, RISE * total - 1)
    if step < peak:
        return _cosine(START, 1.0, step / peak)
    return _cosine(1.0, floor, (step - peak) / max(1.0, total - 1 - peak))


def _cosine(start: float, end: float, progress: float) -> float:
    """Return half a cosine from `start` at progress 0 to `end` at 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def _drops(settings: Network, steps_per_epoch: int) -> list[int]:
    """Return the steps at which `step` and `multistep` fall."""
    epochs = settings.milestones
    if settings.schedule == "step":
        distance = settings.milestones[0]
        epochs = [distance * number for number in range(1, math.ceil(settings.epochs / distance))]
    return [round(epoch * steps_per_epoch) for epoch in epochs]
