"""Rounds of pseudo-labels: what each brings over the one before, and where the gain ends.

How many rounds to use is chosen by targets, so it is fitted like a blend's weights: each fold's
blend counts the rounds on the rows that it is fitted on, and a row's target has no say in which
rounds predict it. Training all rounds that were asked for is what makes this possible: one that
stopped by its out-of-fold score would let fold k's targets decide what fold k's models are.

What remains: the table of gains is of all rows, so the best of several rounds is best by luck in
part, and setting `rounds` by it is a choice made with the rows that are scored. And a member's
predictions of other folds' rows come from models that learnt from this fold's (see `cross_fit`).
"""

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.config.dependencies import series_of_rounds
from pipeline.core.results import RoundGain
from pipeline.core.task import Task
from pipeline.ensembles.fitting import Series
from pipeline.estimates.interval import probability_better
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import Metric
from pipeline.project import Project

log = logging.getLogger(__name__)


def while_gaining(
    members: np.ndarray, targets: np.ndarray, series: Series, metric: Metric, task: Task
) -> np.ndarray:
    """Leave out rounds from the first that scores no better than the one before on.

    Args:
        members: (M, N, C) with targets (N, C).
        series: the first of each stays.
    Returns:
        (M,) whether a member stays.
    """
    stays = np.ones(len(members), dtype=bool)
    for rounds in series:
        scores = [metric.score(targets, members[m], task) for m in rounds]
        gains = [metric.is_better(after, before) for before, after in pairwise(scores)]
        stays[list(rounds)[1:]] &= np.logical_and.accumulate(gains)
    return stays


def without(series: Series, m: int) -> Series:
    """Return the same series where member m is not there, and those after it have moved up."""
    return [[other - (other > m) for other in rounds if other != m] for rounds in series]


def gains_by_round(
    rounds: Sequence[np.ndarray],
    targets: np.ndarray,
    metric: Metric,
    task: Task,
    resampling: Resampling,
) -> list[dict[str, Any]]:
    """Score each round's predictions (N, C), and compare them with the round before.

    Both are scored on the same resampled rows.

    Returns:
        Of each round: score, gain over the one before (above 0 is better, whatever the metric),
        the probability that it is one, and its interval (low, high); the first has a score only.
    """
    scores = [metric.score(targets, values, task) for values in rounds]
    found: list[dict[str, Any]] = [{"score": scores[0]}]
    sign = 1 if metric.greater_is_better else -1
    for (before, after), score, former in zip(pairwise(rounds), scores[1:], scores, strict=False):
        probability, low, high = probability_better(
            targets, after, before, metric, task, resampling
        )
        gain = sign * (score - former)
        found.append(
            {"score": score, "gain": gain, "probability": probability, "low": low, "high": high}
        )
    return found


def gains_of_students(
    project: Project, oof: dict[str, np.ndarray], stays: np.ndarray
) -> list[list[RoundGain]]:
    """List, for each student, what its rounds scored and gained, and how many blends take each.

    Args:
        oof: of each member (N, C).
        stays: (K, M) whether a fold's blend takes a member.
    """
    config, students = project.config, []
    targets, about = (
        project.competition.targets,
        (project.metric, project.task, Resampling.of(project)),
    )
    blends = dict(zip(config.members, stays.sum(axis=0).tolist(), strict=True))
    for rounds in series_of_rounds(config):
        gains = gains_by_round([oof[name] for name in rounds], targets, *about)
        first = 0 if config.members[rounds[0]].pseudo is None else 1
        found = [
            RoundGain(round=number, member=name, blends=blends[name], **gain)
            for number, (name, gain) in enumerate(zip(rounds, gains, strict=True), start=first)
        ]
        for gain in found:
            _log(gain, project.metric.name)
        students.append(found)
    return students


def _log(gain: RoundGain, metric: str) -> None:
    words = f"{gain.member} round {gain.round} {metric} {gain.score:.4f}"
    if gain.gain is not None:
        words += f" gain {gain.gain:+.4f} with probability {gain.probability:.2f}"
    log.info("%s, in %d blends", words, gain.blends)
