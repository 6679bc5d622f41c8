"""What every stage opens first: the config, the competition's rows, the index of its images."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.config.schema import Config, Learner, Network
from pipeline.core.artifacts import is_current
from pipeline.core.competition import Competition, read_competition
from pipeline.core.folds import FoldTable, read_folds
from pipeline.core.metadata import encode_metadata
from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.core.workspace import BLOCK, Workspace
from pipeline.errors import UserError
from pipeline.images.decoding import ImageFiles
from pipeline.images.index import ImageIndex, refresh_index
from pipeline.images.view_decision import DEFAULT, ViewDecision, with_decision
from pipeline.metrics.find_metric import Metric, task_metric
from pipeline.metrics.own import try_metric
from pipeline.submission.find_form import find_form
from pipeline.submission.form import Form

CACHE_MARGIN = 1.15  # cached short side over the network's image size: room for random crops


@dataclass(frozen=True)
class Project:
    """A competition as it lies on disk now.

    Attributes:
        index: images of training rows, then of test rows.
        config: without `auto`; it stands for the default until `decision` is known.
        other_folds: looked at in place of folds.csv.
        decision: what `auto` stands for; None where the config says it nowhere.
    """

    config: Config
    workspace: Workspace
    competition: Competition
    index: ImageIndex
    other_folds: FoldTable | None = None
    decision: ViewDecision | None = None

    @property
    def num_train(self) -> int:
        """N: the first N images are training rows'."""
        return len(self.competition.ids)

    @cached_property
    def folds(self) -> FoldTable:
        """folds.csv, joined by id; `make folds` must have run."""
        if self.other_folds is not None:
            return self.other_folds
        return read_folds(self.workspace.folds_csv, self.competition.ids)

    @cached_property
    def metric(self) -> Metric:
        """The task's metric."""
        return task_metric(self.config.task, self.competition.classes)

    @property
    def positive_class(self) -> str:
        """The positive class and why it is that; empty where nothing depends on it."""
        competition, metric = self.competition, self.metric
        sure_of = metric.wants == "probabilities" and competition.sample_column is not None
        if competition.positive is None or not (metric.of_positive or sure_of):
            return ""
        return f"{competition.positive} ({competition.positive_from})"

    @cached_property
    def form(self) -> Form:
        """What the submission's columns hold."""
        return find_form(self.competition, self.metric, self.config.submission)

    @cached_property
    def train_index(self) -> ImageIndex:
        """Images of training rows."""
        return self.index.take(np.arange(self.num_train))

    @cached_property
    def test_index(self) -> ImageIndex:
        """Images of test rows."""
        return self.index.take(np.arange(self.num_train, len(self.index.paths)))

    @property
    def images(self) -> ImageFiles:
        """The original files, training rows' first."""
        paths = [self.competition.folder / path for path in self.index.paths.tolist()]
        return ImageFiles(paths, self.index.digests.tolist(), self.index.pixel_range)

    def image_size(self, member: str) -> int:
        """Side of the square that a network sees."""
        settings = self.config.members[member]
        return settings.image_size or self.config.backbones[settings.network].image_size

    def cached_side(self, member: str) -> int:
        """Short side of the cached images that a network is trained on."""
        return round(self.image_size(member) * CACHE_MARGIN)

    def current_blocks(self, fingerprints: dict[str, str]) -> list[str]:
        """Return the backbones whose blocks lie whole on disk, made by these fingerprints."""
        return [
            name
            for name, made_by in fingerprints.items()
            if is_current(self.workspace.block(name), made_by)
        ]

    def block(self, backbone: str) -> np.ndarray:
        """Return a backbone's features (N + N_test, V, D), from a memory map."""
        return np.load(self.workspace.block(backbone) / BLOCK, mmap_mode="r")

    def blocks(self, learner: str) -> dict[str, np.ndarray]:
        """Return a learner's blocks by name, each (N + N_test, V, D)."""
        return {name: self.block(name) for name in self.config.members[learner].backbones}

    def member(self, name: str) -> Learner | Network:
        """Return a member's settings, its seed filled in."""
        settings = self.config.members[name]
        seed = self.config.seed if settings.seed is None else settings.seed
        return settings.model_copy(update={"seed": seed})

    def metadata(self, learner: str, *, held_out: np.ndarray) -> np.ndarray | None:
        """CSV columns that a learner sees, encoded without rows held out: (N + N_test, P)."""
        if not self.config.members[learner].metadata:
            return None
        return encode_metadata(self.competition, held_out=held_out)

    @property
    def task(self) -> Task:
        """What is predicted."""
        return Task(
            self.config.task.kind, self.competition.levels, self.config.submission.threshold
        )

    def score(self, values: np.ndarray) -> float:
        """Score out-of-fold predictions (N, C) of all training rows."""
        return self.metric.score(self.competition.targets, values, self.task)


def open_project(config: Config, root: Path) -> Project:
    """Read and check everything under input/<competition>; open only images that are new.

    Raises:
        UserError: with all that is wrong.
    """
    task_metric(config.task)  # refuses before the CSVs are read
    workspace = Workspace(root, config.competition)
    competition = read_competition(workspace.input, config.task, config.data)
    if config.data.subset < 1:
        competition = competition.subset(config.data.subset, rng=stream(config.seed, "subset"))
    metric = task_metric(config.task, competition.classes)
    find_form(competition, metric, config.submission)  # refuses before images are looked at
    _check_metric(metric, competition, config)
    if not config.members:
        raise UserError("the config has no `members`: name at least one learner or network.")
    index = refresh_index(
        workspace.image_index,
        competition.folder,
        competition.paths,
        num_train=len(competition.ids),
        pixel_range=config.data.pixel_range,
    )
    return Project(with_decision(config, DEFAULT), workspace, competition, index)


def _check_metric(metric: Metric, competition: Competition, config: Config) -> None:
    """Refuse a metric that this competition's targets or classes do not fit, or that fails."""
    if config.task.is_regression:
        metric.refuse_targets(competition.targets)
    elif competition.levels is not None:
        metric.refuse_targets(competition.levels)
    task = Task(config.task.kind, competition.levels, config.submission.threshold)
    try_metric(metric, competition.targets, task)
