"""Checks of a whole config before the first job, so that a typo does not end a night's run."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipeline.backbones.weights import find_weights
from pipeline.config.dependencies import (
    backbone_of_scenes,
    backbone_of_views,
    backbones_of,
    blocks_of,
)
from pipeline.config.schema import Config, Network
from pipeline.core.task import Task
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.images.view_decision import asks_for_decision
from pipeline.project import Project
from pipeline.workflow.jobs import resolve

log = logging.getLogger(__name__)


def check_before_data(stage: str, config: Config, members: str, folds: str) -> None:
    """Refuse now what would otherwise be refused after all images have been read.

    Weights that are not on this machine are a warning for stages that need none.

    Args:
        members, folds: the parts that are asked for, "" for all.
    Raises:
        UserError: with all that is wrong: members, folds, weights or a device that do not exist,
            backbones and networks that cannot be built.
    """
    names = chosen(members, list(config.members), "MEMBER")
    folds_csv = Workspace(Path.cwd(), config.competition).folds_csv
    if config.folds.scheme != "column" and not folds_csv.exists():
        numbers = range(config.folds.n * config.folds.repeats)
        chosen(folds, [str(number) for number in numbers], "FOLD")
    elif wrong := [fold for fold in names_of(folds) if not fold.isdecimal()]:
        raise UserError(f"FOLD={folds}: no number: {wrong}; folds count from 0: FOLD=0,1.")
    used = {backbone for name in names for backbone in backbones_of(config.members[name])}
    needed_now = {backbone_of_scenes(config)} - {None}
    if stage not in ("folds", "audit"):
        needed_now |= used
        if asks_for_decision(config):
            needed_now |= {backbone_of_views(config)} - {None}
    _check_weights(config, needed_now, used - needed_now)
    if folds_csv.exists():
        return  # images were read before, and importing torch takes seconds
    if needed_now and config.runtime.device not in ("auto", "cpu"):
        resolve("pipeline.backbones.device:choose_device")(config.runtime.device)
    if problems := list(_parts_that_cannot_be_built(config, needed_now | used, names)):
        raise UserError("\n".join(problems))


def _check_weights(config: Config, needed_now: set[str], later: set[str]) -> None:
    """Refuse missing weights of backbones that are needed now; warn of those needed later."""
    weights = {name: backbone.weights for name, backbone in config.backbones.items()}
    find_weights({name: weights[name] for name in weights if name in needed_now})
    try:
        find_weights({name: weights[name] for name in weights if name in later})
    except UserError as error:
        log.warning("`make train` will need what is not on this machine: %s", error)


def _parts_that_cannot_be_built(
    config: Config, backbones: set[str], members: list[str]
) -> Iterator[str]:
    """Build frozen backbones and networks without weights; yield what is wrong with each."""
    views = ["original"] if config.tta.views == "auto" else config.tta.views
    networks = [name for name in members if name in networks_of(config)]
    frozen = {*blocks_of(config), backbone_of_scenes(config), backbone_of_views(config)}
    for name in (name for name in config.backbones if name in frozen & backbones):
        try_frozen = resolve("pipeline.backbones.frozen:try_frozen")
        build = partial(try_frozen, config.backbones[name], views, weights=False)
        yield from _problems(f"backbones.{name}", build)
    for name in networks:
        settings = config.members[name]
        if settings.epochs == "auto":
            settings = settings.model_copy(update={"epochs": 10})  # any number that trains
        backbone, task = config.backbones[settings.network], Task(config.task.kind)
        try_network = resolve("pipeline.networks.checks.try_network:try_network")
        build = partial(try_network, settings, backbone, task=task, views=views)
        yield from _problems(f"members.{name}", build)


def _problems(key: str, build: Callable[[], None]) -> Iterator[str]:
    """Yield why something cannot be built."""
    try:
        build()
    except UserError as error:
        yield f"{key}: {error}"


def chosen(wanted: str, known: list[str], key: str) -> list[str]:
    """Return the names that a user asks for, all where nothing is asked; refuse unknown ones."""
    names = names_of(wanted) or known
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"{key}={wanted}: no {unknown}; there are {known}.")
    return names


def names_of(wanted: str) -> list[str]:
    """Return names that commas separate."""
    return [name.strip() for name in wanted.split(",") if name.strip()]


def networks_of(config: Config) -> set[str]:
    """Return the members that are fine-tuned networks."""
    return {name for name, member in config.members.items() if isinstance(member, Network)}


def try_out(project: Project, *, backbones: list[str], networks: list[str]) -> None:
    """Build backbones and networks once, so that their errors come before the first job.

    Args:
        backbones: of blocks. networks: members.
    Raises:
        UserError: no such device or architecture, weights that cannot be loaded, views of a size
            that an architecture refuses, parts of a network that do not fit each other or the task.
    """
    if not backbones and not networks:
        return
    config = project.config
    resolve("pipeline.backbones.device:choose_device")(config.runtime.device)
    for name in dict.fromkeys(backbones):
        try_frozen = resolve("pipeline.backbones.frozen:try_frozen")
        try_frozen(config.backbones[name], config.tta.views)
    for name in dict.fromkeys(config.members[name].network for name in networks):
        if name not in backbones:
            resolve("pipeline.backbones.create:create_backbone")(config.backbones[name])
    for name in networks:
        member = project.member(name)
        try_network = resolve("pipeline.networks.checks.try_network:try_network")
        backbone = config.backbones[member.network]
        try_network(member, backbone, task=Task(config.task.kind), views=config.tta.views)
