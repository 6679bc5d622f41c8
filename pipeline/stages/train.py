"""Train stage: reads folds, blocks or cached images; writes models/<c>/<member>/fold<k>/."""

import logging
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.backbones.device import choose_device, choose_precision, choose_workers
from pipeline.config.members import STACKED
from pipeline.config.schema import Learner, Network
from pipeline.core import artifacts
from pipeline.core.folds import ALL_ROWS, model_name
from pipeline.core.runtime import stream_seed
from pipeline.members.fold_data import FoldRows, fit_fold, fold_rows, network_lesson
from pipeline.members.outputs import TRAINED_ON
from pipeline.members.pseudo_labels import in_words
from pipeline.members.stacking_features import stacked_training_block
from pipeline.networks.training import FILES as NETWORK_FILES
from pipeline.networks.training import train_fold as train_network
from pipeline.project import Project

log = logging.getLogger(__name__)


def train_fold(folder: Path, fingerprint: str, *, project: Project, member: str, fold: int) -> None:
    """Fit one member on all rows but one fold's, and on what its teachers say.

    Rows that decide when a network stops count as trained on.
    """
    rows = fold_rows(project, member, fold)
    if rows.taught is not None:
        said = in_words(rows.taught, project.competition.classes)
        log.info("train %s %s %s", member, model_name(fold), said)
    is_learner = isinstance(project.member(member), Learner)
    fit = _fit_learner if is_learner else _fit_network
    files, scores = fit(folder, project, member, fold, rows)
    ids = project.competition.ids[rows.rows[rows.rows < project.num_train]].tolist()
    artifacts.write_text(folder / TRAINED_ON, "".join(f"{row_id}\n" for row_id in ids))
    files = [*files, TRAINED_ON]
    meta = {"member": member, "fold": fold, "rows": len(rows.rows), **scores}
    artifacts.finish(folder, fingerprint, files=files, **meta)


def _fit_learner(
    folder: Path,
    project: Project,
    member: str,
    fold: int,
    rows: FoldRows,
) -> tuple[list[str], dict[str, Any]]:
    seed = stream_seed(project.member(member).seed, "learner", member, fold)
    blocks = project.blocks(member)
    if project.member(member).stacks:
        blocks[STACKED] = stacked_training_block(project, member, fold)
    fitted = fit_fold(project, member, rows, blocks, seed=seed)
    files = fitted.save(folder)
    if not (found := fitted.searched):
        return files, {}
    log.info(
        "train %s %s search %d trials%s loss %.4f before %.4f %.1fs chosen %s",
        member,
        model_name(fold),
        found["trials"],
        " (out of time)" if found["out_of_time"] else "",
        found["loss"],
        found["loss_before"],
        found["seconds"],
        found["chosen"],
    )
    return files, {"searched": found}


def _fit_network(
    folder: Path,
    project: Project,
    member: str,
    fold: int,
    rows: FoldRows,
) -> tuple[list[str], dict[str, Any]]:
    settings, runtime = _with_known_epochs(project, member, fold), project.config.runtime
    device = choose_device(runtime.device)
    scores = train_network(
        folder,
        settings,
        project.config.backbones[settings.network],
        network_lesson(project, member, fold, rows),
        metric=project.metric,
        device=device.type,
        precision=choose_precision(runtime.precision, device),
        workers=choose_workers(runtime.workers, device),
        seed=settings.seed,
        name=f"{member} {model_name(fold)}",
    )
    return list(NETWORK_FILES), scores


def _with_known_epochs(project: Project, member: str, fold: int) -> Network:
    """A network's settings; for all rows, with as many epochs as its folds used."""
    settings = project.member(member)
    if fold != ALL_ROWS or not settings.patience:
        return settings
    folders = [project.workspace.fold(member, other) for other in project.folds.models_in(0)]
    used = [artifacts.read_meta(folder)["epoch_used"] for folder in folders]
    return settings.model_copy(update={"epochs": round(median(used))})
