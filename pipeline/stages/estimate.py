"""What to expect of a submission: on the test rows, on the public ones, against a member."""

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.ensembles.averaging_gain import gain_of_averaging
from pipeline.ensembles.constant import cross_fit_constant
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.ensembles.interval import prediction_interval
from pipeline.ensembles.shake_up import shake_up
from pipeline.stages import outputs
from pipeline.stages.project import Project


def estimate(
    project: Project,
    fitted: CrossFitted,
    *,
    chosen: dict[str, Any],
    best_single: np.ndarray,
    level: float,
) -> dict[str, Any]:
    """What to expect of the submission: on the test rows, on a public part, against a member.

    `low` and `high` are of the test rows' score, `score_low` and `score_high` of the out-of-fold
    score itself, `expected` is that score and what the mean of the folds' models gains over one.
    """
    targets, config = project.competition.targets, project.config
    how = {"level": level, **outputs.bootstrap_settings(project)}
    test_rows, share = len(project.competition.test_ids), config.submission.public_share
    gain = _gain(project, fitted)
    size = {"test_rows": test_rows, "gain": gain}
    low, high = prediction_interval(targets, fitted.scored_oof, **size, **how)
    limits = project.metric.limits(targets, **project.scoring)
    shaken = None
    if share is not None and test_rows > 1:
        shaken = asdict(
            shake_up(targets, fitted.scored_oof, best_single, public_share=share, **size, **how)
        )
    return {
        "estimate": {
            **chosen,
            "score_low": chosen["low"],
            "score_high": chosen["high"],
            "expected": float(np.clip(chosen["score"] + gain, *limits)),
            "low": low,
            "high": high,
            "level": level,
            "seed": config.seed,
        },
        "better_than_best_single": outputs.compare(
            project, fitted.scored_oof, best_single, level=level
        ),
        "shake_up": shaken,
    }


def constant_of(project: Project) -> CrossFitted:
    """The constant that the metric likes best, fitted without the rows that it is scored on."""
    folds, how = project.folds, {"metric": project.metric, **project.scoring}
    values = cross_fit_constant(project.competition.targets, folds.folds, **how)
    layers = np.stack([values[[np.argmax(folds.folds == k)]] for k in range(folds.num_folds)])
    return CrossFitted(values, layers, None)


def against_constant(
    project: Project,
    constant: CrossFitted,
    fitted: CrossFitted,
    *,
    singles: dict[str, CrossFitted],
    level: float,
) -> dict[str, Any]:
    """Compare the submission with a constant, and name the members that are no better than it."""
    to_beat = project.score(constant.oof)
    return {
        "score": to_beat,
        "no_better": [
            name
            for name, fit in singles.items()
            if not project.metric.is_better(project.score(fit.scored_oof), to_beat)
        ],
        **outputs.compare(project, fitted.scored_oof, constant.oof, level=level),
    }


def _gain(project: Project, fitted: CrossFitted) -> float:
    """What the mean of the folds' models gains; 0 where a fitted rule bends what they say."""
    if outputs.fits_decisions(project):
        return 0.0
    return gain_of_averaging(
        fitted.test, fitted.oof, project.competition.targets, **outputs.blend_settings(project)
    )
