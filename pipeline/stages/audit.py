"""Audit stage: reads folds' audit.json, images and finished blocks; writes submissions/<c>/audit/.

The folds stage runs the radar on what costs seconds. Here comes what needs frozen features, or a
fit: test against train, and the canary. Features are used where they are there; none are made.
"""

import json
import logging
from dataclasses import replace

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipeline.config.learners import LEARNERS
from pipeline.config.schema import Learner
from pipeline.core.artifacts import write_json
from pipeline.core.finding import Alarm, notes_of, read_alarms, worst_first
from pipeline.core.runtime import stream
from pipeline.leaks.train_test_shift import look_at_split
from pipeline.members.trial import out_of_fold
from pipeline.project import Project

log = logging.getLogger(__name__)

CANARY = "canary"
THUMBNAILS = "thumbnails"  # stand for a block where there is none
STAND_IN = Learner(learner="ridge", blocks={THUMBNAILS: 1.0})
NUM_SHUFFLES = 200  # of the canary's answers, which say what chance scores
MAX_DEVIATIONS = 4.0  # of chance: beyond it less than one canary in 10 000 sings by luck
STYLES = {"suspicious": "bold red", "note": "yellow", "quiet": "dim"}


def audit_competition(project: Project) -> list[Alarm]:
    """Complete the radar of `make folds`, print all of it, write radar.json."""
    found = json.loads(project.workspace.audit_json.read_text(encoding="utf-8"))["radar"]
    found += [alarm.as_json() for alarm in (*look_at_blocks(project), sing(project))]
    path = project.workspace.radar_json
    write_json(path, found)
    alarms = read_alarms(project.workspace)  # of scenes, what features say where they are there
    print_alarms(alarms, title=f"{project.config.competition}: what the leak radar saw")
    log.info("audit %s: %d alarms -> %s", project.config.competition, len(notes_of(alarms)), path)
    return alarms


def look_at_blocks(project: Project) -> list[Alarm]:
    """Tell test from train on the first backbone's features that are there; others see the same."""
    for name in project.config.backbones:
        if project.block_is_there(name):
            alarm = look_at_split(
                project.block(name).mean(axis=1, dtype=np.float32),
                project.folds.folds,
                project.index.paths,
                what=name,
                seed=project.config.seed,
            )
            return [alarm]
    log.info("audit: no frozen features are there; `make features` first lets it see more")
    return []


def sing(project: Project) -> Alarm:
    """The canary: the cheapest learner on targets dealt out anew must score as chance does.

    If it does better, something shows it the targets of rows that it is scored on.
    """
    settings, blocks = _cheapest(project)
    targets = project.competition.targets
    rng = stream(project.config.seed, "canary")
    dealt_project = replace(
        project,
        competition=replace(project.competition, targets=targets[rng.permutation(len(targets))]),
    )
    oof = out_of_fold(dealt_project, CANARY, settings, blocks)
    score = dealt_project.score(oof)
    by_chance = [dealt_project.score(oof[rng.permutation(len(oof))]) for _ in range(NUM_SHUFFLES)]
    chance, spread = float(np.nanmean(by_chance)), float(np.nanstd(by_chance))
    gain = (score - chance) * (1 if project.metric.greater_is_better else -1)
    sings = gain > MAX_DEVIATIONS * spread
    name = project.config.task.metric
    seen = (
        f"{settings.learner} on {', '.join(blocks)}, targets dealt out anew: out-of-fold {name} "
        f"{score:.4f}, chance {chance:.4f} +- {spread:.4f}"
    )
    advice = (
        "Something shows a model the targets of rows that it is scored on: a fault of this program "
        "or of a module that you added. Trust no estimate until it is found."
    )
    grade = "suspicious" if sings else "quiet"
    return Alarm("canary", grade, seen, advice, score=score, chance=chance)


def print_alarms(alarms: list[Alarm], *, title: str) -> None:
    """Print a table, worst first, and what each alarm could mean."""
    table = Table("", "looked at", "seen", title=title, box=SIMPLE_HEAD)
    ordered = worst_first(alarms)
    for alarm in ordered:
        table.add_row(alarm.grade, alarm.name, alarm.seen, style=STYLES[alarm.grade])
    console = Console(highlight=False, markup=False)
    console.print(table)
    for alarm in ordered:
        if alarm.grade != "quiet":
            console.print(f"{alarm.grade}: {alarm.name}", style=STYLES[alarm.grade])
            console.print(f"  {alarm.advice}")
            if alarm.examples:
                console.print(f"  e.g. {'; '.join(alarm.examples)}", style="dim")


def _cheapest(project: Project) -> tuple[Learner, dict[str, np.ndarray]]:
    """A learner that nobody teaches, on one block that is there; else ridge on thumbnails.

    It gets its weakest penalty: who learns by heart sings loudest.
    """
    members = project.config.members
    ready = [
        name
        for name, member in members.items()
        if isinstance(member, Learner)
        and not member.teachers
        and member.backbones
        and all(map(project.block_is_there, member.backbones))
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
