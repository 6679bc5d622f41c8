"""Rounds of pseudo-labels in the ensemble stage: which members they are, what each brought."""

import logging
from typing import Any

import numpy as np

from pipeline.config.relations import series_of_rounds
from pipeline.config.schema import Config
from pipeline.ensembles.rounds import Series, gains_by_round
from pipeline.project import Project

log = logging.getLogger(__name__)


def positions_by_round(config: Config) -> Series:
    """Members' positions by round, of each student that has several.

    A student with one round is not among them: whoever asks for one round wants it in the blend.
    """
    position = {name: m for m, name in enumerate(config.members)}
    return [
        [position[name] for name in rounds]
        for rounds in series_of_rounds(config)
        if config.members[rounds[-1]].pseudo.after is not None
    ]


def gains_of_students(
    project: Project, oof: dict[str, np.ndarray], stays: np.ndarray, **bootstrap: Any
) -> list[list[dict[str, Any]]]:
    """List, for each student, what its rounds scored and gained, and how many blends take each.

    Args:
        oof: of each member (N, C).
        stays: (K, M) whether a fold's blend takes a member.
        bootstrap: what `gains_by_round` takes.
    """
    config, students = project.config, []
    blends = dict(zip(config.members, stays.sum(axis=0).tolist(), strict=True))
    for rounds in series_of_rounds(config):
        gains = gains_by_round(
            [oof[name] for name in rounds], project.competition.targets, **bootstrap
        )
        first = 0 if config.members[rounds[0]].pseudo is None else 1
        for number, (name, gain) in enumerate(zip(rounds, gains, strict=True), start=first):
            gain |= {"round": number, "member": name, "blends": blends[name]}
            _log(gain, project.metric.name)
        students.append(gains)
    return students


def _log(gain: dict[str, Any], metric: str) -> None:
    words = f"{gain['member']} round {gain['round']} {metric} {gain['score']:.4f}"
    if "gain" in gain:
        words += f" gain {gain['gain']:+.4f} with probability {gain['probability']:.2f}"
    log.info("ensemble %s blends %d", words, gain["blends"])
