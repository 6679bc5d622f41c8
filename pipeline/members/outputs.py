"""What one stage reads of another's artifacts, checked on the way."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import artifacts, predictions
from pipeline.core.member_predictions import MemberPredictions
from pipeline.core.predictions import Predictions
from pipeline.ensembles.base_rates import model_levels
from pipeline.errors import UserError
from pipeline.project import Project

ALL_ROWS_TEST = "test_all_rows.npz"  # (N_test, C)
TRAINED_ON = "trained_on.txt"  # ids of the rows that a model learnt from, one a line


def read_member(
    project: Project, member: str, *, for_submission: bool = False
) -> tuple[Predictions, Predictions]:
    """Read a member's oof (N, C) and test (K, N_test, C), in the order of the competition's rows.

    Args:
        for_submission: let a model of all rows, where the member has one, stand for each fold's;
            never for a teacher or a score.
    Raises:
        UserError: if they were made of other rows, classes or folds.
    """
    competition, folder = project.competition, project.workspace.member(member)
    made_as, found = artifacts.fingerprint_of(folder), []
    for name, ids in (("oof.npz", competition.ids), ("test.npz", competition.test_ids)):
        path = folder / name
        loaded = _load(
            project,
            path,
            competition=project.config.competition,
            folds_digest=project.folds.digest,
            fingerprint=made_as,
        )
        found.append(loaded.in_order_of(ids, where=str(path)))
    oof, test = found
    if for_submission and project.config.members[member].all_rows:
        path = folder / ALL_ROWS_TEST
        all_rows = _load(project, path, fingerprint=made_as)
        all_rows = all_rows.in_order_of(competition.test_ids, where=str(path)).values
        test = replace(test, values=np.repeat(all_rows[None], len(test.values), axis=0))
    predictions.check_folds(oof, project.folds.folds, where=str(folder / "oof.npz"))
    return oof, test


def read_members(project: Project) -> MemberPredictions:
    """Read all members' predictions for the submission.

    Raises:
        UserError: if they were made of other rows, classes or folds.
    """
    found = {name: read_member(project, name) for name in project.config.members}
    submitted = {
        name: read_member(project, name, for_submission=True)[1] for name in project.config.members
    }
    layers = np.stack([test.values for _, test in found.values()])
    return MemberPredictions(
        oof=np.stack([oof.values for oof, _ in found.values()]),
        test=np.stack([test.values for test in submitted.values()]),
        base_levels=model_levels(layers, task=project.task),
        meta={name: oof.meta for name, (oof, _) in found.items()},
    )


def read_repeat(project: Project, member: str, repeat: int) -> tuple[np.ndarray, np.ndarray]:
    """Read predictions of a member's K models of one repeat: oof (N, C) and test (K, N_test, C).

    Raises:
        UserError: if it was made of other rows, classes or folds, or a model saw a row of its own.
    """
    competition, folds = project.competition, project.folds
    oof_values, test_values = np.full((project.num_train, len(competition.classes)), np.nan), []
    for fold in folds.models_in(repeat):
        folder, held_out = project.workspace.fold_predictions(member, fold), folds.held_out(fold)
        path = folder / "oof.npz"
        expected = {"folds_digest": folds.digest_of(fold), "fold": fold, "member": member}
        expected["fingerprint"] = artifacts.fingerprint_of(folder)
        oof = _load(project, path, **expected)
        refuse_seen_rows(oof.ids, folder / TRAINED_ON)
        oof_values[held_out] = oof.in_order_of(competition.ids[held_out], where=str(path)).values
        test_values.append(read_fold_test(project, member, fold))
    return oof_values, np.stack(test_values)


def refuse_seen_rows(ids: np.ndarray, trained_on: Path) -> None:
    """Check that a model never learnt from the rows that it is scored on.

    Args:
        trained_on: the ids that the model was fitted on, one a line.
    Raises:
        UserError: naming some that it saw.
    """
    if seen := sorted(set(ids.tolist()) & set(trained_on.read_text(encoding="utf-8").split("\n"))):
        raise UserError(
            f"{trained_on.parent}: this model was trained on {len(seen)} of the rows that it is "
            f"scored on, e.g. {seen[:3]}. Delete the folder and run `make train infer` again."
        )


def read_fold_test(project: Project, member: str, fold: int) -> np.ndarray:
    """Read one model's predictions of the test rows, in their order: (N_test, C).

    Raises:
        UserError: if it was made of other rows, classes or folds.
    """
    folder = project.workspace.fold_predictions(member, fold)
    path = folder / "test.npz"
    expected = {"folds_digest": project.folds.digest_of(fold), "fold": fold, "member": member}
    expected["fingerprint"] = artifacts.fingerprint_of(folder)
    test = _load(project, path, **expected)
    return test.in_order_of(project.competition.test_ids, where=str(path)).values


def _load(project: Project, path: Path, **expected: Any) -> Predictions:
    """Read predictions of the competition's classes, on its scale."""
    competition = project.competition
    return predictions.load(path, classes=competition.classes, scale=competition.scale, **expected)
