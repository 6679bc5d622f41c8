"""What to expect of a submission: on the test rows, on the public ones, against its rivals.

Test rows that differ from training rows get an estimate of their own, made without labels.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.config.schema import Learner
from pipeline.core import predictions
from pipeline.core.ledger import read_ledger
from pipeline.core.member_predictions import MemberPredictions
from pipeline.core.results import AgainstConstant, AgainstLast, Contestant, Estimate, Shift
from pipeline.core.scale import from_scale, to_scale
from pipeline.ensembles.base_rates import at_one_level
from pipeline.ensembles.contestants import compare
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.ensembles.decisions import has_rule
from pipeline.ensembles.fitting import BlendFitting
from pipeline.errors import UserError
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.estimates.constant import cross_fit_constant
from pipeline.estimates.evidence import Evidence
from pipeline.estimates.interval import interval_of_test_score
from pipeline.estimates.label_free import LabelFree, judge_test_rows
from pipeline.estimates.resampling import Resampling
from pipeline.estimates.shake_up import public_and_private, shake_up
from pipeline.project import Project


def estimate(
    project: Project,
    fitted: CrossFitted,
    *,
    members: MemberPredictions,
    chosen: Contestant,
    best_single: np.ndarray,
    current_blocks: list[str],
) -> dict[str, Any]:
    """Estimate the submission's score: on the test rows, on a public part, against a member.

    `low` and `high` are of the test rows' score, `score_low` and `score_high` of the out-of-fold
    score itself, `expected` is that score and what the mean of the folds' models gains over one.
    Where test rows differ from training rows, `expected`, `low` and `high` are made without labels,
    see `judge_test_rows`; `shift` says what was seen.

    Args:
        members: all of them, blended or not.
    """
    targets, config = project.competition.targets, project.config
    about = (project.metric, project.task, Resampling.of(project))
    test_rows, share = len(project.competition.test_ids), config.submission.public_share
    judged = _judged(project, fitted, members, current_blocks)
    if judged.differs and judged.by_way:
        expected, low, high = judged.expected, judged.low, judged.high
        gain = expected - chosen.score
    else:
        gain = judged.gain
        expected = chosen.score + gain
        low, high = interval_of_test_score(
            targets, fitted.scored_oof, *about, test_rows=test_rows, gain=gain
        )
    limits = project.metric.limits(targets, project.task)
    shaken = None
    if share is not None and test_rows > 1:
        rows = public_and_private(test_rows, share)
        rivals = (fitted.scored_oof, best_single)
        shaken = shake_up(targets, *rivals, *about, rows=rows, gain=gain)
    return {
        "estimate": Estimate(
            **vars(chosen) | {"low": low, "high": high},
            score_low=chosen.low,
            score_high=chosen.high,
            expected=float(np.clip(expected, *limits)),
            level=about[-1].level,
            seed=config.seed,
        ),
        "shift": Shift(
            *(judged.differs, judged.signals, judged.by_way),
            *(judged.expected, judged.low, judged.high),
        ),
        "better_than_best_single": compare(project, fitted.scored_oof, best_single),
        "shake_up": shaken,
    }


def constant_of(project: Project) -> CrossFitted:
    """Cross-fit the constant that the metric likes best."""
    folds, metric, task = project.folds, project.metric, project.task
    values = cross_fit_constant(project.competition.targets, folds.folds, metric, task)
    layers = np.stack([values[[np.argmax(folds.folds == k)]] for k in range(folds.num_folds)])
    ranked = None
    if metric.ranks:
        ranked = at_one_level(values, folds.folds, layers, task=task, metric=metric)
    return CrossFitted(values, layers, None, decided_oof=ranked, fill=BlendFitting.of(project).fill)


def against_constant(
    project: Project,
    constant: CrossFitted,
    fitted: CrossFitted,
    *,
    singles: dict[str, CrossFitted],
) -> AgainstConstant:
    """Compare the submission with a constant, and name the members that are no better than it."""
    to_beat = project.score(constant.scored_oof)
    return AgainstConstant(
        score=to_beat,
        no_better=[
            name
            for name, fit in singles.items()
            if not project.metric.is_better(project.score(fit.scored_oof), to_beat)
        ],
        **asdict(compare(project, fitted.scored_oof, constant.scored_oof)),
    )


def against_last(project: Project, oof: np.ndarray, fingerprint: str) -> AgainstLast | None:
    """Compare out-of-fold predictions (N, C) with the last submission's, on the same rows (paired).

    Returns:
        Of the ledger's last entry of another fingerprint; None if there is no such entry.
    """
    ledger = read_ledger(project.workspace.ledger)
    others = [entry for entry in ledger if entry["fingerprint"] != fingerprint]
    if not others:
        return None
    last = others[-1]
    named = {"submission": last["submission"], "score": last["score"]}
    try:
        rival = submitted_oof(project, last["submission"])
    except UserError as error:
        return AgainstLast(**named, refused=str(error))
    return AgainstLast(**named, **asdict(compare(project, oof, rival)))


def submitted_oof(project: Project, submission: str) -> np.ndarray:
    """Return a submission's out-of-fold predictions (N, C) for this project's rows and folds.

    Args:
        submission: its CSV, relative to the root.
    Raises:
        UserError: why they cannot be compared with predictions of this project.
    """
    csv = project.workspace.root / submission
    path = csv.with_suffix(".decided.npz")
    if not path.exists():  # decisions were not fitted
        path = csv.with_suffix(".npz")
    try:
        theirs = predictions.load(path, scale=None)
    except UserError:
        raise UserError(f"{path.name} is not there, or not readable") from None
    if differing := _what_differs(project, theirs):
        raise UserError(f"its {' and '.join(differing)} differ")
    values = theirs.in_order_of(project.competition.ids, where=str(path)).values
    if theirs.scale == (ours := project.competition.scale):
        return values
    return to_scale(from_scale(values, theirs.scale), ours)


def _judged(
    project: Project, fitted: CrossFitted, members: MemberPredictions, current_blocks: list[str]
) -> LabelFree:
    """Judge the test rows without labels; features are of the first block that a member uses."""
    config = project.config
    backbones = [name for member in config.members.values() for name in _backbones(member)]
    ready = [name for name in backbones if name in current_blocks]
    evidence = Evidence(
        fitted.scored_oof,
        project.competition.targets,
        fitted.submitted_test,
        project.folds.folds,
        metric=project.metric,
        task=project.task,
        groups=project.folds.groups,
        members_oof=members.oof,
        members_test=members.test,
        features=project.block(ready[0]) if ready else None,
    )
    resampling = Resampling.of(project)
    return judge_test_rows(
        evidence, gain=_gain(project, fitted), level=resampling.level, seed=resampling.seed
    )


def _backbones(member: Any) -> list[str]:
    """Return the blocks that a member is fitted on; a network has none."""
    return list(member.backbones) if isinstance(member, Learner) else []


def _gain(project: Project, fitted: CrossFitted) -> float:
    """Return what the mean of the folds' models gains; 0 where decisions are fitted."""
    metric, task = project.metric, project.task
    if BlendFitting.of(project).decisions and has_rule(metric, task):
        return 0.0
    targets, seed = project.competition.targets, project.config.seed
    return gain_of_averaging(fitted.test, fitted.oof, targets, metric, task, seed=seed)


def _what_differs(project: Project, rival: predictions.Predictions) -> list[str]:
    """Why predictions are not of the same rows, held out alike and blended for the same metric."""
    competition = project.competition
    ours = {
        "rows": set(competition.ids.tolist()),
        "classes": tuple(competition.classes),
        "metric": project.metric.name,
        "folds": project.folds.digest,
    }
    theirs = {
        "rows": set(rival.ids.tolist()),
        "classes": rival.classes,
        "metric": rival.meta.get("metric"),
        "folds": rival.meta.get("folds_digest"),
    }
    return [name for name in ours if ours[name] != theirs[name]]
