"""Views stage: reads a sample of training images; writes views.json, what `auto` stands for."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.backbones.device import Hardware
from pipeline.backbones.extraction import extract_block
from pipeline.backbones.frozen import try_frozen
from pipeline.config.schema import Backbone
from pipeline.core import artifacts
from pipeline.core.runtime import stream, stream_seed
from pipeline.core.workspace import BLOCK
from pipeline.errors import UserError
from pipeline.estimates.view_choice import TRIED, choose_views, sample_rows
from pipeline.estimates.view_effects import ViewTrial
from pipeline.images.view_decision import DEFAULT
from pipeline.project import Project

log = logging.getLogger(__name__)

MOST_ROWS = 600  # enough to see a loss of a few per cent; about a minute on two cores
LARGEST_SIDE = 256  # pixels; small things, as cells in a microscope's picture, need so many
STREAM = "views"


def decide_views(
    folder: Path, fingerprint: str, *, project: Project, backbone: str, how: str
) -> None:
    """Try mirrored, flipped, turned and grey images of some training rows; write what is allowed.

    Args:
        backbone: whose features tell. how: fingerprint of its features.
    """
    competition, folds, seed = project.competition, project.folds, project.config.seed
    rows = sample_rows(
        competition.targets,
        folds.folds,
        project.task,
        most=MOST_ROWS,
        rng=stream(seed, STREAM),
    )
    log.info("%d views of %d training rows are tried", len(TRIED), len(rows))
    decision, effects = DEFAULT, []
    if len(np.unique(folds.folds[rows])) > 1:
        trial = ViewTrial(
            features=_features(folder / "sample", project, backbone, rows, how=how),
            views=list(TRIED),
            targets=competition.targets[rows],
            task=project.task,
            folds=folds.folds[rows],
            groups=folds.groups[rows],
            seed=stream_seed(seed, STREAM),
        )
        decision, effects = choose_views(trial, competition.classes)
    evidence = {"rows": len(rows), "backbone": backbone, "of": [e.as_json() for e in effects]}
    decision.write(project.workspace.views_json, **evidence)
    artifacts.finish(folder, fingerprint, files=[project.workspace.views_json.name])
    log.info("%s", decision.sentence())


def _features(
    folder: Path, project: Project, backbone: str, rows: np.ndarray, *, how: str
) -> np.ndarray:
    """Compute features (n, V, D) of the views that are tried.

    In 32 bits on every device, so that machines that share a run decide alike.
    """
    extract_block(
        folder,
        how,
        how=how,
        backbone=_small(project.config.backbones[backbone]),
        images=project.images.take(project.row_images.first[rows]),
        views=list(TRIED),
        hardware=replace(Hardware.of(project.config.runtime, trains=False), precision="32"),
    )
    return np.load(folder / BLOCK)


def _small(backbone: Backbone) -> Backbone:
    """Return the backbone at LARGEST_SIDE, if it is larger and takes that."""
    small = backbone.model_copy(update={"image_size": min(backbone.image_size, LARGEST_SIDE)})
    try:
        try_frozen(small, ["original"])
    except UserError:
        return backbone
    return small
