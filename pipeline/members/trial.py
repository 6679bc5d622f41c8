"""A learner tried beside the members: its out-of-fold predictions, and nothing on disk."""

from dataclasses import replace

import numpy as np

from pipeline.config.schema import Learner
from pipeline.core.runtime import stream_seed
from pipeline.members.fold_data import fold_data
from pipeline.members.learner import LearnerMember
from pipeline.project import Project


def out_of_fold(
    project: Project, name: str, settings: Learner, blocks: dict[str, np.ndarray]
) -> np.ndarray:
    """Predict training rows (N, C) out of fold, as the train and infer stages do.

    Args:
        name: of its random stream.
        blocks: by name, each (N + N_test, V, D).
    """
    config = project.config.model_copy(update={"members": {name: settings}})
    project = replace(project, config=config)
    competition, settings = project.competition, project.member(name)
    oof = np.zeros(competition.targets.shape)
    for fold in project.folds.models:
        data = fold_data(project, name, fold)
        held_out, seed = data.held_out, stream_seed(settings.seed, name, fold)
        fitted = LearnerMember(project, name).fit_rows(data, blocks, seed=seed)
        metadata = project.metadata(name, held_out=held_out)
        oof[held_out] += fitted.predict(
            {name: block[held_out] for name, block in blocks.items()},
            metadata=None if metadata is None else metadata[held_out],
            average=project.config.tta.average,
        )
    return oof / project.folds.num_repeats
