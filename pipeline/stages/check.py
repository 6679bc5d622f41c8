"""Check stage: tries each network for a minute; writes submissions/<c>/check/<member>/.

Reads folds and cached images. Writes `check.json` and figures, no weights.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.backbones.device import Hardware
from pipeline.config.schema import Network
from pipeline.core.artifacts import write_json
from pipeline.core.log_lines import lines_of_job
from pipeline.core.runtime import duration, stream_seed
from pipeline.members.fold_data import fold_data
from pipeline.members.network import training_data
from pipeline.networks.checks.gradients import check_gradients
from pipeline.networks.checks.learning import (
    check_lr_range,
    check_overfit,
    check_repeats,
)
from pipeline.networks.checks.start import check_start
from pipeline.networks.checks.trial_network import CheckResult, TrialNetwork, seen_batches
from pipeline.networks.training_run import without_noise
from pipeline.project import Project
from pipeline.report import check_figures

log = logging.getLogger(__name__)

CHECK = "check.json"
FOLD = 0  # whose training is tried
NUM_BATCHES = 2  # drawn
CHECKS: tuple[Callable[[TrialNetwork], CheckResult], ...] = (
    check_start,
    check_overfit,
    check_repeats,
    check_lr_range,
    check_gradients,
)


def check_members(project: Project, members: list[str]) -> bool:
    """Check networks one after the other, print the results; return whether none failed."""
    passed = [_check_member(project, member) for member in members]  # all, also after a failure
    return all(passed)


def _check_member(project: Project, member: str) -> bool:
    folder = project.workspace.submissions / "check" / member
    (folder / CHECK).unlink(missing_ok=True)  # of an earlier check: it comes last again
    started = time.monotonic()
    project, left_out = _without_teachers(project, member)
    trial = _trial_network(project, member, folder)
    results = []
    with lines_of_job(f"check {member}"):
        for check in CHECKS:
            results.append(check(trial))
            seconds = duration(time.monotonic() - started)
            log.info("%s: %s · %s", results[-1].name, results[-1].status, seconds)
    pictures = _draw(trial, results, project.competition.classes)
    passed = all(result.status != "failed" for result in results)
    seconds = time.monotonic() - started
    content = {
        "member": member,
        "passed": passed,
        "seconds": round(seconds, 1),
        "device": trial.hardware.device.type,
        "precision": trial.hardware.precision,
        "left_out": left_out,
        "settings": trial.settings.model_dump(mode="json"),
        "results": [asdict(result) for result in results],
        "pictures": [path.name for path in pictures],
    }
    write_json(folder / CHECK, _finite(content))
    where = folder.relative_to(project.workspace.root)
    print(_summary(member, results, left_out, passed=passed, seconds=seconds))
    print(f"  pictures: {where}/{{{','.join(path.stem for path in pictures)}}}.png", flush=True)
    return passed


def _without_teachers(project: Project, member: str) -> tuple[Project, list[str]]:
    """Return the project with the member independent of others; and the keys left out."""
    settings, off = project.member(member), {"pseudo": None, "distill": None, "start": None}
    left_out = [key for key in off if getattr(settings, key) is not None]
    members = project.config.members | {member: settings.model_copy(update=off)}
    config = project.config.model_copy(update={"members": members})
    return replace(project, config=config), left_out


def _trial_network(project: Project, member: str, folder: Path) -> TrialNetwork:
    settings = project.member(member)
    assert isinstance(settings, Network)
    data = training_data(project, member, fold_data(project, member, FOLD))
    data = replace(data, fit_head=None)  # checks know what a head of zeros must do
    name = f"{member} fold {FOLD}"
    return TrialNetwork(
        settings=without_noise(settings) if settings.plain else settings,
        backbone=project.config.backbones[settings.network],
        data=data,
        folder=folder,
        name=name,
        seed=stream_seed(settings.seed, name),
        hardware=Hardware.of(project.config.runtime),
    )


def _draw(trial: TrialNetwork, results: list[CheckResult], names: tuple[str, ...]) -> list[Path]:
    """Write the figures; return their paths."""
    numbers = {result.name: result.numbers for result in results}
    task = trial.data.task
    seen = [
        (images, [check_figures.label_text(target, names, task) for target in targets])
        for images, targets in seen_batches(trial, NUM_BATCHES)
    ]
    figures = {"batches": check_figures.batches(seen)}
    figures["one_batch"] = check_figures.one_batch(**numbers["one batch"])
    if numbers["learning rate"]:
        figures["lr_range"] = check_figures.lr_range(**numbers["learning rate"])
    paths = []
    for name, figure in figures.items():
        paths.append(trial.folder / f"{name}.png")
        check_figures.save(figure, paths[-1])
    return paths


def _summary(
    member: str, results: list[CheckResult], left_out: list[str], *, passed: bool, seconds: float
) -> str:
    lines = [f"{member}: {'all is well' if passed else 'something failed'} ({seconds:.0f}s)"]
    if left_out:
        keys = ", ".join(f"`{key}`" for key in left_out)
        lines.append(f"  checked without {keys}: the other member may not be trained yet")
    for result in results:
        lines.append(f"  {result.status:6}  {result.name}: {result.text}")
        lines += [f"          learns {group}" for group in result.numbers.get("groups", [])]
    return "\n".join(lines)


def _finite(content: Any) -> Any:
    """Replace numbers that JSON does not have by null."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
