"""Permutation importance of metadata columns, on the rows that a learner's models did not see."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipeline.config.schema import Learner
from pipeline.core import artifacts
from pipeline.core.runtime import stream
from pipeline.members.learner import LearnerMember
from pipeline.project import Project

MOST_ROWS = 1000  # held-out rows that are predicted, of all folds together
MOST_COLUMNS = 12


def metadata_learners(project: Project) -> list[str]:
    """Return the learners that see metadata columns and whose models are on disk."""
    data = project.config.data
    if not data.numeric and not data.categorical:
        return []
    return [
        name
        for name, settings in project.config.members.items()
        if isinstance(settings, Learner)
        and settings.metadata
        and all(
            artifacts.is_whole(project.workspace.fold(name, fold))
            for fold in project.folds.models_in(0)
        )
    ]


def metadata_importance(project: Project, learner: str) -> dict[str, float]:
    """Return by how much the score falls where a column's cells are shuffled, by column.

    Cells are shuffled among the held-out rows of a fold, which the fold's model did not see; other
    columns and the images stay. Above 0, the learner uses the column, and it helps.
    Source: Breiman 2001, permutation importance.
    """
    rng = stream(project.config.seed, "report", "metadata importance")
    data = project.config.data
    rows_of = [_drawn(project, fold, rng) for fold in project.folds.models_in(0)]
    before = _score(project, learner, rows_of)
    found = {}
    for column in [*data.numeric, *data.categorical][:MOST_COLUMNS]:
        shuffled = _with_shuffled(project, column, rows_of, rng)
        after = _score(shuffled, learner, rows_of)
        found[column] = (before - after) * (1 if project.metric.greater_is_better else -1)
    return found


def _drawn(project: Project, fold: int, rng: np.random.Generator) -> np.ndarray:
    held_out = np.flatnonzero(project.folds.held_out(fold))
    most = max(1, MOST_ROWS // project.folds.num_folds)
    return np.sort(rng.permutation(held_out)[:most])


def _with_shuffled(
    project: Project, column: str, rows_of: list[np.ndarray], rng: np.random.Generator
) -> Project:
    """Return the project with a column's cells of these rows shuffled, fold by fold."""
    train: pd.DataFrame = project.competition.train.copy()
    cells = train[column].to_numpy(copy=True)
    for rows in rows_of:
        cells[rows] = cells[rng.permutation(rows)]
    train[column] = cells
    competition = replace(project.competition, train=train)
    return replace(project, competition=competition, other_folds=project.folds)


def _score(project: Project, learner: str, rows_of: list[np.ndarray]) -> float:
    member = LearnerMember(project, learner)
    folds = project.folds.models_in(0)
    values = [member.predict(fold, rows)[0] for fold, rows in zip(folds, rows_of, strict=True)]
    targets = project.competition.targets[np.concatenate(rows_of)]
    return project.metric.score(targets, np.concatenate(values), project.task)
