"""What is compared before one is submitted: members, blends, and blends without each member."""

from dataclasses import replace

import numpy as np

from pipeline.config.schema import BlendKind
from pipeline.core.member_predictions import MemberPredictions
from pipeline.core.results import Comparison, Contestant, Diversity
from pipeline.ensembles.cross_fit import CrossFitted, FoldBlend, cross_fit
from pipeline.ensembles.diversity import error_correlation
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.rounds import without
from pipeline.estimates.interval import interval_of_score, probability_better
from pipeline.estimates.resampling import Resampling
from pipeline.project import Project

LEVEL = 0.90  # of the interval
SLOW = ("stack_lightgbm", "stack_two_level")  # fitted anew for each member left out: minutes


def contestant(project: Project, name: str, kind: str, fit: CrossFitted) -> Contestant:
    """Score a member or blend out of fold, with an interval and the spread over folds."""
    targets, folds = project.competition.targets, project.folds
    low, high = interval_of_score(
        targets, fit.scored_oof, project.metric, project.task, Resampling.of(project)
    )
    fold_scores = [
        project.metric.score(targets[rows], fit.scored_oof[rows], project.task)
        for rows in (folds.folds == fold for fold in range(folds.num_folds))
    ]
    weights = None if fit.weights is None else fit.weights.mean(0).tolist()
    return Contestant(
        name=name,
        kind=kind,
        score=project.score(fit.scored_oof),
        low=low,
        high=high,
        fold_scores=fold_scores,
        weights=weights and dict(zip(project.config.members, weights, strict=True)),
    )


def single(project: Project, members: MemberPredictions, m: int) -> CrossFitted:
    """Return a member on its own, calibrated and decided as blends are, for a fair comparison."""
    fitting = replace(BlendFitting.of(project), series=())
    alone = cross_fit_members(project, "soft_vote", members.only(m), fitting)
    among_all = tuple(
        tuple(FoldBlend(one.blend, len(members.oof), np.array([m])) for one in of_fold)
        for of_fold in alone.blends
    )
    return replace(alone, weights=None, blends=among_all)


def cross_fit_members(
    project: Project,
    blend: BlendKind,
    members: MemberPredictions,
    fitting: BlendFitting,
    *,
    repeat: int = 0,
) -> CrossFitted:
    """Cross-fit a blend of members on the folds of a repeat."""
    return cross_fit(
        *(blend, members.oof, members.test, project.competition.targets),
        *(project.folds.repeats[repeat], fitting),
        base_levels=members.base_levels,
    )


def compare(project: Project, ours: np.ndarray, rival: np.ndarray) -> Comparison:
    """Compare predictions (N, C) of training rows with a rival's: `probability_better`."""
    about = (project.metric, project.task, Resampling.of(project))
    probability, low, high = probability_better(project.competition.targets, ours, rival, *about)
    return Comparison(probability=probability, low=low, high=high)


def diversity(
    project: Project,
    members: MemberPredictions,
    contestants: list[Contestant],
    blends: dict[str, CrossFitted],
) -> Diversity:
    """Correlation of members' errors; the score of the best blend with all, and without each.

    Blends that take minutes to fit stand aside for the best of the others, or for `weighted`.
    """
    names, targets = list(project.config.members), project.competition.targets
    fitting = BlendFitting.of(project)
    quick = [e for e in contestants if e.kind == "blend" and e.name not in SLOW]
    if quick:
        blend = best_of(project, quick).name
        with_all = blends[blend].scored_oof
    else:
        blend = "weighted"
        with_all = cross_fit_members(project, blend, members, fitting).scored_oof
    without = oof_without_each(
        blend,
        members.oof,
        targets,
        project.folds.folds,
        fitting,
        base_levels=members.base_levels,
    )
    left = dict(zip(names, without, strict=True)) if without else {}
    scores = {name: project.score(values) for name, values in left.items()}
    score = project.score(with_all)
    correlation = error_correlation(members.oof, targets).tolist()
    return Diversity(
        error_correlation={
            name: dict(zip(names, row, strict=True))
            for name, row in zip(names, correlation, strict=True)
        },
        left_out_of=blend,
        score_with_all=score,
        score_without=dict.fromkeys(names) | scores,
        better_without={
            name: compare(project, left[name], with_all)
            for name in left
            if project.metric.is_better(scores[name], score)
        },
    )


def oof_without_each(
    blend_kind: BlendKind,
    oof: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    fitting: BlendFitting,
    *,
    base_levels: np.ndarray,
) -> list[np.ndarray]:
    """Cross-fit a blend of all members (M, N, C) but one, for each of them: M of (N, C).

    Args:
        base_levels: (M, K, C) of members' models, see `base_rates.model_levels`.
    Returns:
        Out-of-fold predictions of each of these blends; nothing where there is one member only.
    """
    if len(oof) == 1:
        return []
    found = []
    for m in range(len(oof)):
        others = np.delete(oof, m, axis=0)
        # Test rows are not predicted here, but every fold needs a layer of them.
        layers = np.repeat(others[:, None, :1], len(np.unique(folds)), axis=1)
        rest = replace(fitting, series=without(fitting.series, m))
        levels = np.delete(base_levels, m, axis=0)
        fit = cross_fit(blend_kind, others, layers, targets, folds, rest, base_levels=levels)
        found.append(fit.scored_oof)
    return found


def best_of(project: Project, contestants: list[Contestant]) -> Contestant:
    """Return the contestant that scores best."""
    return contestants[project.metric.best([entry.score for entry in contestants])]
