"""Ensemble stage: reads members' oof and test; writes the submission and its summary.

NAME.csv, NAME.npz (N, C) out of fold, NAME.test.npz (N_test, C), NAME.json, a line in the ledger.
Where decisions are fitted, NAME.decided.npz and NAME.decided.test.npz hold what the CSV is made of.
"""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import artifacts
from pipeline.core.ledger import add_to_ledger
from pipeline.core.member_predictions import MemberPredictions
from pipeline.core.predictions import Predictions
from pipeline.core.results import Choice, Contestant, GrowingErrors, WrittenForm
from pipeline.core.summary import Summary
from pipeline.ensembles.choice import best_blend, choose_by_fold
from pipeline.ensembles.contestants import (
    best_of,
    contestant,
    cross_fit_members,
    diversity,
    single,
)
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.ensembles.estimate import against_constant, against_last, constant_of, estimate
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.rounds import gains_of_students
from pipeline.errors import UserError
from pipeline.estimates.growing_errors import growing_errors_text, growth_of_errors
from pipeline.members import outputs
from pipeline.metrics.own import describe, is_own
from pipeline.project import Project
from pipeline.submission.mixing import mix
from pipeline.submission.writing import fill_columns, values_of_columns, write_submission

log = logging.getLogger(__name__)


def blend_members(
    folder: Path, fingerprint: str, *, project: Project, blocks: dict[str, str]
) -> None:
    """Blend, score each blend without the rows it was fitted on, submit the best."""
    config, members = project.config, outputs.read_members(project)
    if is_own(project.metric):
        log.info("metric %s", describe(project.metric))
    refuse_undefined(project, dict(zip(config.members, members.oof, strict=True)))
    singles = {name: single(project, members, m) for m, name in enumerate(config.members)}
    fitting = BlendFitting.of(project)
    blends = {name: cross_fit_members(project, name, members, fitting) for name in config.blends}
    _log_left_out(list(config.members), blends)
    constant = constant_of(project)
    contestants = _score_each(project, members, singles, blends)
    member_diversity = diversity(project, members, contestants, blends)
    best_single = best_of(project, [entry for entry in contestants if entry.kind == "member"])
    name, fitted, choice = _choose(project, singles, blends)
    if name == "best":
        contestants.append(contestant(project, name, "blend", fitted))
    contestants.append(contestant(project, "constant", "", constant))
    chosen = next(entry for entry in contestants if entry.name == name)
    refuse_undefined(project, {name: fitted.scored_oof})
    stem = f"{name}_{project.metric.name}_{chosen.score:.4f}_{fingerprint[:6]}"
    csv = folder / f"{stem.replace(':', '.')}.csv"
    predictions = _write_predictions(project, csv, fitted, fingerprint)
    mixed = _write_mixed(project, csv, fitted)
    summary = Summary(
        **_project_facts(project),
        submission=str(csv.relative_to(project.workspace.root)),
        form=_form(project, fitted, chosen.score, mixed),
        choice=choice,
        **estimate(
            project,
            fitted,
            members=members,
            chosen=chosen,
            best_single=singles[best_single.name].scored_oof,
            current_blocks=project.current_blocks(blocks),
        ),
        against_constant=against_constant(project, constant, fitted, singles=singles),
        best_single=best_single.name,
        better_than_last=against_last(project, fitted.scored_oof, fingerprint),
        contestants=contestants,
        diversity=member_diversity,
        rounds=gains_of_students(
            project,
            {name: fit.scored_oof for name, fit in singles.items()},
            next(iter(blends.values())).stays,
        ),
        members=members.meta,
        fingerprint=fingerprint,
        growing_errors=_growing_errors(project, fitted.scored_oof),
    )
    summary_json = csv.with_suffix(".json")
    summary.write(summary_json)
    add_to_ledger(project.workspace, summary, digests=_digests(project))
    files = [path.name for path in (csv, summary_json, *predictions, *mixed)]
    artifacts.finish(folder, fingerprint, files=files, summary=summary_json.name)
    log.info("-> %s", csv)


def refuse_undefined(project: Project, values: dict[str, np.ndarray]) -> None:
    """Refuse a metric that has no score for any of some predictions (N, C) of all training rows.

    Raises:
        UserError: with the reason of the first.
    """
    if any(np.isfinite(project.score(of_one)) for of_one in values.values()):
        return
    metric, (name, first) = project.metric, next(iter(values.items()))
    inputs = metric.inputs(project.competition.targets, first, project.task)
    score = metric.function(*inputs)  # one of the user's own says why it failed
    raise UserError(
        f"task.metric: {metric.name} is {score} for the out-of-fold predictions of {name} "
        f"({project.num_train} rows): there is nothing to blend by or to expect. Use a metric that "
        "is defined for these targets, or correct yours."
    )


def _score_each(
    project: Project,
    members: MemberPredictions,
    singles: dict[str, CrossFitted],
    blends: dict[str, CrossFitted],
) -> list[Contestant]:
    """Score members, alone and as they predict, and blends."""
    scored = [
        replace(contestant(project, name, "member", fit), as_predicted=project.score(values))
        for (name, fit), values in zip(singles.items(), members.oof, strict=True)
    ]
    return scored + [contestant(project, name, "blend", fit) for name, fit in blends.items()]


def _project_facts(project: Project) -> dict[str, Any]:
    """Return what a summary says of the competition, its metric and its folds."""
    return {
        "competition": project.config.competition,
        "metric": project.metric.name,
        "greater_is_better": project.metric.greater_is_better,
        "positive_class": project.positive_class,
        "folds": project.folds.num_folds,
        "repeats": project.folds.num_repeats,
        "rows": project.num_train,
        "test_rows": len(project.competition.test_ids),
        "config": project.config,
    }


def _digests(project: Project) -> dict[str, str]:
    """Return digests of the data: `make diff` says which of them differ between submissions."""
    competition = project.competition
    return {
        "training rows": competition.rows_digest,
        "test rows": competition.test_digest,
        "training images": project.digest_of_train_images,
        "test images": project.digest_of_test_images,
        "folds": project.folds.digest,
    }


def _log_left_out(names: list[str], blends: dict[str, CrossFitted]) -> None:
    """Log which members blends leave out: near-copies, and those no better than a constant.

    Log which blends are soft votes, where fitted weights did not gain.
    """
    some = next(iter(blends.values()))
    for name, useless in zip(names, some.useless.sum(axis=0).tolist(), strict=True):
        if useless:
            log.info(
                "leaves out %s: no better than a constant in %d of %d folds",
                *(name, useless, len(some.useless)),
            )
    for name, fit in blends.items():
        if fit.is_equal.any():
            log.info(
                "%s is a soft vote in %d of %d folds: on rows left out, the fit was "
                "no better than that, or not surely better than a constant",
                *(name, fit.is_equal.sum(), len(fit.is_equal)),
            )
    first = some.first
    for m, name in enumerate(names):
        others = first[first[:, m] != m, m]
        if len(others):
            original = names[np.bincount(others).argmax()]
            log.info(
                "leaves out %s: a near-copy of %s in %d of %d folds",
                *(name, original, len(others), len(first)),
            )


def _choose(
    project: Project, singles: dict[str, CrossFitted], blends: dict[str, CrossFitted]
) -> tuple[str, CrossFitted, Choice | None]:
    """Return what is submitted: the config's choice, or each fold's best by the other folds.

    Returns:
        Its name (`best` where folds choose different blends), it, and what the choice cost.
    """
    wanted = project.config.submission.blend
    if wanted != "best":
        return wanted, {**singles, **blends}[wanted], None
    targets, how = project.competition.targets, (project.metric, project.task)
    rule = project.config.submission.choice
    fitted, by_fold = choose_by_fold(
        *(blends, targets, project.folds.folds, *how), choice=rule, groups=project.folds.groups
    )
    favourite = best_blend(blends, targets, *how)
    naive, nested = project.score(blends[favourite].scored_oof), project.score(fitted.scored_oof)
    counts = Counter(name for names in by_fold for name in names).most_common()
    log.info(
        "blends by fold: %s; %s %.4f; %s alone, chosen by the rows that score it, %.4f",
        ", ".join(f"{name} in {count} of {len(by_fold)}" for name, count in counts),
        *(project.metric.name, nested, favourite, naive),
    )
    name = by_fold[0][0] if by_fold == by_fold[:1] * len(by_fold) and len(counts) == 1 else "best"
    return name, fitted, Choice(rule, by_fold, nested, naive, favourite)


def _form(
    project: Project, fitted: CrossFitted, score: float, mixed: dict[Path, str]
) -> WrittenForm:
    """Return how predictions are written, and their out-of-fold score as they are written.

    Args:
        mixed: files with submissions made elsewhere, and what is in them.
    """
    form, competition = project.form, project.competition
    threshold = project.config.submission.threshold
    columns = fill_columns(fitted.scored_oof, competition, form, threshold=threshold)
    written = project.score(values_of_columns(columns, competition, form))
    for fact in form.facts:
        log.info("%s", fact)
    unchanged = np.isclose(written, score, equal_nan=True)
    warnings = (*form.warnings, *mixed.values())
    return WrittenForm(form.holds, form.facts, warnings, None if unchanged else written)


def _write_mixed(project: Project, csv: Path, fitted: CrossFitted) -> dict[Path, str]:
    """Write the submission mixed with those made elsewhere; return the file and what it is."""
    settings, weights = project.config.submission, project.config.submission.mix
    if not weights:
        return {}
    others = dict(zip(project.submissions_to_mix, weights.values(), strict=True))
    about = (project.competition, project.form, project.metric)
    path = csv.with_suffix(".mixed.csv")
    write_submission(
        path,
        mix(fitted.submitted, others, *about),
        competition=project.competition,
        metric=project.metric,
        settings=settings,
    )
    parts = ", ".join(f"{weight:.0%} {name}" for name, weight in weights.items())
    return {path: f"{path.name} holds {parts}: the estimate is of {csv.name}, not of it"}


def _growing_errors(project: Project, oof: np.ndarray) -> tuple[GrowingErrors, ...]:
    """Return and log targets whose out-of-fold errors grow with the prediction (N, C)."""
    competition = project.competition
    if not project.task.is_regression:
        return ()
    correlations = growth_of_errors(oof, competition.targets)
    found = tuple(
        GrowingErrors(name, float(correlation), competition.scale)
        for name, correlation in zip(competition.classes, correlations, strict=True)
        if correlation > 0
    )
    for one in found:
        log.info("%s", growing_errors_text(one))
    return found


def _write_predictions(
    project: Project, csv: Path, fitted: CrossFitted, fingerprint: str
) -> list[Path]:
    """Write the submission, and the blend's predictions of train, out of fold, and of test.

    The submission is made by the very blends that the estimate was made with (law 9).

    Probabilities and decisions are apart: label errors are found by the former, scores are of the
    latter.

    Returns:
        The files of the predictions.
    """
    write_submission(
        csv,
        fitted.submitted,
        competition=project.competition,
        metric=project.metric,
        settings=project.config.submission,
    )
    meta = project.competition.scale_entry | {
        "competition": project.config.competition,
        "metric": project.metric.name,
        "folds_digest": project.folds.digest,
        "fingerprint": fingerprint,
    }
    competition, folds = project.competition, project.folds.folds
    saved = {"": (fitted.oof, fitted.test.mean(0))}
    if fitted.decided_oof is not None or fitted.fill is not None:
        saved[".decided"] = (fitted.scored_oof, fitted.submitted)
    written = []
    for what, (oof, test) in saved.items():
        train = Predictions(competition.ids, oof, competition.classes, folds, meta)
        unlabelled = Predictions(competition.test_ids, test, competition.classes, meta=meta)
        for part, ending in ((train, "npz"), (unlabelled, "test.npz")):
            written.append(csv.with_suffix(f"{what}.{ending}"))
            part.save(written[-1])
    return written
