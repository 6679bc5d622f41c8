"""Infer stage: reads weights, writes oof.npz (N, C) and test.npz (K, N, C) of each member."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import artifacts
from pipeline.core.folds import ALL_ROWS
from pipeline.core.predictions import Predictions
from pipeline.members.external import read_external
from pipeline.members.get_member import predict_rows
from pipeline.members.outputs import (
    ALL_ROWS_TEST,
    TRAINED_ON,
    read_fold_test,
    read_repeat,
)
from pipeline.project import Project

log = logging.getLogger(__name__)

OOF_VIEWS = "oof_views.npy"  # (V, n, C) of the rows held out, each view alone


def predict_fold(
    folder: Path, fingerprint: str, *, project: Project, member: str, fold: int
) -> None:
    """One fold's model on the rows that it held out and on the test rows, in one pass (law 5)."""
    competition = project.competition
    held_out = np.flatnonzero(project.folds.held_out(fold))
    rows = np.concatenate([held_out, np.arange(project.num_train, project.num_rows)])
    values, view_values = predict_rows(project, member, fold, rows)
    mean = competition.targets[~project.folds.held_out(fold)].mean(axis=0)
    values[project.unreadable[rows]] = mean
    meta = _meta(project, member, fingerprint)
    meta |= {"fold": fold, "folds_digest": project.folds.digest_of(fold)}
    oof = Predictions(
        competition.ids[held_out],
        values[: len(held_out)],
        competition.classes,
        folds=np.full(len(held_out), fold),
        meta=meta,
    )
    oof.save(folder / "oof.npz")
    test = Predictions(
        competition.test_ids, values[len(held_out) :], competition.classes, meta=meta
    )
    test.save(folder / "test.npz")
    with artifacts.replacing(folder / OOF_VIEWS) as temporary:
        np.save(temporary, view_values[:, : len(held_out)])
    with artifacts.replacing(folder / TRAINED_ON) as temporary:  # the model may go, this stays
        shutil.copyfile(project.workspace.fold(member, fold) / TRAINED_ON, temporary)
    files = ["oof.npz", "test.npz", OOF_VIEWS, TRAINED_ON]
    artifacts.finish(folder, fingerprint, files=files, member=member, fold=fold)


def join_folds(folder: Path, fingerprint: str, *, project: Project, member: str) -> None:
    """All models' predictions as one oof and one test file; refuse what saw its own row (law 3).

    Of several repeats, each row gets the mean of the R models that held it out, and so does each of
    the K test layers, so that a layer is a predictor of the kind that oof is scored with.
    """
    competition, folds = project.competition, project.folds
    said = [read_repeat(project, member, repeat) for repeat in range(folds.num_repeats)]
    oof_values, test_values = (np.mean(values, axis=0) for values in zip(*said, strict=True))
    meta = _meta(project, member, fingerprint)
    meta["view_scores"] = _view_scores(project, member)
    (folder / ALL_ROWS_TEST).unlink(missing_ok=True)
    if project.config.members[member].all_rows:
        of_all_rows = read_fold_test(project, member, ALL_ROWS)
        all_rows = Predictions(competition.test_ids, of_all_rows, competition.classes, meta=meta)
        all_rows.save(folder / ALL_ROWS_TEST)
    oof = Predictions(competition.ids, oof_values, competition.classes, folds.folds, meta)
    test = Predictions(competition.test_ids, test_values, competition.classes, meta=meta)
    _finish_member(folder, fingerprint, project, member, oof, test)


def adopt_external(folder: Path, fingerprint: str, *, project: Project, member: str) -> None:
    """Predictions that were made elsewhere, as a member's oof and test files."""
    source = project.workspace.root / project.config.members[member].external
    meta = _meta(project, member, fingerprint) | {"views": [], "average": None}
    oof, test = read_external(source, project.competition, project.folds, meta=meta)
    _finish_member(folder, fingerprint, project, member, oof, test)


def _finish_member(
    folder: Path,
    fingerprint: str,
    project: Project,
    member: str,
    oof: Predictions,
    test: Predictions,
) -> None:
    oof.save(folder / "oof.npz")
    test.save(folder / "test.npz")
    score = project.score(oof.values)
    files = ["oof.npz", "test.npz", *(path.name for path in folder.glob(ALL_ROWS_TEST))]
    meta = {"member": member, "metric": project.metric.name, "oof_score": score}
    artifacts.finish(folder, fingerprint, files=files, **meta)
    log.info("out of fold: %s %.4f", project.metric.name, score)


def _view_scores(project: Project, member: str) -> dict[str, float]:
    """Out-of-fold score of each view alone, to tell which helps."""
    views, folds = project.config.tta.views, project.folds
    values = np.zeros((len(views), project.num_train, len(project.competition.classes)))
    for fold in folds.models:
        said = np.load(project.workspace.fold_predictions(member, fold) / OOF_VIEWS)
        values[:, folds.held_out(fold)] += said / folds.num_repeats
    return {view: project.score(alone) for view, alone in zip(views, values, strict=True)}


def _meta(project: Project, member: str, fingerprint: str) -> dict[str, Any]:
    config = project.config
    return project.competition.scale_entry | {
        "competition": config.competition,
        "task": config.task.kind,
        "metric": config.task.metric,
        "member": member,
        "folds_digest": project.folds.digest,
        "views": config.tta.views,
        "average": config.tta.average,
        "fingerprint": fingerprint,
    }
