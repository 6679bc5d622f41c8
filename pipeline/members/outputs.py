"""What one stage reads of another's artifacts, checked on the way."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.schema import BlendKind
from pipeline.core import artifacts, predictions
from pipeline.core.predictions import Predictions
from pipeline.ensembles.base_rates import model_levels
from pipeline.ensembles.cross_fit import CrossFitted, Fill, cross_fit
from pipeline.ensembles.decisions import has_rule
from pipeline.errors import UserError
from pipeline.estimates.interval import probability_better
from pipeline.project import Project
from pipeline.submission.writing import filling

ALL_ROWS_TEST = "test_all_rows.npz"  # (N_test, C)
TRAINED_ON = "trained_on.txt"  # ids of the rows that a model learnt from, one a line


def read_member(
    project: Project, member: str, *, for_submission: bool = False
) -> tuple[Predictions, Predictions]:
    """A member's oof (N, C) and test (K, N_test, C), in the order of the competition's rows.

    Args:
        for_submission: let a model of all rows, where the member has one, stand for each fold's;
            never for what teaches or is scored.
    Raises:
        UserError: if they were made of other rows, classes or folds.
    """
    competition, folder = project.competition, project.workspace.member(member)
    made_as, found = artifacts.fingerprint_of(folder), []
    for name, ids in (("oof.npz", competition.ids), ("test.npz", competition.test_ids)):
        path = folder / name
        loaded = predictions.load(
            path,
            classes=competition.classes,
            competition=project.config.competition,
            folds_digest=project.folds.digest,
            fingerprint=made_as,
        )
        found.append(loaded.in_order_of(ids, where=str(path)))
    oof, test = found
    if for_submission and project.config.members[member].all_rows:
        path = folder / ALL_ROWS_TEST
        said = predictions.load(path, classes=competition.classes, fingerprint=made_as)
        said = said.in_order_of(competition.test_ids, where=str(path)).values
        test = replace(test, values=np.repeat(said[None], len(test.values), axis=0))
    predictions.check_folds(oof, project.folds.folds, where=str(folder / "oof.npz"))
    return oof, test


@dataclass(frozen=True)
class MemberPredictions:
    """All members' predictions, stacked in the order of the config.

    Attributes:
        oof: (M, N, C).
        test: (M, K, N_test, C), a model of all rows in place of each fold's where there is one.
        base_levels: (M, K, C) of the folds' models, see `base_rates.model_levels`.
        meta: of each member's oof.
    """

    oof: np.ndarray
    test: np.ndarray
    base_levels: np.ndarray
    meta: dict[str, dict[str, Any]]


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
        base_levels=model_levels(layers, kind=project.config.task.kind),
        meta={name: oof.meta for name, (oof, _) in found.items()},
    )


def read_repeat(project: Project, member: str, repeat: int) -> tuple[np.ndarray, np.ndarray]:
    """What a member's K models of one repeat say: oof (N, C) and test (K, N_test, C).

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
        oof = predictions.load(path, classes=competition.classes, **expected)
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
    """What one model of a member says of the test rows, in their order: (N_test, C).

    Raises:
        UserError: if it was made of other rows, classes or folds.
    """
    folder = project.workspace.fold_predictions(member, fold)
    path = folder / "test.npz"
    expected = {"folds_digest": project.folds.digest_of(fold), "fold": fold, "member": member}
    expected["fingerprint"] = artifacts.fingerprint_of(folder)
    test = predictions.load(path, classes=project.competition.classes, **expected)
    return test.in_order_of(project.competition.test_ids, where=str(path)).values


def cross_fit_members(
    project: Project,
    blend: BlendKind,
    oof: np.ndarray,
    test: np.ndarray,
    *,
    repeat: int = 0,
    **settings: Any,
) -> CrossFitted:
    """Cross-fit a blend of members' oof (M, N, C) and test (M, K, N_test, C) on a repeat."""
    return cross_fit(
        blend,
        oof,
        test,
        project.competition.targets,
        project.folds.repeats[repeat],
        groups=project.folds.groups,
        **blend_settings(project),
        **settings,
    )


def blend_settings(project: Project) -> dict[str, Any]:
    """How blends are fitted, wherever they are."""
    return {"metric": project.metric, "seed": project.config.seed, **project.scoring}


def fits_decisions(project: Project) -> bool:
    """Whether thresholds, cut-points or factors are fitted: by the config and the metric."""
    config = project.config
    wanted = config.submission.decisions == "fitted"
    return wanted and has_rule(project.metric, config.task.kind)


def fill_of(project: Project) -> Fill | None:
    """What gives rows without a label the one that the submission gives them; None: none."""
    if project.metric.wants != "labels":
        return None
    return filling(project.form, threshold=project.config.submission.threshold)


def compare(
    project: Project, ours: np.ndarray, rival: np.ndarray, *, level: float
) -> dict[str, float]:
    """Whether predictions (N, C) of training rows are better than a rival's: `probability_better`.

    Returns:
        probability, low and high.
    """
    settings = bootstrap_settings(project)
    found = probability_better(project.competition.targets, ours, rival, level=level, **settings)
    return dict(zip(("probability", "low", "high"), found, strict=True))


def bootstrap_settings(project: Project) -> dict[str, Any]:
    """How rows are resampled wherever scores are: groups and copies whole."""
    return {
        **blend_settings(project),
        "groups": project.folds.groups,
        "stratified": project.config.submission.test_split == "stratified",
    }
