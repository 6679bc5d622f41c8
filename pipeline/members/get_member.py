"""The member behind a name of the config, and what its models predict."""

import numpy as np

from pipeline.config.schema import Learner, Network
from pipeline.core.scale import clip_logs
from pipeline.errors import JobFailed
from pipeline.members.learner import LearnerMember
from pipeline.members.member import Member
from pipeline.members.network import NetworkMember
from pipeline.project import Project


def get_member(project: Project, name: str) -> Member:
    """Return a member that is trained here: a learner or a network."""
    is_learner = isinstance(project.config.members[name], Learner)
    return (LearnerMember if is_learner else NetworkMember)(project, name)


def predict_rows(
    project: Project, member: str, fold: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predict rows with one fold's model: held-out, test and new ones alike (law 5).

    Returns:
        (n, C) with all views, and (V, n, C) with each view alone; logarithms stay near those of
        the training targets.
    Raises:
        JobFailed: for predictions that a submission cannot hold.
    """
    competition = project.competition
    values, view_values = get_member(project, member).predict(fold, rows)
    if wrong := int((~np.isfinite(values)).any(axis=1).sum()):
        is_network = isinstance(project.config.members[member], Network)
        advice = "a lower `lr`" if is_network else "other `params`, or a larger `strength`"
        raise JobFailed(
            f"{wrong} of {len(values)} rows have NaN or infinite predictions: the training "
            f"diverged. Give {member} {advice}."
        )
    trained = competition.targets[~project.folds.held_out(fold)]
    return tuple(clip_logs(made, trained, competition.scale) for made in (values, view_values))
