"""A kernel's folder: code, settings, models and rows that a notebook without internet needs.

pipeline/ and plugins, config.yaml, models/, features/<competition>/folds.csv, weights/ of frozen
backbones, rows/ (what learners and blends need of train.csv, and the sample), arrays.npz (targets
(N, C), oof (M, N, C), base_levels (M, K, C), blended (N, C)), kernel.json (what else is known).
Nothing in it is a pickle, an optimizer's state or an image.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from pipeline.backbones.create import save_native_weights
from pipeline.config.as_yaml import as_yaml
from pipeline.config.load import load_config
from pipeline.config.schema import Config, Learner
from pipeline.config.source_files import PIPELINE, copy_module
from pipeline.core.artifacts import read_json, read_meta, write_json, write_text
from pipeline.core.competition import Competition
from pipeline.core.folds import GROUPS
from pipeline.core.image_files import columns_in_braces
from pipeline.core.member_predictions import MemberPredictions
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.images.index import load_index
from pipeline.project import Project
from pipeline.serving.model import Model
from pipeline.serving.new_rows import models_needed

log = logging.getLogger(__name__)

FACTS = "kernel.json"
NOT_NEEDED = ("log.csv", "snapshot.json", "trained_on.txt")  # of a model's files, to predict
TEXT = {"dtype": str, "keep_default_na": False}


def write_kernel_folder(folder: Path, model: Model, packages: Mapping[str, str]) -> None:
    """Write all that predicts new rows as a model does into an empty folder.

    Args:
        packages: names and versions of those that the notebook installs from wheels/.
    """
    project, predictions = model.project, model.predictions
    shutil.copytree(PIPELINE, folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    _copy_plugins(folder, project.config)
    needed = models_needed(project, model.members)
    _copy_models(folder, project, needed)
    write_text(
        folder / "config.yaml", as_yaml(_config_for(folder, project, {name for name, _ in needed}))
    )
    _write_rows(folder / "rows", project.competition)
    np.savez(
        folder / "arrays.npz",
        targets=project.competition.targets,
        oof=predictions.oof,
        base_levels=predictions.base_levels,
        blended=model.fitted.oof,
    )
    facts = {
        "submission": model.submission,
        "by_fold": model.by_fold,
        "classes": project.competition.classes,
        "scale": project.competition.scale,
        "slug": project.config.submission.slug or project.config.competition,
        "test": _name_of_test(project),
        "packages": dict(packages),
    }
    write_json(folder / FACTS, facts)


def read_kernel_folder(folder: Path) -> Model:
    """Read what `write_kernel_folder` wrote; nothing is written, so the folder may be read-only."""
    folder = folder.resolve()
    if (facts := read_json(folder / FACTS)) is None:
        raise UserError(f"{folder}: no kernel; expected the folder that `make kernel` wrote.")
    with contextlib.chdir(folder):  # plugins lie here
        config = load_config("config.yaml")
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        targets, oof, levels, blended = (
            arrays[name] for name in ("targets", "oof", "base_levels", "blended")
        )
    train = pd.read_csv(folder / "rows" / "train.csv", **TEXT)
    sample = folder / "rows" / "sample.csv"
    competition = Competition(
        *(folder, config.task, config.data, train, train[:0]),
        sample=pd.read_csv(sample, **TEXT) if sample.exists() else None,
        classes=tuple(facts["classes"]),
        targets=targets,
        scale=facts["scale"],
        submission=config.submission,
    )
    workspace = Workspace(folder, config.competition)
    project = Project(
        config, workspace, competition, load_index(workspace.image_index(config.data.bands))
    )
    predictions = MemberPredictions(oof, oof[:, None, :0], levels, {}).without_test()
    model = Model.fit(project, predictions, facts["by_fold"], submission=facts["submission"])
    model.warn_of_other_fit(blended, folder)
    return model


def _name_of_test(project: Project) -> str:
    """Return the file, relative to the competition's folder, that lists the test rows."""
    data, folder = project.config.data, project.competition.folder
    if data.split is not None:
        return data.train_csv
    names = [data.test_csv, data.sample_submission, PurePosixPath(data.test_templates[0]).parts[0]]
    return next((name for name in names if (folder / name).exists()), data.test_csv)


def _copy_plugins(folder: Path, config: Config) -> None:
    metrics = [config.task.metric.partition(":")[0]] if ":" in config.task.metric else []
    for module in (*config.plugins, *metrics):
        if not copy_module(module, folder):
            log.warning("module %s is installed: the kernel's machine must have it, too", module)


def _copy_models(folder: Path, project: Project, models: list[tuple[str, int]]) -> None:
    """Copy what predicts of each model, and the folds."""
    here, there = project.workspace, Workspace(folder, project.config.competition)
    for name, number in models:
        source, target = here.fold(name, number), there.fold(name, number)
        files = (read_meta(source) or {}).get("files", {}).keys() - {*NOT_NEEDED}
        if not files:
            raise UserError(f"{source}: of an older version. Delete it, and `make infer` again.")
        target.mkdir(parents=True)
        for file in files:
            shutil.copyfile(source / file, target / file)
    there.features.mkdir(parents=True)
    for path in (here.folds_csv, here.features / GROUPS):
        if path.exists():
            shutil.copyfile(path, there.features / path.name)


def _config_for(folder: Path, project: Project, names: Iterable[str]) -> Config:
    """Return the settings, where weights are the folder's; write the weights."""
    config = project.config
    learners = [one for name in names if isinstance(one := config.members[name], Learner)]
    backbones = dict(config.backbones)
    for name in {name for learner in learners for name in learner.backbones}:
        path = Path("weights", f"{name}.safetensors")
        save_native_weights(backbones[name], folder / path)
        changed = {"weights": f"file:{path.as_posix()}"}
        backbones[name] = backbones[name].model_copy(update=changed)
    # The range of pixels is known from the training images, the device from the machine.
    pixel_range = project.index.pixel_range or config.data.pixel_range
    data = config.data.model_copy(update={"pixel_range": pixel_range and tuple(pixel_range)})
    runtime = config.runtime.model_copy(update={"device": "auto", "workers": None})
    return config.model_copy(update={"backbones": backbones, "data": data, "runtime": runtime})


def _write_rows(folder: Path, competition: Competition) -> None:
    """Write what learners and blends need of the training rows, and the sample."""
    data = competition.data
    folder.mkdir()
    columns = [data.id, *competition.task.targets, *data.numeric, *data.categorical]
    for template in data.train_templates:
        columns += columns_in_braces(template)
    columns += [data.weight] if data.weight else []
    train = competition.train[list(dict.fromkeys(columns))]
    train.to_csv(folder / "train.csv", index=False)
    if competition.sample is not None:
        competition.sample.to_csv(folder / "sample.csv", index=False)
