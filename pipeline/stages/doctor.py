"""Doctor stage: looks whether this machine, a config and its files are ready for a run."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import constants
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.backbones.hub import hub_answers, kept_weights
from pipeline.backbones.weights import find_weights
from pipeline.config.dependencies import backbones_of
from pipeline.config.schema import Config
from pipeline.core.artifacts import read_meta
from pipeline.core.competition import Competition
from pipeline.core.runtime import GIB, memory_bytes, num_threads
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.images.decoding import ToRgb, decode, measure_depth
from pipeline.images.pixel_range import find_pixel_range

LIBRARIES = ("torch", "torchvision", "timm", "scikit-learn", "lightgbm", "albumentations")
LITTLE_DISK, LITTLE_MEMORY = 5.0, 4.0  # GiB
MOST_IMAGES = 20  # that are opened
MARKS = {"ok": ("ok", "green"), "warning": ("look", "yellow"), "problem": ("wrong", "red")}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    text: str
    status: Literal["ok", "warning", "problem"] = "ok"


def print_checks(checks: list[Check]) -> bool:
    """Print a line for each check; return whether there is no problem."""
    table = Table.grid(padding=(0, 2))
    for check in checks:
        mark, style = MARKS[check.status]
        table.add_row(Text(f"{mark:5}", style), Text(f"{check.name:9}"), Text(check.text))
    Console(highlight=False).print(table)
    return all(check.status != "problem" for check in checks)


def check_machine(root: Path) -> list[Check]:
    """Look at Python, libraries, devices, memory and the disk of the project's folders."""
    python = Check("python", f"{platform.python_version()}, {sys.executable}")
    return [python, *_libraries(), *_devices(), _memory(), *_disk(root)]


def check_config(config: Config, root: Path) -> list[Check]:
    """Look at a config's weights, and at what is cached of its competition."""
    members = ", ".join(config.members)
    found = Check("config", f"{config.competition}: {len(config.members)} members: {members}")
    return [found, *_weights(config), *_cached(Workspace(root, config.competition))]


def check_data(competition: Competition) -> list[Check]:
    """Look at rows, classes, and some images of both train and test."""
    rows = f"{len(competition.ids)} training rows, {len(competition.test_ids)} test rows"
    number = len(competition.classes)
    targets = "target" if number == 1 else "targets"
    what = targets if competition.task.is_regression else "classes"
    found = [Check("data", f"{rows}, {number} {what}")]
    found += [Check("data", note, "warning") for note in competition.notes]
    paths = competition.paths
    sampled = paths[:: max(1, len(paths) // MOST_IMAGES)][:MOST_IMAGES]
    sizes, problems = [], []
    for path in sampled:
        file = competition.folder / path
        try:
            bands = competition.data.bands
            depth = measure_depth(file, bands)
            scale = find_pixel_range([depth], [], competition.data.pixel_range)
            sizes.append(decode(file, ToRgb(scale, bands))[0].shape[:2])
        except UserError as error:
            skips = competition.data.unreadable == "skip"
            problems.append(Check("images", str(error), "warning" if skips else "problem"))
    if sizes:
        heights, widths = zip(*sizes, strict=True)
        low, high = f"{min(widths)} x {min(heights)}", f"{max(widths)} x {max(heights)}"
        size = f"all {low}" if low == high else f"{low} to {high}"
        found.append(Check("images", f"{len(sizes)} of {len(paths)} opened, {size} pixels"))
    return found + problems


def _libraries() -> Iterator[Check]:
    missing = []
    names = []
    for library in LIBRARIES:
        try:
            names.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            missing.append(library)
    yield Check("libraries", ", ".join(names))
    if missing:
        text = f"not installed: {', '.join(missing)}; run `make install`"
        yield Check("libraries", text, "problem")


def _devices() -> Iterator[Check]:
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        free, total = (size / GIB for size in torch.cuda.mem_get_info(number))
        text = f"cuda:{number} {about.name}, {free:.1f} of {total:.1f} GiB free"
        yield Check("device", text, "ok" if free > total / 2 else "warning")
    if torch.backends.mps.is_available():
        yield Check("device", "mps (Apple)")
    if not (torch.cuda.device_count() or torch.backends.mps.is_available()):
        yield Check("device", "cpu; no GPU is seen: networks take hours in place of minutes")
    threads = num_threads()
    limit = os.environ.get("OMP_NUM_THREADS")
    said = f", OMP_NUM_THREADS={limit}" if limit else ""
    yield Check("threads", f"{threads} processors, torch uses {torch.get_num_threads()}{said}")


def _memory() -> Check:
    gib = memory_bytes() / GIB
    return Check("memory", f"{gib:.1f} GiB", "ok" if gib >= LITTLE_MEMORY else "warning")


def _disk(root: Path) -> Iterator[Check]:
    free = {}
    for name in ("features", "models", "submissions"):
        folder = next(path for path in (root / name, root) if path.is_dir())
        if not os.access(folder, os.W_OK):
            yield Check("disk", f"{folder} cannot be written to", "problem")
        free.setdefault(shutil.disk_usage(folder).free / GIB, []).append(name)
    for gib, names in free.items():
        status = "ok" if gib >= LITTLE_DISK else "warning"
        yield Check("disk", f"{gib:.1f} GiB free for {', '.join(names)}", status)


def _weights(config: Config) -> Iterator[Check]:
    """Yield whether each backbone's weights are within reach."""
    used = {name for member in config.members.values() for name in backbones_of(member)}
    hub = []
    for name in sorted(used & config.backbones.keys()):
        backbone = config.backbones[name]
        try:
            find_weights({name: backbone.weights})
            if backbone.weights == "hub" and kept_weights(backbone.arch) is None:
                hub.append(name)
            else:
                yield Check("weights", f"{name}: {backbone.arch}, {backbone.weights}")
        except UserError as error:
            yield Check("weights", str(error), "problem")
    if hub and hub_answers():
        yield Check("weights", f"{', '.join(hub)}: from the hub, which answers")
    elif hub:
        yield Check(
            "weights",
            f"{', '.join(hub)}: {constants.ENDPOINT} does not answer, and they are not in the "
            "weights folder: run `make weights` where there is internet and copy models/weights/",
            "warning",  # they may be in the hub's own cache
        )


def _cached(workspace: Workspace) -> Iterator[Check]:
    """Yield what the competition's folders hold."""
    for name in ("features", "models", "submissions"):
        folder = getattr(workspace, name)
        if not folder.is_dir():
            continue
        size = _size_of(folder)
        done = [path.name for path in sorted(folder.iterdir()) if _is_finished(path)]
        text = f"{folder.relative_to(workspace.root)}: {size:.2f} GiB"
        if name != "submissions" and done:
            text += f", done: {', '.join(done)}"
        if (attic := folder / "attic").is_dir():
            text += f"; {_size_of(attic):.2f} GiB of it in attic/, which may be deleted"
        yield Check("cached", text)


def _is_finished(folder: Path) -> bool:
    return folder.is_dir() and read_meta(folder) is not None


def _size_of(folder: Path) -> float:
    files = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files) / GIB
