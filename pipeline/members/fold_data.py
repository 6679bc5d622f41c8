"""What a member learns from in one fold: its rows, and what teachers say (laws 3 and 4)."""

import logging
from dataclasses import dataclass

import numpy as np

from pipeline.config.relations import members_of_blend, members_without_teacher
from pipeline.config.schema import BlendKind
from pipeline.core.folds import ALL_ROWS, model_name
from pipeline.core.runtime import stream_seed
from pipeline.ensembles.base_rates import model_levels, move_to_level_of
from pipeline.ensembles.blends import fit_blend
from pipeline.errors import UserError
from pipeline.images.cache import ImageCache
from pipeline.learners.fit import FittedLearner
from pipeline.learners.search import fit_searched
from pipeline.members.outputs import (
    blend_settings,
    cross_fit_members,
    read_fold_test,
    read_repeat,
)
from pipeline.members.predicting import predict_rows
from pipeline.members.pseudo_labels import PseudoLabels, choose_pseudo_labels
from pipeline.networks.network import WEIGHTS
from pipeline.networks.training_data import Lesson, set_aside
from pipeline.project import Project

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldRows:
    """Rows counted over train and test: a test row's number is num_train and its position.

    Attributes:
        rows: (n,) with targets (n, C), hard or soft, and weights (n,).
        held_out: (m,) training rows of this fold.
        taught: those of `rows`, at their end, that are pseudo-labelled.
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray
    taught: PseudoLabels | None = None

    @property
    def num_taught(self) -> int:
        """How many of `rows` are pseudo-labelled."""
        return 0 if self.taught is None else len(self.taught.rows)


def fold_rows(project: Project, member: str, fold: int) -> FoldRows:
    """All rows but one fold's, and what the member's teacher says of test rows."""
    competition, kept_from_it = project.competition, project.folds.held_out(fold)
    rows, held_out = np.flatnonzero(~kept_from_it), np.flatnonzero(kept_from_it)
    targets, weights, taught = competition.targets[rows], np.ones(len(rows)), None
    if project.member(member).pseudo is not None:
        taught = _pseudo_labels(project, member, fold)
        rows = np.concatenate([rows, project.num_train + taught.rows])
        targets = np.concatenate([targets, taught.targets])
        weights = np.concatenate([weights, taught.weights])
    return FoldRows(rows, targets, weights, held_out, taught)


def fit_fold(
    project: Project, member: str, rows: FoldRows, blocks: dict[str, np.ndarray], *, seed: int
) -> FittedLearner:
    """Fit a learner on a fold's rows; metadata is encoded without those held out.

    Args:
        blocks: by name, each (N + N_test, V, D).
    """
    competition, settings = project.competition, project.member(member)
    metadata = project.metadata(member, held_out=rows.held_out)
    return fit_searched(
        settings,
        {name: block[rows.rows] for name, block in blocks.items()},
        rows.targets,
        kind=competition.task.kind,
        levels=competition.levels,
        weights=rows.weights,
        metadata=None if metadata is None else metadata[rows.rows],
        groups=_groups(project, rows.rows),
        seed=seed,
    )


def network_lesson(project: Project, member: str, fold: int, rows: FoldRows) -> Lesson:
    """What a network learns from: the same rows, as images, but those that decide when to stop."""
    settings, competition = project.member(member), project.competition
    distils, starts = settings.distill is not None, settings.start is not None
    inner = _deciding_rows(project, member, fold, rows)
    learnt = rows.rows[~inner]
    return Lesson(
        cache=ImageCache(project.workspace.image_cache(project.cached_side(member))),
        image_size=project.image_size(member),
        cut=project.config.backbones[settings.network].cut,
        kind=competition.task.kind,
        rows=learnt,
        targets=np.asarray(rows.targets[~inner], dtype=float),
        weights=rows.weights[~inner],
        inner_rows=rows.rows[inner],
        inner_targets=rows.targets[inner],
        levels=competition.levels,
        threshold=project.config.submission.threshold,
        valid_rows=rows.held_out,
        valid_targets=competition.targets[rows.held_out],
        teacher=_teacher_values(project, member, fold)[learnt] if distils else None,
        start_weights=project.workspace.fold(settings.start.member, fold) / WEIGHTS
        if starts
        else None,
    )


def _deciding_rows(project: Project, member: str, fold: int, rows: FoldRows) -> np.ndarray:
    """(n,) which of a fold's rows are kept from a network to decide when it stops.

    None without `patience`, and none for a model of all rows, whose folds have decided. Never a
    pseudo-labelled one. They are drawn by seed and fold alone, so that a network that starts from
    another's weights decides by rows that these have not seen either.
    """
    settings, aside = project.member(member), np.zeros(len(rows.rows), dtype=bool)
    if not settings.patience or fold == ALL_ROWS:
        return aside
    if settings.start is not None and not _keeps_the_same(project, member):
        log.warning(
            "train %s: the weights that it starts from have seen the rows that decide when it "
            "stops, so it may stop too soon; give %s patience, the same patience_share and seed",
            member,
            settings.start.member,
        )
    labelled = len(rows.rows) - rows.num_taught
    try:
        aside[:labelled] = set_aside(
            rows.targets[:labelled],
            project.folds.groups[rows.rows[:labelled]],
            share=settings.patience_share,
            kind=project.competition.task.kind,
            seed=stream_seed(settings.seed, "inner rows", fold),
        )
    except UserError as error:
        raise UserError(f"members.{member} {model_name(fold)}: {error}") from None
    return aside


def _keeps_the_same(project: Project, member: str) -> bool:
    """Whether all networks that a network starts from keep the same rows aside."""
    settings = project.member(member)
    if settings.start is None:
        return True
    before = project.member(settings.start.member)
    same = (before.seed, before.patience_share) == (settings.seed, settings.patience_share)
    return same and before.patience > 0 and _keeps_the_same(project, settings.start.member)


def _groups(project: Project, rows: np.ndarray) -> np.ndarray:
    """(n,) what inner folds keep together; a pseudo-labelled row is on its own."""
    test_ids = [f"test {row_id}" for row_id in project.competition.test_ids]
    return np.concatenate([project.folds.groups, test_ids])[rows]


def _teacher_values(project: Project, member: str, fold: int) -> np.ndarray:
    """What the teacher that a member distils from says of train and test rows: (N, C).

    Its model that never saw this fold says it, of the rows that it learnt from too (Hinton 2015).
    Out-of-fold predictions would look more honest and are not: those of other folds' rows come
    from models that learnt from this fold's labels, and a student that reproduces them finds these
    labels again (on noise: 8 standard deviations better than chance). For a student of all rows,
    the mean of all folds' models.
    """
    folds = project.folds.models_in(0) if fold == ALL_ROWS else [fold]
    return np.mean([_said_without(project, member, one) for one in folds], axis=0)


def _said_without(project: Project, member: str, fold: int) -> np.ndarray:
    """What the teacher's models that never saw a fold say of train and test rows: (N, C).

    A blend as teacher is fitted on what the models of the same repeat say.
    """
    teacher, rows = project.member(member).distill.teacher, np.arange(len(project.index.paths))
    if teacher in project.config.members:
        return predict_rows(project, teacher, fold, rows)[0]
    names = _members_of_teacher(project, teacher, member, "distill")
    said = np.stack([predict_rows(project, name, fold, rows)[0] for name in names])
    repeat, seen = project.folds.repeat_of(fold), ~project.folds.held_out(fold)
    oof, test = (
        np.stack(part)
        for part in zip(*(read_repeat(project, name, repeat) for name in names), strict=True)
    )
    kind, folds = project.config.task.kind, project.folds.repeats[repeat]
    blend = fit_blend(
        teacher,
        move_to_level_of(
            *(fold % len(test[0]), oof[:, seen], folds[seen]),
            levels=model_levels(test, kind=kind),
            kind=kind,
        ),
        project.competition.targets[seen],
        folds[seen],
        groups=project.folds.groups[seen],
        prune=False,
        **blend_settings(project),
    )
    return blend.apply(said)


def _pseudo_labels(project: Project, member: str, fold: int) -> PseudoLabels:
    """What the teacher that never saw this fold says of the test rows (law 4).

    A blend as teacher is fitted without this fold's rows, on members of round 0 (and the student of
    the round before), and applied to what their models of this fold say; of several repeats it
    hears this fold's alone. Members that must agree are asked through their models of this fold,
    and classes' shares are of the other folds' rows.
    """
    config, pseudo = project.config, project.config.members[member].pseudo
    if pseudo.teacher in config.members:
        said = _test_values(project, pseudo.teacher, fold)
    else:
        said = _blended_test(project, pseudo.teacher, member, fold)
    asked = [] if pseudo.agreement is None else members_without_teacher(config)
    return choose_pseudo_labels(
        said,
        pseudo,
        kind=config.task.kind,
        member_values=np.stack([_test_values(project, n, fold) for n in asked]) if asked else None,
        class_shares=project.competition.targets[~project.folds.held_out(fold)].mean(axis=0),
    )


def _test_values(project: Project, member: str, fold: int) -> np.ndarray:
    """(N_test, C) of a member's model that never saw a fold; for all rows, the mean of all."""
    if fold == ALL_ROWS:
        return read_repeat(project, member, project.folds.repeat_of(fold))[1].mean(0)
    return read_fold_test(project, member, fold)


def _blended_test(project: Project, blend: BlendKind, member: str, fold: int) -> np.ndarray:
    """(N_test, C) of a blend of the models that never saw a fold; for all rows, the mean of all."""
    names = _members_of_teacher(project, blend, member, "pseudo")
    repeat = project.folds.repeat_of(fold)
    said = [read_repeat(project, name, repeat) for name in names]
    # Neither calibrated nor pruned, so that a blend without weights owes nothing to this fold's
    # labels: temperatures would, and the choice among near-copies (a student is soon one), through
    # members' predictions of other folds' rows.
    test = cross_fit_members(
        project,
        blend,
        np.stack([oof for oof, _ in said]),
        np.stack([test for _, test in said]),
        repeat=repeat,
        calibrate="none",
        prune=False,
    ).test
    return test.mean(0) if fold == ALL_ROWS else test[fold % len(test)]


def _members_of_teacher(project: Project, blend: BlendKind, member: str, key: str) -> list[str]:
    if names := members_of_blend(project.config, member, key):
        return names
    raise UserError(f"member {member}: teacher {blend} has no members to blend.")
