"""What a member learns from in one fold: its rows, and its teachers' predictions (laws 3 and 4)."""

import numpy as np

from pipeline.members.distillation import teacher_predictions
from pipeline.members.member import FoldData
from pipeline.members.pseudo_labels import pseudo_labels_of
from pipeline.members.stacking_features import stacked_training_block
from pipeline.project import Project


def fold_data(project: Project, member: str, fold: int) -> FoldData:
    """Return all rows but one fold's, extra rows, and what other members teach."""
    competition, held_out = project.competition, project.folds.held_out(fold)
    settings = project.member(member)
    rows, pseudo_labels = np.flatnonzero(~held_out), None
    targets, weights = competition.targets[rows], competition.weights[rows]
    if project.extra:
        extra = project.extra_ties.free_of(held_out, project.num_extra)
        rows = np.concatenate([rows, project.num_rows + extra])
        of_extra = np.concatenate([source.targets for source in project.extra])
        targets = np.concatenate([targets, of_extra[extra]])
        of_extra = np.concatenate([source.weights for source in project.extra])
        weights = np.concatenate([weights, of_extra[extra]])
    if settings.pseudo is not None:
        pseudo_labels = pseudo_labels_of(project, member, fold)
        rows = np.concatenate([rows, project.num_train + pseudo_labels.rows])
        targets = np.concatenate([targets, pseudo_labels.targets])
        weights = np.concatenate([weights, pseudo_labels.weights])
    distils, stacks = "distill" in settings.teachers, bool(getattr(settings, "stacks", []))
    return FoldData(
        fold,
        rows,
        targets,
        weights,
        np.flatnonzero(held_out),
        pseudo_labels,
        teacher=teacher_predictions(project, member, fold) if distils else None,
        stacked=stacked_training_block(project, member, fold) if stacks else None,
    )
