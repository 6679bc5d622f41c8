"""Commands: each brings the jobs of its stage, and all that they need, up to date."""

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.config.dependencies import blocks_of
from pipeline.config.difference import difference, without_decided
from pipeline.config.load import load_config
from pipeline.config.schema import Config
from pipeline.core.archives import with_unpacked
from pipeline.core.find_submission import config_of, find_submission, last_of, stem
from pipeline.core.ledger import read_ledger, update_ledger
from pipeline.core.locks import Run
from pipeline.core.read_competition import read_competition
from pipeline.core.workspace import Workspace
from pipeline.errors import JobsFailed, UserError
from pipeline.images.view_decision import ViewDecision, asks_for_decision, with_decision
from pipeline.project import Project, open_project
from pipeline.report.summary import print_summary
from pipeline.stages.demo import DEMO_CONFIG, write_digits
from pipeline.submission.mixing import read_submission
from pipeline.workflow.budget import Deadline, parse_budget, plan_within, train_within
from pipeline.workflow.config_checks import (
    check_before_data,
    chosen,
    networks_of,
    try_out,
)
from pipeline.workflow.executors import choose_executor
from pipeline.workflow.failures import without_failed
from pipeline.workflow.jobs import Job, all_needed, pending, resolve
from pipeline.workflow.plan import Plan

log = logging.getLogger(__name__)

COMPARED = ("features", "train", "infer", "ensemble", "report")  # with the last submission
MOST_SHOWN = 4  # keys that differ, in one line


def run(
    stage: str,
    config_name: str,
    overrides: list[str],
    *,
    members: str = "",
    folds: str = "",
    budget: str = "",
    repeats: str = "",
    note: str = "",
) -> None:
    """Bring a stage, and all that it needs, up to date.

    Args:
        members, folds: "linear,net" and "0,1" limit train and infer to a part.
        budget: "30m" leaves out members that do not fit into the time.
        repeats: a submission whose settings are taken in place of the YAML's, see
            `find_submission`.
        note: on the submission, for the ledger.
    """
    ends = time.monotonic() + parse_budget(budget) if budget else None
    config = _load(config_name, overrides)
    if repeats:
        config = _settings_of(config, repeats, overrides)
    elif stage in COMPARED:
        _log_differences(config)
    check_before_data(stage, config, members, folds)
    project = _open(config)
    with Run(project.workspace.runs) as run:
        done = _bring_up_to_date(project, [Plan(project).folds()], run)
        if stage != "folds":
            project, tried = _decide_views(config, project, run, only_read=stage == "audit")
            done += tried
        plan, config = Plan(project), project.config
        if stage == "audit":
            _check_scenes(plan, run)
            resolve("pipeline.stages.audit:audit_competition")(
                project, plan.block_fingerprints(config.backbones)
            )
            return
        if stage == "plan":
            print(plan_within(project, ends))
            return
        if ends is not None:
            plan = Plan(train_within(project, ends, partial(_bring_up_to_date, run=run)))
        if stage in ("ensemble", "report"):
            project, predicted = _predict_with_members(plan.project, run)
            plan = Plan(project)
            done += predicted + _bring_up_to_date(project, [plan.ensemble()], run)
            done += _check_scenes(plan, run)
        if stage != "folds":
            done += _bring_up_to_date(plan.project, _targets(stage, plan, members, folds), run)
        if not done:
            log.info("%s %s: up to date, nothing to do", stage, config.competition)
        if stage in ("ensemble", "report"):
            if note:
                update_ledger(project.workspace, plan.ensemble().fingerprint, note=note)
            print_summary(
                *(project.workspace.submissions, Path.cwd(), project.decision),
                failed=project.failed,
            )


def demo(overrides: list[str]) -> None:
    """Write scikit-learn's digits as a competition and run all stages on it."""
    write_digits(Path.cwd() / "input" / "digits")
    run("report", DEMO_CONFIG, overrides)


def weights(config_name: str, overrides: list[str]) -> None:
    """Bring the hub's weights of a config's backbones into the weights folder; no data is needed.

    Raises:
        UserError: with all that the hub does not have.
    """
    resolve("pipeline.stages.weights:bring_weights")(load_config(config_name, overrides))


def doctor(config_name: str, overrides: list[str]) -> bool:
    """Look at this machine, a config and its files; predict what each stage will take.

    Returns:
        Whether nothing is wrong.
    """
    from pipeline.stages import doctor as stage  # it imports torch

    root = Path.cwd()
    ready = stage.print_checks(stage.check_machine(root))
    if config_name == DEMO_CONFIG and not Workspace(root, DEMO_CONFIG).input.is_dir():
        print("Say CONFIG= to look at a competition, too.")
        return ready
    try:
        config = load_config(config_name, overrides)
        ready &= stage.print_checks(stage.check_config(config, root))
        folder = with_unpacked(Workspace(root, config.competition), config.data)
        competition = read_competition(folder, config.task, config.data, config.submission)
        ready &= stage.print_checks(stage.check_data(competition))
        if ready:
            run("plan", config_name, overrides)
    except UserError as error:
        lines = str(error).splitlines()
        return stage.print_checks([stage.Check("config", line, "problem") for line in lines])
    return ready


def check(config_name: str, overrides: list[str], *, members: str = "") -> bool:
    """Check networks on up-to-date folds and image caches; return whether all passed.

    Raises:
        UserError: for wrong input, and where there is no network to check.
    """
    config = _load(config_name, overrides)
    networks = networks_of(config)
    if not networks:
        raise UserError(f"{config_name}: no network among its members; there is nothing to check.")
    names = chosen(members, [name for name in config.members if name in networks], "MEMBER")
    check_before_data("check", config, ",".join(names), "")
    project = _open(config)
    with Run(project.workspace.runs) as run:
        _bring_up_to_date(project, [Plan(project).folds()], run)
        project, _ = _decide_views(config, project, run)
        plan = Plan(project)
        try_out(project, backbones=[], networks=names)
        _bring_up_to_date(project, [job for name in names for job in plan.inputs(name)], run)
        return resolve("pipeline.stages.check:check_members")(project, names)


def _open(config: Config) -> Project:
    """Open the project of all jobs, and log what is unusual about its files."""
    project = open_project(config, Path.cwd())
    for note in (*project.competition.notes, *project.form.warnings):
        log.warning("%s: %s", config.competition, note)
    for path in project.submissions_to_mix:  # errors are wanted now, not after all training
        read_submission(path, project.competition, project.form)
    return project


def _decide_views(
    config: Config, project: Project, run: Run, *, only_read: bool = False
) -> tuple[Project, int]:
    """Replace `auto` in a project's config by what its images allow; return the number of jobs.

    Args:
        config: as it was written.
        only_read: whether to leave the default where nothing was decided yet.
    """
    job = Plan(project).views() if asks_for_decision(config) else None
    if job is None or (only_read and not job.is_done()):
        return project, 0
    done = _bring_up_to_date(project, [job], run)
    decision = ViewDecision.read(project.workspace.views_json)
    decided = with_decision(config, decision)
    return replace(project, config=decided, decision=decision), done


def _load(config_name: str, overrides: list[str]) -> Config:
    """Load a config; explain that the demo's is the default, if its digits are not there."""
    config = load_config(config_name, overrides)
    folder = Workspace(Path.cwd(), config.competition).input
    if config_name == DEMO_CONFIG and not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder. Without CONFIG= the demo's config, {DEMO_CONFIG}, is "
            "taken: say CONFIG=path/to/yours.yaml, or run `make demo` first."
        )
    return config


def _settings_of(config: Config, name: str, overrides: list[str]) -> Config:
    """Return the settings of a submission of a config's competition."""
    if overrides:
        raise UserError(
            f"RUN={name} repeats a submission's settings as they are, and SET= would change them. "
            "Write them to a file with `make restore RUN=...`, and use CONFIG= and SET= with it."
        )
    workspace = Workspace(Path.cwd(), config.competition)
    entry = find_submission(workspace, name)
    log.info("settings of %s", stem(entry))
    return config_of(entry, workspace)


def _log_differences(config: Config) -> None:
    """Say which keys differ from the last submission's, before other settings cost time."""
    workspace = Workspace(Path.cwd(), config.competition)
    if not (entries := read_ledger(workspace.ledger)):
        return
    entry = last_of(entries, workspace)
    try:
        found = without_decided(difference(config_of(entry, workspace), config))
    except UserError as error:  # of another version: there is nothing to compare with
        log.debug("%s", error)
        return
    if found:
        texts = [str(one) for one in found[:MOST_SHOWN]]
        if len(found) > MOST_SHOWN:
            texts.append(f"{len(found) - MOST_SHOWN} more (`make diff A=last` lists all)")
        log.info(
            "settings differ from the last submission's, %s (RUN=last repeats them): %s",
            *(stem(entry), "; ".join(texts)),
        )


def _predict_with_members(project: Project, run: Run) -> tuple[Project, int]:
    """Bring the predictions of all members up to date; a blend goes on without those that fail.

    Returns:
        The project of the members that are there, and the number of jobs.
    """
    plan = Plan(project)
    try:
        joined = [plan.join(name) for name in project.config.members]
        return project, _bring_up_to_date(project, joined, run)
    except JobsFailed as error:
        return without_failed(project, error), 1


def _targets(stage: str, plan: Plan, members: str, folds: str) -> list[Job]:
    """Return the jobs of a stage, limited to members and folds."""
    config = plan.config
    names = chosen(members, list(config.members), "MEMBER")
    numbers = chosen(folds, [str(fold) for fold in plan.project.folds.models], "FOLD")
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


def _check_scenes(plan: Plan, run: Run) -> int:
    """Look for scenes in several folds, if the block for it is done; no block is made for it."""
    check = plan.scene_check()
    if check is None or not all(block.is_done() for block in check.needs):
        return 0
    return _bring_up_to_date(plan.project, [check], run)


def _bring_up_to_date(
    project: Project, targets: list[Job], run: Run, deadline: Deadline | None = None
) -> int:
    """Do what is pending, backbones and networks tried first; return the number of jobs."""
    config = project.config
    run.count_on(all_needed(targets))
    jobs = pending(targets)
    used = {job.arguments.get("member") for job in jobs if "fold" in job.arguments}
    networks = [n for n, member in config.members.items() if n in used & networks_of(config)]
    backbones = [job.arguments["backbone"] for job in jobs if "backbone" in job.arguments]
    try_out(project, backbones=backbones, networks=networks)
    choose_executor(config.runtime, run, deadline).execute(jobs)
    return len(jobs)
