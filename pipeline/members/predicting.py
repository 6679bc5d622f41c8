"""What one fold's model says of rows: for the infer stage, and for whoever learns from it."""

import numpy as np

from pipeline.backbones.device import choose_device, choose_precision
from pipeline.config.members import STACKED
from pipeline.config.schema import Learner
from pipeline.core.averaging import average_values
from pipeline.core.probabilities import clipped_log, clipped_logit
from pipeline.images.cache import ImageCache
from pipeline.learners import fit as learners
from pipeline.networks.inference import predict_views
from pipeline.networks.network import load_network
from pipeline.project import Project


def predict_rows(
    project: Project, member: str, fold: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predict rows, counted over train and test, with one fold's model.

    Returns:
        (n, C) with all views, and (V, n, C) with each view alone.
    """
    is_learner = isinstance(project.config.members[member], Learner)
    predict = _predict_learner if is_learner else _predict_network
    return predict(project, member, fold, rows)


def stacked_block(project: Project, said: list[np.ndarray]) -> np.ndarray:
    """What S stacked learners say (n, C) as a learner sees it, the same beside each view.

    Returns:
        (n, V, S * C): logarithms of probabilities, log odds for multilabel, values for regression.
    """
    columns, kind = np.concatenate(said, axis=1), project.config.task.kind
    if kind != "regression":
        columns = clipped_logit(columns) if kind == "multilabel" else clipped_log(columns)
    return np.repeat(columns[:, None], len(project.config.tta.views), axis=1)


def _predict_learner(
    project: Project, member: str, fold: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    config = project.config
    learner = learners.load(project.workspace.fold(member, fold))
    held_out = np.flatnonzero(project.folds.held_out(fold))
    metadata = project.metadata(member, held_out=held_out)
    metadata = None if metadata is None else metadata[rows]
    blocks = {name: block[rows] for name, block in project.blocks(member).items()}
    if stacks := config.members[member].stacks:
        said = [predict_rows(project, name, fold, rows)[0] for name in stacks]
        blocks[STACKED] = stacked_block(project, said)
    values = learner.predict(blocks, metadata=metadata, average=config.tta.average)
    each = [
        learner.predict(
            {name: block[:, [view]] for name, block in blocks.items()}, metadata=metadata
        )
        for view in range(len(config.tta.views))
    ]
    return values, np.stack(each)


def _predict_network(
    project: Project, member: str, fold: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    config, competition = project.config, project.competition
    settings, device = project.member(member), choose_device(config.runtime.device)
    backbone = config.backbones[settings.network]
    network = load_network(
        project.workspace.fold(member, fold),
        settings,
        backbone,
        num_classes=len(competition.classes),
        kind=competition.task.kind,
    )
    view_values = predict_views(
        network,
        ImageCache(project.workspace.image_cache(project.cached_side(member))),
        rows,
        config.tta.views,
        image_size=project.image_size(member),
        cut=backbone.cut,
        device=device,
        precision=choose_precision(config.runtime.precision, device),
    )
    return average_values(view_values, config.tta.average, kind=config.task.kind), view_values
