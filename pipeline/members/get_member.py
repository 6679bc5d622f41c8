"""The member behind a name of the config."""

from pipeline.config.schema import Learner
from pipeline.members.learner import LearnerMember
from pipeline.members.member import Member
from pipeline.members.network import NetworkMember
from pipeline.project import Project


def get_member(project: Project, name: str) -> Member:
    """Return a member that is trained here: a learner or a network."""
    is_learner = isinstance(project.config.members[name], Learner)
    return (LearnerMember if is_learner else NetworkMember)(project, name)
