"""What models there are, and which other models each learns from: names and folds, no jobs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.config.dependencies import members_of_blend, members_without_teacher
from pipeline.config.schema import Config, External
from pipeline.core.folds import ALL_ROWS, FoldTable
from pipeline.errors import UserError


@dataclass(frozen=True)
class Source:
    """Something that a model learns from besides labels.

    Attributes:
        stage: train: the models themselves; predict: what they predict.
        folds: numbers of the member's models.
    """

    stage: Literal["train", "predict"]
    member: str
    folds: tuple[int, ...]


def models_of(config: Config, folds: FoldTable, member: str) -> list[int]:
    """Return the numbers of a member's models; with `all_rows` also ALL_ROWS."""
    settings = config.members[member]
    if isinstance(settings, External):
        return []
    return [*folds.models, ALL_ROWS] if settings.all_rows else list(folds.models)


def sources_of(config: Config, folds: FoldTable, member: str, fold: int) -> list[Source]:
    """Return what one model learns from besides labels: predictions, or weights.

    Of a teacher: predictions of this fold, or of all folds for a model of all rows. Of a blend:
    predictions of all folds by all its members. Nothing of another repeat.
    """
    return list(dict.fromkeys(_sources(config, folds, member, fold)))


def _sources(config: Config, folds: FoldTable, member: str, fold: int) -> Iterator[Source]:
    settings = config.members[member]

    def predictions(name: str, *, of_repeat: bool) -> Source:
        if not of_repeat:
            return Source("predict", name, (fold,))
        models, repeat = models_of(config, folds, name), folds.repeat_of(fold)
        joined = [
            model for model in models if model == ALL_ROWS or folds.repeat_of(model) == repeat
        ]
        return Source("predict", name, tuple(joined))

    for key, teacher in settings.teachers.items():
        if teacher in config.members:
            yield predictions(teacher, of_repeat=fold == ALL_ROWS)
        else:
            for name in members_of_blend(config, member, key):
                yield predictions(name, of_repeat=True)
    if settings.pseudo is not None and settings.pseudo.agreement is not None:
        for name in members_without_teacher(config):
            yield predictions(name, of_repeat=fold == ALL_ROWS)
    if fold == ALL_ROWS and getattr(settings, "patience", 0):
        for model in folds.models_in(0):  # it trains as many epochs as these took
            yield Source("train", member, (model,))
    if (start := getattr(settings, "start", None)) is not None:
        yield Source("train", start.member, (fold,))
    for name in stacked_by(config, folds, member):
        yield Source("train", name, (fold,))


def distilled_models(
    config: Config, folds: FoldTable, member: str, fold: int
) -> list[tuple[str, int]]:
    """Return members and folds of the models that predict the own rows of a member that distils."""
    teacher = config.members[member].teachers.get("distill")
    if teacher is None:
        return []
    is_member = teacher in config.members
    names = [teacher] if is_member else members_of_blend(config, member, "distill")
    models = folds.models_in(0) if fold == ALL_ROWS else [fold]
    return [(name, model) for name in names for model in models]


def stacked_by(config: Config, folds: FoldTable, member: str) -> list[str]:
    """Return the learners whose predictions a learner stacks with its features.

    Raises:
        UserError: for stacking with two folds.
    """
    names = getattr(config.members[member], "stacks", [])
    if names and folds.num_folds < 3:
        raise UserError(
            f"members.{member}: stacks needs rows outside two folds, but there are only two. Make "
            "three folds or more, or leave stacks out."
        )
    return names
