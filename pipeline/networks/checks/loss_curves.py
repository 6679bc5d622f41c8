"""Diagnosis of loss curves: is one batch overfitted, and which learning rate is best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEAR_ZERO = 0.05  # share of the start below which a batch counts as overfitted
STAYS = 3  # losses in a row near zero; a rate too high leaves it again
HARDLY = 0.7  # share of the start above which a loss has hardly fallen
EXPLODED = 10.0  # times the start
JUMP = 3.0  # times the highest before: a rate too high does that in one step, no wrong sign
STEADY = 0.8  # share of steps that go up
SWINGS = 0.05  # distance up and down again per step, as a share of the start
SWINGS_OF_FALL = 1 / 3  # the same, as a share of all that the loss fell by

ADVICE = {
    "learnt": "One batch is overfitted, as it should be: images, labels, loss and gradients match.",
    "falling": "The loss falls, but was not near zero when the steps ran out. Try a higher `lr` or "
    "`backbone_lr`; otherwise training may just need more epochs.",
    "growing": "The loss rises steadily, or is below zero: look for a wrong sign in what is "
    "minimised. If you changed nothing in the code: set `loss: auto` and compare.",
    "exploding": "The loss is not finite or many times its start: the learning rate is too high. "
    "Divide `lr` by 10, or lower `backbone_lr`; set `clip_norm: 1`, and runtime.precision=32.",
    "oscillating": "The loss goes up and down more than it falls: lower `lr` by 3 to 10 times; "
    "then look at the labels on the picture of batches; then try `optimizer: adamw`.",
    "plateau": "The loss hardly falls: raise `lr` by 10 times (and `backbone_lr`); see that "
    "`freeze` leaves something to learn, that `clip_norm` is not tiny, and that the picture of "
    "batches matches the labels.",
}


@dataclass(frozen=True)
class Diagnosis:
    """A verdict on a curve of losses, with advice.

    Attributes:
        verdict: learnt, falling, growing, exploding, oscillating or plateau.
        advice: what to do, with the config's keys.
    """

    verdict: str
    advice: str


def diagnose(losses: Sequence[float]) -> Diagnosis:
    """Judge the losses of the same batch, trained on again and again without randomness.

    A curve that begins below zero is judged by its size: none of the losses can be negative, so
    its sign is wrong.

    Args:
        losses: at least one, each taken before its step; a long curve of a healthy network is near
            zero at its end.
    """
    values = np.asarray(losses, dtype=float)
    verdict = _verdict(-values if values[0] < 0 else values)
    if values[0] < 0 and verdict in ("learnt", "falling", "plateau"):
        verdict = "growing"
    return Diagnosis(verdict, ADVICE[verdict])


def is_learnt(losses: Sequence[float]) -> bool:
    """Return whether the last losses are near zero, so that more steps are not needed."""
    return len(losses) > STAYS and bool(max(losses[-STAYS:]) <= NEAR_ZERO * losses[0])


def suggest_lr(lrs: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the rate at which the loss falls most steeply over the logarithm of the rate.

    Args:
        lrs: ascending, positive. losses: as many, smoothed; those after the lowest are ignored.
    Returns:
        None if no rate makes the loss fall by a twentieth of where it began.
    Source: Smith 2017 (LR range test); the steepest point as in fastai's `lr_find`.
    """
    values = np.asarray(losses, dtype=float)
    if len(values) < 3 or not np.isfinite(values).all():
        return None
    lowest = int(values.argmin())
    if values[0] - values[lowest] <= NEAR_ZERO * abs(values[0]):
        return None
    slopes = np.gradient(values, np.log(np.asarray(lrs, dtype=float)))
    return float(lrs[int(slopes[: lowest + 1].argmin())])


def smoothed(losses: Sequence[float], *, reach: int = 2) -> list[float]:
    """Average each value with up to `reach` neighbours, as many on either side.

    Centred, because a moving average of the past would show every fall some steps too late.
    """
    values, last = np.asarray(losses, dtype=float), len(losses) - 1
    near = [min(reach, place, last - place) for place in range(len(values))]
    return [float(values[i - width : i + width + 1].mean()) for i, width in enumerate(near)]


def _verdict(values: np.ndarray) -> str:
    """Judge losses that begin at zero or above."""
    if not np.isfinite(values).all():
        return "exploding"
    start, end = values[0], values[-max(1, len(values) // 4) :].mean()
    steps = np.diff(values)
    jumps = values[1:] > JUMP * np.maximum.accumulate(values)[:-1]
    rises = len(steps) > 0 and (steps > 0).mean() >= STEADY and end > start / HARDLY**0.5
    if rises and not jumps.any():
        return "growing"
    if values.max() > EXPLODED * start:
        return "exploding"
    if is_learnt(values):
        return "learnt"
    # Before the fall: where a chaotic curve ends is decided by how the processor rounds.
    there_and_back = (np.abs(steps).sum() - abs(steps.sum())) / max(1, len(steps))
    if there_and_back > max(SWINGS * start, SWINGS_OF_FALL * (start - end)):
        return "oscillating"
    if end <= HARDLY * start:
        return "falling"
    return "growing" if end > start / HARDLY else "plateau"
