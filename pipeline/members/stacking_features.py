"""Stacking with features: what a learner sees, in training, of the learners that it stacks (law 3).

An out-of-fold prediction is by a model that learnt from the rows that are held out now. A flexible
learner that sees such columns beside features finds their labels again: on noise it was 6 to 12
standard deviations better than chance. So the stacked learner is fitted anew without both folds, a
training row's own and the held-out one.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.core.folds import ALL_ROWS
from pipeline.core.runtime import stream_seed
from pipeline.members.learner import LearnerMember, stacked_block
from pipeline.members.member import FoldData
from pipeline.project import Project

# Rows to fit on, rows to predict (positions among training rows) -> (n, C) of the latter.
Refit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def stacked_training_block(project: Project, member: str, fold: int) -> np.ndarray:
    """Predict, for training, with the learners that a fold's model stacks: (N, V, D)."""
    table = project.folds
    folds = table.repeats[table.repeat_of(fold)]
    held_out = fold if fold == ALL_ROWS else fold % table.num_folds
    predictions = [
        nested_predictions(folds, held_out, partial(_refit, project, name, folds))
        for name in project.config.members[member].stacks
    ]
    return stacked_block(project, predictions)


def nested_predictions(folds: np.ndarray, fold: int, refit: Refit) -> np.ndarray:
    """Predict each training row of one fold's model by a model that saw neither of two folds.

    Args:
        folds: (N,) that hold rows out.
        fold: the one that is held out now, whose rows never take part; ALL_ROWS for none.
    Returns:
        (N, C), NaN for rows of `fold`, which are not trained on.
    """
    predictions = {
        other: refit(np.flatnonzero(~np.isin(folds, [fold, other])), np.flatnonzero(folds == other))
        for other in np.unique(folds[folds != fold])
    }
    values = np.full((len(folds), next(iter(predictions.values())).shape[1]), np.nan)
    for other, of_its_rows in predictions.items():
        values[folds == other] = of_its_rows
    return values


def _refit(
    project: Project, name: str, folds: np.ndarray, fitted_on: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Fit a learner on some rows and predict others, as the train and infer stages do."""
    competition = project.competition
    targets, weights = competition.targets[fitted_on], competition.weights[fitted_on]
    left_out = np.setdiff1d(np.arange(project.num_train), fitted_on)
    data = FoldData(ALL_ROWS, fitted_on, targets, weights, left_out)
    without = np.unique(folds[left_out]).tolist()
    seed = stream_seed(project.member(name).seed, "learner", name, *without)
    blocks = project.blocks(name)
    fitted = LearnerMember(project, name).fit_rows(data, blocks, seed=seed)
    metadata = project.metadata(name, held_out=left_out)
    return fitted.predict(
        {block: values[asked] for block, values in blocks.items()},
        metadata=None if metadata is None else metadata[asked],
        average=project.config.tta.average,
    )
