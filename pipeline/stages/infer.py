"""Infer stage: reads weights, writes oof.npz (N, C) and test.npz (K, N, C) of each member."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.errors import UserError
from pipeline.config.schema import Config
from pipeline.core import artifacts, predictions
from pipeline.core.external import read_external
from pipeline.core.folds import ALL_ROWS
from pipeline.core.predictions import Predictions
from pipeline.stages.outputs import ALL_ROWS_TEST, read_fold_test
from pipeline.stages.plan import Plan
from pipeline.stages.predicting import predict_rows
from pipeline.stages.project import Project, open_project

log = logging.getLogger(__name__)


def predict_fold(
    folder: Path, fingerprint: str, *, config: Config, root: Path, member: str, fold: int
) -> None:
    """One fold's model on the rows that it held out and on the test rows, in one pass (law 5)."""
    project = open_project(config, root)
    competition = project.competition
    held_out = np.flatnonzero(project.folds.folds == fold)
    rows = np.concatenate([held_out, np.arange(project.num_train, len(project.index.paths))])
    values, view_values = predict_rows(project, member, fold, rows)
    meta = _meta(project, member, fingerprint) | {"fold": fold}
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
    np.save(folder / "oof_views.npy", view_values[:, : len(held_out)])
    artifacts.finish(folder, fingerprint, member=member, fold=fold)


def join_folds(folder: Path, fingerprint: str, *, config: Config, root: Path, member: str) -> None:
    """All folds' predictions as one oof and one test file; refuse what saw its own row (law 3)."""
    project = open_project(config, root)
    competition, folds, plan = project.competition, project.folds, Plan(project)
    oof_values = np.full((project.num_train, len(competition.classes)), np.nan)
    test_values, view_values = [], []
    for fold in range(folds.num_folds):
        part = plan.predict(member, fold).folder
        expected = {"folds_digest": folds.digest, "fold": fold, "member": member}
        held_out = np.flatnonzero(folds.folds == fold)
        oof = predictions.load(part / "oof.npz", classes=competition.classes, **expected)
        refuse_seen_rows(oof.ids, plan.train(member, fold).folder / "trained_on.txt")
        oof = oof.in_order_of(competition.ids[held_out], where=str(part / "oof.npz"))
        oof_values[held_out] = oof.values
        test_values.append(read_fold_test(project, member, fold))
        view_values.append((held_out, np.load(part / "oof_views.npy")))
    meta = _meta(project, member, fingerprint)
    meta["view_scores"] = _view_scores(project, view_values)
    if config.members[member].all_rows:
        said = read_fold_test(project, member, ALL_ROWS)
        all_rows = Predictions(competition.test_ids, said, competition.classes, meta=meta)
        all_rows.save(folder / ALL_ROWS_TEST)
    oof = Predictions(competition.ids, oof_values, competition.classes, folds.folds, meta)
    test = Predictions(competition.test_ids, np.stack(test_values), competition.classes, meta=meta)
    _finish_member(folder, fingerprint, project, member, oof, test)


def adopt_external(
    folder: Path, fingerprint: str, *, config: Config, root: Path, member: str
) -> None:
    """Predictions that were made elsewhere, as a member's oof and test files."""
    project = open_project(config, root)
    source = root / config.members[member].external
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
    artifacts.finish(
        folder, fingerprint, member=member, metric=project.metric.name, oof_score=score
    )
    log.info("infer %s oof %s %.4f -> %s", member, project.metric.name, score, folder)


def refuse_seen_rows(ids: np.ndarray, trained_on: Path) -> None:
    """Check that a model never learnt from the rows that it is scored on.

    Args:
        trained_on: the ids that the model was fitted on, one a line.
    Raises:
        UserError: naming some that it saw.
    """
    if seen := sorted(set(ids.tolist()) & set(trained_on.read_text().splitlines())):
        raise UserError(
            f"{trained_on.parent}: this model was trained on {len(seen)} of the rows that it is "
            f"scored on, e.g. {seen[:3]}. Delete the folder and run `make train infer` again."
        )


def _view_scores(project: Project, parts: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Out-of-fold score of each view alone, to tell which helps."""
    views = project.config.tta.views
    scores = {}
    for index, view in enumerate(views):
        values = np.empty((project.num_train, len(project.competition.classes)))
        for rows, view_values in parts:
            values[rows] = view_values[index]
        scores[view] = project.score(values)
    return scores


def _meta(project: Project, member: str, fingerprint: str) -> dict[str, Any]:
    config = project.config
    return {
        "competition": config.competition,
        "task": config.task.kind,
        "metric": config.task.metric,
        "member": member,
        "folds_digest": project.folds.digest,
        "views": config.tta.views,
        "average": config.tta.average,
        "fingerprint": fingerprint,
    }
