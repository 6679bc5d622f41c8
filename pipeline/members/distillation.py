"""Distillation: predictions of a teacher that a student learns beside the labels (Hinton 2015)."""

import numpy as np

from pipeline.core.folds import ALL_ROWS
from pipeline.ensembles.base_rates import model_levels, move_to_level_of
from pipeline.ensembles.blends import fit_blend
from pipeline.members.blend_teachers import members_of_teacher, teacher_fitting
from pipeline.members.get_member import get_member
from pipeline.members.outputs import read_repeat
from pipeline.project import Project


def teacher_predictions(project: Project, student: str, fold: int) -> np.ndarray:
    """Predict train and test rows (N + N_test, C) with a student's teacher.

    Its model that never saw this fold predicts them, the rows that it learnt from too. Out-of-fold
    predictions would look more honest and are not: those of other folds' rows come from models that
    learnt from this fold's labels, and a student that reproduces them finds these labels again (on
    noise: 8 standard deviations better than chance). For a student of all rows, the mean of all
    folds' models.
    """
    folds = project.folds.models_in(0) if fold == ALL_ROWS else [fold]
    predictions = np.mean([_predictions_without(project, student, one) for one in folds], axis=0)
    # Every model of a teacher has seen the extra rows: their targets stand for its predictions.
    return np.concatenate([predictions, *(extra.targets for extra in project.extra)])


def _predictions_without(project: Project, student: str, fold: int) -> np.ndarray:
    """Predict train and test rows (N + N_test, C) with the teacher's models that never saw a fold.

    A blend as teacher is fitted on predictions of models of the same repeat.
    """
    teacher, rows = project.member(student).distill.teacher, np.arange(len(project.index.paths))
    if teacher in project.config.members:
        return get_member(project, teacher).predict(fold, rows)[0]
    names = members_of_teacher(project, teacher, student, "distill")
    predictions = np.stack([get_member(project, name).predict(fold, rows)[0] for name in names])
    repeat, seen = project.folds.repeat_of(fold), ~project.folds.held_out(fold)
    oof, test = (
        np.stack(part)
        for part in zip(*(read_repeat(project, name, repeat) for name in names), strict=True)
    )
    task, folds = project.task, project.folds.repeats[repeat]
    blend = fit_blend(
        teacher,
        move_to_level_of(
            *(fold % len(test[0]), oof[:, seen], folds[seen]),
            levels=model_levels(test, task=task),
            task=task,
        ),
        project.competition.targets[seen],
        folds[seen],
        teacher_fitting(project).take(seen),
    )
    return blend.apply(predictions)
