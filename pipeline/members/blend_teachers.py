"""Blends as teachers: which members they are made of, and how they are fitted."""

from pipeline.config.dependencies import members_of_blend
from pipeline.config.schema import BlendKind
from pipeline.ensembles.fitting import BlendFitting
from pipeline.errors import UserError
from pipeline.project import Project


def members_of_teacher(project: Project, blend: BlendKind, student: str, key: str) -> list[str]:
    """Return the members of a blend that teaches a student by `pseudo` or `distill`.

    Raises:
        UserError: where there is none.
    """
    if names := members_of_blend(project.config, student, key):
        return names
    raise UserError(f"member {student}: teacher {blend} has no members to blend.")


def teacher_fitting(project: Project) -> BlendFitting:
    """Return how a blend that teaches is fitted: neither calibrated nor pruned.

    So a blend without weights owes nothing to the held-out fold's labels: temperatures would, and
    the choice among near-copies (a student is soon one), through members' predictions of other
    folds' rows.
    """
    config, groups = project.config, project.folds.groups
    return BlendFitting(project.task, project.metric, config.seed, groups=groups, prune=False)
