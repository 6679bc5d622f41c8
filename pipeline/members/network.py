"""A network as a member: fine-tuned on the images of one fold."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np

from pipeline.backbones.device import Hardware
from pipeline.config.schema import Network
from pipeline.core import artifacts
from pipeline.core.averaging import average_values
from pipeline.core.folds import ALL_ROWS, model_name
from pipeline.core.runtime import stream_seed
from pipeline.errors import UserError, first_line
from pipeline.learners.linear_probe import fit_linear_probe
from pipeline.members.member import FoldData, inner_groups
from pipeline.networks.inference import predict_views
from pipeline.networks.network import WEIGHTS, load_network
from pipeline.networks.training_data import FitHead, TrainingData, set_aside
from pipeline.networks.training_run import CHECKPOINT, FILES, TrainingRun
from pipeline.project import Project

log = logging.getLogger(__name__)

LOST_WORKER = "DataLoader worker"  # in torch's message


@dataclass(frozen=True)
class NetworkMember:
    """A `Member` whose settings are a `Network`'s."""

    project: Project
    name: str
    resumes_from: ClassVar[tuple[str, ...]] = (CHECKPOINT,)

    def fit(self, data: FoldData, folder: Path) -> tuple[list[str], dict[str, Any]]:
        """Fine-tune on the fold's images; a run that was stopped goes on where it was.

        Where a process that reads images is killed, most often for lack of memory, half as many
        go on from the last epoch; their number changes no result.
        """
        settings, config = self._with_known_epochs(data.fold), self.project.config
        hardware = Hardware.of(config.runtime)
        while True:
            run = TrainingRun(
                folder,
                settings,
                config.backbones[settings.network],
                training_data(self.project, self.name, data),
                metric=self.project.metric,
                hardware=hardware,
                name=f"{self.name} {model_name(data.fold)}",
            )
            try:
                return list(FILES), run.train()
            except RuntimeError as error:
                if not hardware.workers or LOST_WORKER not in str(error):
                    raise
                log.warning("%s", first_line(error))
            hardware = replace(hardware, workers=hardware.workers // 2)
            log.warning("going on with runtime.workers: %d", hardware.workers)

    def predict(self, fold: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows from their cached images; of several, a row gets the mean."""
        project, config = self.project, self.project.config
        settings, hardware = project.member(self.name), Hardware.of(config.runtime)
        backbone = config.backbones[settings.network]
        network = load_network(
            project.workspace.fold(self.name, fold),
            settings,
            backbone,
            num_classes=len(project.competition.classes),
            task=project.task,
        )
        images, owners = project.row_images.of(rows)
        view_values = predict_views(
            network,
            project.cache(self.name),
            images,
            config.tta.views,
            image_size=project.image_size(self.name),
            cut=backbone.cut,
            hardware=hardware,
        )
        view_values = mean_of_rows(view_values, owners, len(rows))
        average = average_values(view_values, config.tta.average, task=project.task)
        return average, view_values

    def _with_known_epochs(self, fold: int) -> Network:
        """Return the settings; for all rows, with as many epochs as the folds used."""
        project, settings = self.project, self.project.member(self.name)
        if fold != ALL_ROWS or not settings.patience:
            return settings
        folders = [project.workspace.fold(self.name, k) for k in project.folds.models_in(0)]
        used = [artifacts.read_meta(folder)["epoch_used"] for folder in folders]
        return settings.model_copy(update={"epochs": round(median(used))})


def mean_of_rows(values: np.ndarray, owners: np.ndarray, num_rows: int) -> np.ndarray:
    """Return the mean of each row's images: (V, M, C) to (V, n, C).

    Args:
        owners: (M,) the row of each image, ascending.
    """
    if len(owners) == num_rows:
        return values
    counts = np.bincount(owners, minlength=num_rows)
    return np.add.reduceat(values, np.cumsum(counts) - counts, axis=1) / counts[:, None]


def training_data(project: Project, member: str, data: FoldData) -> TrainingData:
    """Return a fold's rows as images, without those that decide when the training stops.

    Each of a row's images has the row's target, and an equal part of its weight.
    """
    settings, competition = project.member(member), project.competition
    inner = _deciding_rows(project, member, data)
    taught = ~inner & ~_tied_to(inner, project, data)
    learnt, start = data.rows[taught], settings.start
    images, owners = project.row_images.of(learnt)
    valid_images, of_valid = project.row_images.of(data.held_out)
    inner_images, of_inner = project.row_images.of(data.rows[inner])
    return TrainingData(
        cache=project.cache(member),
        image_size=project.image_size(member),
        cut=project.config.backbones[settings.network].cut,
        task=project.task,
        rows=images,
        targets=np.asarray(data.targets[taught], dtype=float)[owners],
        weights=_shared(data.weights[taught], owners),
        inner_rows=inner_images,
        inner_targets=data.targets[inner][of_inner],
        valid_rows=valid_images,
        valid_targets=competition.targets[data.held_out][of_valid],
        teacher=None if data.teacher is None else data.teacher[learnt][owners],
        start_weights=start and project.workspace.fold(start.member, data.fold) / WEIGHTS,
        fit_head=_linear_probe(project, member, data, taught),
    )


def _shared(weights: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return weights (M,) of images, whose sums for rows are in proportion to theirs (n,)."""
    counts = np.bincount(owners, minlength=len(weights))
    return weights[owners] / counts[owners] * counts.mean()


def _linear_probe(
    project: Project, member: str, data: FoldData, learnt: np.ndarray
) -> FitHead | None:
    """Return what fits the head's first weights on some of the rows that are learnt."""
    settings = project.member(member)
    keeps_head = settings.start is not None and settings.start.head == "keep"
    if settings.init != "linear_probe" or keeps_head:
        return None
    _, owners = project.row_images.of(data.rows[learnt])
    targets, weights = data.targets[learnt][owners], _shared(data.weights[learnt], owners)
    groups = inner_groups(project, data.rows[learnt])[owners]

    def fit_head(features: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return fit_linear_probe(
            features,
            targets[chosen],
            project.task,
            weights=weights[chosen],
            groups=groups[chosen],
            seed=stream_seed(settings.seed, "linear probe", data.fold),
        )

    return fit_head


def _deciding_rows(project: Project, member: str, data: FoldData) -> np.ndarray:
    """(n,) which of a fold's rows are kept from a network to decide when it stops.

    None without `patience`, and none for a model of all rows, whose folds have decided. Never a
    pseudo-labelled one. They are drawn by seed and fold alone, so that a network that starts from
    another's weights decides by rows that these have not seen either.
    """
    fold, settings = data.fold, project.member(member)
    aside = np.zeros(len(data.rows), dtype=bool)
    if not settings.patience or fold == ALL_ROWS:
        return aside
    if settings.start is not None and not _keeps_the_same(project, member):
        log.warning(
            "the weights that %s starts from have seen the rows that decide when it stops, so it "
            "may stop too soon; give %s patience, the same patience_share and seed",
            member,
            settings.start.member,
        )
    labelled = int((data.rows < project.num_train).sum())
    try:
        aside[:labelled] = set_aside(
            data.targets[:labelled],
            project.folds.groups[data.rows[:labelled]],
            share=settings.patience_share,
            task=project.task,
            seed=stream_seed(settings.seed, "inner rows", fold),
        )
    except UserError as error:
        raise UserError(f"members.{member} {model_name(fold)}: {error}") from None
    return aside


def _tied_to(inner: np.ndarray, project: Project, data: FoldData) -> np.ndarray:
    """(n,) which extra rows show again, or share a group with, rows that decide when to stop."""
    if not project.extra or not inner.any():
        return np.zeros(len(data.rows), dtype=bool)
    groups = inner_groups(project, data.rows)
    return (data.rows >= project.num_rows) & np.isin(groups, groups[inner])


def _keeps_the_same(project: Project, member: str) -> bool:
    """Whether all networks that a network starts from keep the same rows aside."""
    settings = project.member(member)
    if settings.start is None:
        return True
    before = project.member(settings.start.member)
    same = (before.seed, before.patience_share) == (settings.seed, settings.patience_share)
    return same and before.patience > 0 and _keeps_the_same(project, settings.start.member)
