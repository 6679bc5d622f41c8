"""Train stage: reads folds, blocks or cached images; writes models/<c>/<member>/fold<k>/."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.errors import UserError
from pipeline.config.schema import Config, Learner
from pipeline.core import artifacts, predictions
from pipeline.core.metadata import encode_metadata
from pipeline.core.pseudo import PseudoLabels, choose_pseudo_labels
from pipeline.core.runtime import num_threads, stream_seed
from pipeline.data.images import ImageCache
from pipeline.learners.fit import fit_learner
from pipeline.networks.device import choose_device, choose_precision
from pipeline.networks.training import train_fold as train_network
from pipeline.stages.outputs import cross_fit_members, read_blocks, read_member
from pipeline.stages.plan import Plan
from pipeline.stages.project import Project, open_project

log = logging.getLogger(__name__)


def train_fold(
    folder: Path, fingerprint: str, *, config: Config, root: Path, member: str, fold: int
) -> None:
    """Fit one member on all rows but one fold's, and on what its teacher says of test rows."""
    project = open_project(config, root)
    settings = project.member(member)
    competition, folds = project.competition, project.folds.folds
    rows, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
    targets, weights = competition.targets[rows], np.ones(len(rows))
    if settings.pseudo is not None:
        taught = _pseudo_labels(project, member, fold)
        log.info("train %s fold %d: %d pseudo-labels", member, fold, len(taught.rows))
        rows = np.concatenate([rows, project.num_train + taught.rows])
        targets = np.concatenate([targets, taught.targets])
        weights = np.concatenate([weights, taught.weights])
    fit = _fit_learner if isinstance(settings, Learner) else _fit_network
    scores = fit(folder, project, member, fold, rows, targets, weights, held_out)
    ids = competition.ids[rows[rows < project.num_train]].tolist()
    artifacts.write_text(folder / "trained_on.txt", "".join(f"{row_id}\n" for row_id in ids))
    artifacts.finish(folder, fingerprint, member=member, fold=fold, rows=len(rows), **scores)


def _fit_learner(
    folder: Path,
    project: Project,
    member: str,
    fold: int,
    rows: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    held_out: np.ndarray,
) -> dict[str, Any]:
    settings, competition = project.member(member), project.competition
    blocks = read_blocks(project, member)
    metadata = encode_metadata(competition, held_out=held_out) if settings.metadata else None
    fitted = fit_learner(
        settings,
        {name: block[rows] for name, block in blocks.items()},
        targets,
        kind=competition.task.kind,
        levels=competition.levels,
        weights=weights,
        metadata=None if metadata is None else metadata[rows],
        groups=_groups(project, rows),
        seed=stream_seed(settings.seed, "learner", member, fold),
    )
    fitted.save(folder)
    return {}


def _groups(project: Project, rows: np.ndarray) -> np.ndarray:
    """(n,) what inner folds keep together; a pseudo-labelled row is on its own."""
    test_ids = [f"test {row_id}" for row_id in project.competition.test_ids]
    return np.concatenate([project.folds.groups, test_ids])[rows]


def _fit_network(
    folder: Path,
    project: Project,
    member: str,
    fold: int,
    rows: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    held_out: np.ndarray,
) -> dict[str, Any]:
    settings, competition = project.member(member), project.competition
    runtime = project.config.runtime
    backbone = project.config.backbones[settings.network]
    device = choose_device(runtime.device)
    spare = num_threads() - 1 if device.type != "cpu" else 0  # on a CPU, training needs them all
    return train_network(
        folder,
        settings,
        backbone,
        cache=ImageCache(Plan(project).cache(Plan(project).image_size(member)).folder),
        train_rows=rows,
        targets=targets,
        weights=weights,
        valid_rows=held_out,
        valid_targets=competition.targets[held_out],
        kind=competition.task.kind,
        metric=project.metric,
        levels=competition.levels,
        cut=backbone.cut,
        device=device.type,
        precision=choose_precision(runtime.precision, device),
        workers=min(8, spare) if runtime.workers is None else runtime.workers,
        seed=settings.seed,
        name=f"{member} fold {fold}",
    )


def _pseudo_labels(project: Project, member: str, fold: int) -> PseudoLabels:
    """What the teacher that never saw this fold says of the test rows (law 4).

    A blend as teacher is fitted without this fold's rows, on members of round 0, and applied to
    what their models of this fold say.
    """
    config, pseudo = project.config, project.config.members[member].pseudo
    plan = Plan(project)
    if pseudo.teacher in config.members:
        path = plan.predict(pseudo.teacher, fold).folder / "test.npz"
        said = predictions.load(
            path,
            classes=project.competition.classes,
            folds_digest=project.folds.digest,
            fold=fold,
        ).in_order_of(project.competition.test_ids, where=str(path))
        return choose_pseudo_labels(said.values, pseudo, kind=config.task.kind)
    names = plan.untaught_members
    if not names:
        raise UserError(f"member {member}: teacher {pseudo.teacher} has no members to blend.")
    joined = [read_member(project, name) for name in names]
    values = [(oof.values, test.values) for oof, test in joined]
    blended = cross_fit_members(project, pseudo.teacher, values)
    return choose_pseudo_labels(blended.test[fold], pseudo, kind=config.task.kind)
