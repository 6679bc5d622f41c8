"""Which jobs a target asks for; they and all they need that is not done are done, in order."""

import logging
from pathlib import Path

from pipeline.backbones.weights import find_weights
from pipeline.config.load import load_config
from pipeline.config.references import backbone_of_scenes, backbones_of, blocks_of
from pipeline.config.schema import Config, Network
from pipeline.core.locks import Run
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.project import Project, open_project
from pipeline.report.summary import print_summary
from pipeline.stages.demo import DEMO_CONFIG, write_digits
from pipeline.workflow.jobs import Job, all_needed, execute, pending, resolve
from pipeline.workflow.plan import Plan, folds_job

log = logging.getLogger(__name__)


def run(
    stage: str, config_name: str, overrides: list[str], *, members: str = "", folds: str = ""
) -> None:
    """Bring a stage, and all that it stands on, up to date.

    Args:
        members, folds: "linear,net" and "0,1" limit train and infer to a part.
    """
    root = Path.cwd()
    config = _load(config_name, overrides)
    _check_what_needs_no_data(stage, config, root, members, folds)
    project = _open(config, root)
    with Run(project.workspace.runs) as run:
        done = _bring_up_to_date(config, [folds_job(project)], run)
        if stage in ("ensemble", "report"):
            done += _bring_up_to_date(config, [Plan(project).ensemble()], run)
            done += _check_scenes(config, Plan(project), run)
        if stage != "folds":
            targets = _targets(stage, Plan(project), members, folds)
            done += _bring_up_to_date(config, targets, run)
        if not done:
            log.info("%s %s: up to date, nothing to do", stage, config.competition)
        if stage in ("ensemble", "report"):
            print_summary(project.workspace.submissions, root)


def demo(overrides: list[str]) -> None:
    """`make demo`: a competition out of scikit-learn's digits, then everything."""
    write_digits(Path.cwd() / "input" / "digits")
    run("report", DEMO_CONFIG, overrides)


def check(config_name: str, overrides: list[str], *, members: str = "") -> bool:
    """Bring folds and image caches up to date and check networks on them; whether none failed.

    Raises:
        UserError: for wrong input, and where there is no network to check.
    """
    config = _load(config_name, overrides)
    networks = _networks(config)
    if not networks:
        raise UserError(f"{config_name}: no network among its members; there is nothing to check.")
    names = _chosen(members, [name for name in config.members if name in networks], "MEMBER")
    _check_what_needs_no_data("check", config, Path.cwd(), ",".join(names), "")
    project = _open(config, Path.cwd())
    with Run(project.workspace.runs) as run:
        _bring_up_to_date(config, [folds_job(project)], run)
        _try_out(config, backbones=[], networks=names)
        plan = Plan(project)
        _bring_up_to_date(config, [job for name in names for job in plan.inputs(name)], run)
        return resolve("pipeline.stages.check:check_members")(project, names)


def audit(config_name: str, overrides: list[str]) -> None:
    """Bring folds up to date and add the findings that need features or a fit."""
    config = _load(config_name, overrides)
    project = _open(config, Path.cwd())
    with Run(project.workspace.runs) as run:
        _bring_up_to_date(config, [folds_job(project)], run)
        _check_scenes(config, Plan(project), run)
        resolve("pipeline.stages.audit:audit_competition")(project)


def _open(config: Config, root: Path) -> Project:
    """Open the project that all jobs will, and say what is unusual about its files."""
    project = open_project(config, root)
    for note in (*project.competition.notes, *project.form.warnings):
        log.warning("%s: %s", config.competition, note)
    return project


def _load(config_name: str, overrides: list[str]) -> Config:
    """Load a config; of the demo's, which stands for none, say so where there are no digits."""
    config = load_config(config_name, overrides)
    folder = Workspace(Path.cwd(), config.competition).input
    if config_name == DEMO_CONFIG and not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder. Without CONFIG= the demo's config, {DEMO_CONFIG}, is "
            "taken: say CONFIG=path/to/yours.yaml, or run `make demo` first."
        )
    return config


def _check_what_needs_no_data(
    stage: str, config: Config, root: Path, members: str, folds: str
) -> None:
    """Refuse what would be refused after all images have been read.

    Raises:
        UserError: for members, folds, weights or a device that are not there.
    """
    names = _chosen(members, list(config.members), "MEMBER")
    folds_csv = Workspace(root, config.competition).folds_csv
    if config.folds.scheme != "column" and not folds_csv.exists():
        numbers = range(config.folds.n * config.folds.repeats)
        _chosen(folds, [str(number) for number in numbers], "FOLD")
    elif wrong := [fold for fold in _names(folds) if not fold.isdecimal()]:
        raise UserError(f"FOLD={folds}: no number: {wrong}; folds count from 0: FOLD=0,1.")
    used = {backbone_of_scenes(config)} - {None}
    if stage == "folds" and not used:
        return
    if stage != "folds":
        used |= {backbone for name in names for backbone in backbones_of(config.members[name])}
    find_weights({n: backbone.weights for n, backbone in config.backbones.items() if n in used})
    # Only where nothing has been done yet: it takes seconds to import torch.
    if config.runtime.device not in ("auto", "cpu") and not folds_csv.exists():
        resolve("pipeline.backbones.device:choose_device")(config.runtime.device)


def _targets(stage: str, plan: Plan, members: str, folds: str) -> list[Job]:
    config = plan.project.config
    names = _chosen(members, list(config.members), "MEMBER")
    numbers = _chosen(folds, [str(fold) for fold in plan.project.folds.models], "FOLD")
    if stage == "features":
        return [plan.block(name) for name in blocks_of(config)]
    models = [
        (name, fold)
        for name in names
        for fold in plan.models_of(name)
        if not folds or str(fold) in numbers
    ]
    if stage == "train":
        return [plan.train(name, fold) for name, fold in models]
    if stage == "infer" and folds:
        return [plan.predict(name, fold) for name, fold in models]
    if stage == "infer":
        return [plan.join(name) for name in names]
    if stage == "ensemble":
        return [plan.ensemble()]
    return [plan.report()]


def _check_scenes(config: Config, plan: Plan, run: Run) -> int:
    """Look for scenes that folds tear, on features that are there; none are made for it."""
    check = plan.scene_check()
    if check is None or not all(block.is_done() for block in check.needs):
        return 0
    return _bring_up_to_date(config, [check], run)


def _chosen(wanted: str, known: list[str], key: str) -> list[str]:
    names = _names(wanted) or known
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"{key}={wanted}: no {unknown}; there are {known}.")
    return names


def _names(wanted: str) -> list[str]:
    return [name.strip() for name in wanted.split(",") if name.strip()]


def _bring_up_to_date(config: Config, targets: list[Job], run: Run) -> int:
    run.count_on(all_needed(targets))
    jobs = pending(targets)
    used = {job.arguments.get("member") for job in jobs if "fold" in job.arguments}
    networks = [n for n, member in config.members.items() if n in used & _networks(config)]
    backbones = [job.arguments["backbone"] for job in jobs if "backbone" in job.arguments]
    _try_out(config, backbones=backbones, networks=networks)
    execute(jobs, run)
    return len(jobs)


def _networks(config: Config) -> set[str]:
    return {name for name, member in config.members.items() if isinstance(member, Network)}


def _try_out(config: Config, *, backbones: list[str], networks: list[str]) -> None:
    """Let what jobs to come would fail at fail now; import only what they will.

    Args:
        backbones: of blocks. networks: members.
    Raises:
        UserError: no such device or architecture, weights out of reach or not fitting, a size of
            views that an architecture does not take, parts of a network that do not fit each other
            or the task.
    """
    if not backbones and not networks:
        return
    resolve("pipeline.backbones.device:choose_device")(config.runtime.device)
    for name in dict.fromkeys(backbones):
        try_frozen = resolve("pipeline.backbones.frozen:try_frozen")
        try_frozen(config.backbones[name], config.tta.views)
    for name in dict.fromkeys(config.members[name].network for name in networks):
        if name not in backbones:
            resolve("pipeline.backbones.create:create_backbone")(config.backbones[name])
    for name in networks:
        member = config.members[name]
        try_network = resolve("pipeline.networks.checks.try_network:try_network")
        backbone = config.backbones[member.network]
        try_network(member, backbone, kind=config.task.kind, views=config.tta.views)
