"""Torn scenes: what a cheap learner scores with these folds, and with scenes kept whole."""

import logging
from dataclasses import replace

import numpy as np

from pipeline.config.schema import Learner
from pipeline.core.folds import FoldTable
from pipeline.errors import UserError
from pipeline.estimates.interval import probability_better
from pipeline.estimates.resampling import Resampling
from pipeline.members.trial import out_of_fold
from pipeline.project import Project
from pipeline.splitting.draw import draw_folds, find_copies
from pipeline.splitting.scenes import FoldComparison

log = logging.getLogger(__name__)


def compare_folds(project: Project, backbone: str, scenes: np.ndarray) -> FoldComparison | None:
    """Score a ridge on one block with the current folds, and with scenes kept whole.

    Returns:
        None where there are too few scenes to split or to fit on, or the metric is undefined.
    """
    settings = {"scheme": "scenes", "column": None, "n": project.folds.num_folds, "repeats": 1}
    folds = project.config.folds.model_copy(update=settings)
    learner = Learner(learner="ridge", blocks={backbone: 1.0}, views="mean")
    blocks = {backbone: project.block(backbone, with_extra=True)}
    try:
        drawn = draw_folds(project, folds, pairs=find_copies(project), scenes=scenes)
        whole = drawn.as_table()
        these, other = (
            out_of_fold(replace(project, other_folds=table), "scenes", learner, blocks)
            for table in (_first_repeat(project.folds), whole)
        )
    except UserError as error:
        log.warning("scenes: not compared with folds that keep them whole: %s", error)
        return None
    about = (project.metric, project.task, replace(Resampling.of(project), groups=whole.groups))
    targets = project.competition.targets
    _, low, high = probability_better(targets, these, other, *about)
    if np.isnan(low):
        return None
    return FoldComparison(
        learner=f"{learner.learner} on {backbone}",
        metric=project.metric.name,
        score=project.score(these),
        whole=project.score(other),
        low=low,
        high=high,
    )


def _first_repeat(table: FoldTable) -> FoldTable:
    """Return the folds of the first repeat, by which everything is scored."""
    return FoldTable(table.repeats[:1], table.groups, table.digests[:1])
