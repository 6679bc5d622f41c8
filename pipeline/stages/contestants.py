"""What is compared before one is submitted: members, blends, and blends without each member."""

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.config.schema import BlendKind
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.ensembles.diversity import error_correlation
from pipeline.ensembles.left_out import SLOW, oof_without_each
from pipeline.ensembles.rounds import Series
from pipeline.estimates.interval import bootstrap_interval
from pipeline.members import outputs
from pipeline.project import Project
from pipeline.stages.rounds import positions_by_round

LEVEL = 0.90  # of the interval


def contestant(project: Project, name: str, what: str, fit: CrossFitted) -> dict[str, Any]:
    """A member's or blend's honest score, with its interval and its spread over folds."""
    targets, folds = project.competition.targets, project.folds
    low, high = bootstrap_interval(
        targets, fit.scored_oof, level=LEVEL, **outputs.bootstrap_settings(project)
    )
    fold_scores = [
        project.metric.score(targets[rows], fit.scored_oof[rows], **project.scoring)
        for rows in (folds.folds == fold for fold in range(folds.num_folds))
    ]
    weights = None if fit.weights is None else fit.weights.mean(0).tolist()
    return {
        "name": name,
        "is": what,
        "score": project.score(fit.scored_oof),
        "low": low,
        "high": high,
        "fold_scores": fold_scores,
        "weights": weights and dict(zip(project.config.members, weights, strict=True)),
    }


def single(project: Project, members: outputs.MemberPredictions, m: int) -> CrossFitted:
    """A member on its own, calibrated and decided as blends are, for a fair comparison."""
    alone = replace(
        members, **{key: getattr(members, key)[[m]] for key in ("oof", "test", "base_levels")}
    )
    return replace(cross_fit_blend(project, "soft_vote", alone), weights=None)


def cross_fit_blend(
    project: Project,
    blend: BlendKind,
    members: outputs.MemberPredictions,
    *,
    series: Series = (),
) -> CrossFitted:
    """Cross-fit a blend of all members as the config says."""
    return outputs.cross_fit_members(
        project,
        blend,
        members.oof,
        members.test,
        base_levels=members.base_levels,
        series=series,
        **_what_is_fitted(project),
    )


def _what_is_fitted(project: Project) -> dict[str, Any]:
    """What is fitted besides weights."""
    config = project.config
    return {
        "calibrate": config.calibrate,
        "fit_decisions": outputs.fits_decisions(project),
        "fill": outputs.fill_of(project),
    }


def diversity(
    project: Project,
    members: outputs.MemberPredictions,
    contestants: list[dict[str, Any]],
    blends: dict[str, CrossFitted],
) -> dict[str, Any]:
    """Correlation of members' errors; the score of the best blend with all, and without each.

    Blends that take minutes to fit stand aside for the best of the others, or for `weighted`.
    """
    names, targets = list(project.config.members), project.competition.targets
    series = positions_by_round(project.config)
    quick = [e for e in contestants if e["is"] == "blend" and e["name"] not in SLOW]
    if quick:
        blend = best_of(project, quick)["name"]
        with_all = blends[blend].scored_oof
    else:
        blend = "weighted"
        with_all = cross_fit_blend(project, blend, members, series=series).scored_oof
    without = oof_without_each(
        blend,
        members.oof,
        targets,
        project.folds.folds,
        base_levels=members.base_levels,
        series=series,
        groups=project.folds.groups,
        **outputs.blend_settings(project),
        **_what_is_fitted(project),
    )
    left = dict(zip(names, without, strict=True)) if without else {}
    scores = {name: project.score(values) for name, values in left.items()}
    score = project.score(with_all)
    return {
        "error_correlation": {
            name: dict(zip(names, row, strict=True))
            for name, row in zip(
                names, error_correlation(members.oof, targets).tolist(), strict=True
            )
        },
        "left_out_of": blend,
        "score_with_all": score,
        "score_without": {
            name: None if np.isnan(value) else value
            for name, value in (dict.fromkeys(names, np.nan) | scores).items()
        },
        "better_without": {
            name: outputs.compare(project, left[name], with_all, level=LEVEL)
            for name in left
            if project.metric.is_better(scores[name], score)
        },
    }


def best_of(project: Project, contestants: list[dict[str, Any]]) -> dict[str, Any]:
    """The contestant that scores best."""
    return contestants[project.metric.best([entry["score"] for entry in contestants])]
