"""Permutation test: the cheapest learner on shuffled targets must score at chance level."""

from dataclasses import replace

import numpy as np

from pipeline.config.learners import LEARNERS
from pipeline.config.schema import Learner
from pipeline.core.finding import PERMUTATION_TEST, Finding
from pipeline.core.runtime import stream
from pipeline.members.trial import out_of_fold
from pipeline.project import Project

STREAM = "canary"  # also names the learner's draws; another name would change them
THUMBNAILS = "thumbnails"  # used where no block is there
STAND_IN = Learner(learner="ridge", blocks={THUMBNAILS: 1.0})
NUM_SHUFFLES = 200  # of the predictions, whose scores are the chance level
MAX_DEVIATIONS = 4.0  # of chance: luck exceeds it in less than one of 10 000 tests


def permutation_test(project: Project, current_blocks: list[str]) -> Finding:
    """Score the cheapest learner out of fold on shuffled targets.

    If it beats chance, it sees the targets of rows that it is scored on.
    """
    settings, blocks = _cheapest_learner(project, current_blocks)
    targets = project.competition.targets
    rng = stream(project.config.seed, STREAM)
    shuffled = replace(
        project,
        # Without extra rows, which would teach the true targets.
        competition=replace(
            project.competition, targets=targets[rng.permutation(len(targets))], extra=()
        ),
    )
    oof = out_of_fold(shuffled, STREAM, settings, blocks)
    score = shuffled.score(oof)
    by_chance = [shuffled.score(oof[rng.permutation(len(oof))]) for _ in range(NUM_SHUFFLES)]
    chance, spread = float(np.nanmean(by_chance)), float(np.nanstd(by_chance))
    gain = (score - chance) * (1 if project.metric.greater_is_better else -1)
    beats_chance = gain > MAX_DEVIATIONS * spread
    seen = (
        f"{settings.learner} on {', '.join(blocks)}, targets shuffled: out-of-fold "
        f"{project.config.task.metric} {score:.4f}, chance {chance:.4f} +- {spread:.4f}"
    )
    advice = (
        "A model sees the targets of rows that it is scored on: a fault of this program or of a "
        "module that you added. Trust no estimate until it is found."
    )
    grade = "suspicious" if beats_chance else "quiet"
    return Finding(PERMUTATION_TEST, grade, seen, advice, score=score, chance=chance)


def _cheapest_learner(
    project: Project, current_blocks: list[str]
) -> tuple[Learner, dict[str, np.ndarray]]:
    """Return a learner without a teacher, on one block that is there; else ridge on thumbnails.

    It gets its weakest penalty: an overfitted learner shows a leak best.
    """
    members = project.config.members
    ready = [
        name
        for name, member in members.items()
        if isinstance(member, Learner)
        and not member.teachers
        and member.backbones
        and set(member.backbones) <= set(current_blocks)
    ]
    if ready:
        name = min(ready, key=lambda name: list(LEARNERS).index(members[name].learner))
        settings, blocks = members[name], project.blocks(name)
        block = max(settings.backbones, key=settings.blocks.get)
    else:
        settings, block = STAND_IN, THUMBNAILS
        pixels = project.index.thumbnails.reshape(len(project.index.paths), 1, -1)
        blocks = {THUMBNAILS: pixels / np.float32(255)}
    weakest = min(LEARNERS[settings.learner].strengths)
    settings = settings.model_copy(
        update={"strength": weakest, "blocks": {block: 1.0}, "search": None, "stacks": []}
    )
    return settings, {block: blocks[block]}
