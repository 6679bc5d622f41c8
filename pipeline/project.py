"""What every stage opens first: the config, the competition's rows, the index of its images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.config.network import auto_epochs
from pipeline.config.schema import Config, Learner, Network, Transform
from pipeline.core.archives import with_unpacked
from pipeline.core.artifacts import fingerprint, is_current
from pipeline.core.competition import Competition
from pipeline.core.extra_rows import ExtraRows
from pipeline.core.extra_ties import ExtraTies, read_ties
from pipeline.core.folds import FoldTable, read_folds
from pipeline.core.metadata import encode_metadata
from pipeline.core.read_competition import read_competition
from pipeline.core.row_images import RowImages
from pipeline.core.runtime import stream
from pipeline.core.scale import is_skewed
from pipeline.core.task import Task
from pipeline.core.workspace import BLOCK, Workspace
from pipeline.errors import UserError
from pipeline.images.cache import ImageCache
from pipeline.images.decoding import UNREADABLE, ImageFiles
from pipeline.images.index import ImageIndex
from pipeline.images.refresh_index import refresh_index
from pipeline.images.view_decision import DEFAULT, ViewDecision, with_decision
from pipeline.metrics.find_metric import Metric, scale_of, task_metric
from pipeline.metrics.metric import RowError
from pipeline.metrics.own import try_metric
from pipeline.submission.find_form import find_form
from pipeline.submission.form import Form

CACHE_MARGIN = 1.15  # cached short side over the network's image size: room for random crops


@dataclass(frozen=True)
class Project:
    """A competition as it lies on disk now.

    Attributes:
        index: images of training rows, then of test rows; of several, a row's first one.
        config: without `auto`; it stands for the default until `decision` is known.
        other_folds: looked at in place of folds.csv.
        decision: what `auto` stands for; None where the config says it nowhere.
        failed: why members could not be made, by their names; they are not in `config`.
        every_image: the images of all rows, where rows have several; None: `index` has them.
    """

    config: Config
    workspace: Workspace
    competition: Competition
    index: ImageIndex
    other_folds: FoldTable | None = None
    decision: ViewDecision | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    every_image: ImageIndex | None = None

    @property
    def num_train(self) -> int:
        """N: the first N images are training rows'."""
        return len(self.competition.ids)

    @property
    def num_rows(self) -> int:
        """N + N_test: training rows, then test rows; extra rows have the numbers after them."""
        return self.num_train + len(self.competition.test_ids)

    @property
    def extra(self) -> tuple[ExtraRows, ...]:
        """Rows that are learnt from and never held out."""
        return self.competition.extra

    @property
    def num_extra(self) -> int:
        """E: the number of extra rows."""
        return sum(map(len, self.extra))

    @cached_property
    def extra_ties(self) -> ExtraTies:
        """Which training rows must not be held out where an extra row is learnt from."""
        return read_ties(self.workspace.extra_csv, self.competition.ids)

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
        sure_of = (
            metric.wants in ("probabilities", "shares") and competition.sample_column is not None
        )
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
    def all_images(self) -> ImageIndex:
        """All images of training, test and extra rows, those of a row together."""
        return self.index if self.every_image is None else self.every_image

    @property
    def row_images(self) -> RowImages:
        """Which of `all_images` are a row's."""
        return self.competition.row_images

    @cached_property
    def unreadable(self) -> np.ndarray:
        """(N + N_test,) whether one of a row's images cannot be read."""
        return self.row_images.any_of(self.all_images.has_remark(UNREADABLE))

    @cached_property
    def digest_of_images(self) -> str:
        """Digest of the images of all rows."""
        return self.index.digest if self.every_image is None else self._digest_of(slice(None))

    @cached_property
    def digest_of_train_images(self) -> str:
        """Digest of the images of training rows."""
        if self.every_image is None:
            return self.train_index.digest
        return self._digest_of(slice(0, self.num_train))

    @cached_property
    def digest_of_test_images(self) -> str:
        """Digest of the images of test rows."""
        if self.every_image is None:
            return self.test_index.digest
        return self._digest_of(slice(self.num_train, self.num_rows))

    @cached_property
    def digest_of_learnt_images(self) -> str:
        """Digest of the images of training and extra rows, and of which extra rows a fold sees."""
        if not self.extra:
            return self.digest_of_train_images
        of_extra = self._digest_of(slice(self.num_rows, None))
        ties = self.extra_ties.digest
        return fingerprint(train=self.digest_of_train_images, extra=of_extra, ties=ties)

    def _digest_of(self, rows: slice) -> str:
        counts = self.row_images.counts[rows]
        images, _ = self.row_images.of(np.arange(len(self.row_images.counts))[rows])
        digests = self.all_images.digests[images].tolist()
        return fingerprint(digests=digests, images_of_rows=counts.tolist())

    @property
    def submissions_to_mix(self) -> list[Path]:
        """Submissions made elsewhere, in the order of `submission.mix`."""
        return [self.workspace.root / name for name in self.config.submission.mix]

    @property
    def images(self) -> ImageFiles:
        """The original files of `all_images`."""
        index = self.all_images
        paths = [self.competition.folder / path for path in index.paths.tolist()]
        to_rgb = index.to_rgb(self.config.data.bands)
        return ImageFiles(paths, index.digests.tolist(), to_rgb)

    def image_size(self, member: str) -> int:
        """Side of the square that a network sees."""
        settings = self.config.members[member]
        return settings.image_size or self.config.backbones[settings.network].image_size

    def cached_side(self, member: str) -> int:
        """Short side of the cached images that a network is trained on."""
        return round(self.image_size(member) * CACHE_MARGIN)

    def cache(self, network: str) -> ImageCache:
        """Return the resized images that a network sees, in the order of `all_images`."""
        return ImageCache(self.workspace.image_cache(self.cached_side(network)))

    def current_blocks(self, fingerprints: dict[str, str]) -> list[str]:
        """Return the backbones whose blocks lie whole on disk, made by these fingerprints."""
        return [
            name
            for name, made_by in fingerprints.items()
            if is_current(self.workspace.block(name), made_by)
        ]

    def image_features(self, backbone: str) -> np.ndarray:
        """Return a backbone's features of `all_images` (M, V, D), from a memory map."""
        return np.load(self.workspace.block(backbone) / BLOCK, mmap_mode="r")

    def block(self, backbone: str, *, pool: str = "mean", with_extra: bool = False) -> np.ndarray:
        """Return a backbone's features (N + N_test, V, D), from a memory map.

        Args:
            pool: how features of several images become a row's.
            with_extra: whether extra rows follow.
        """
        features = self.row_images.pool(self.image_features(backbone), pool)
        return features if with_extra or not self.extra else features[: self.num_rows]

    def blocks(self, learner: str) -> dict[str, np.ndarray]:
        """Return a learner's blocks by name, each (N + N_test + E, V, D) with E extra rows."""
        settings = self.config.members[learner]
        how = {"pool": settings.pool_images, "with_extra": True}
        return {name: self.block(name, **how) for name in settings.backbones}

    def member(self, name: str) -> Learner | Network:
        """Return a member's settings, its seed and number of epochs filled in."""
        settings = self.config.members[name]
        known = {"seed": self.config.seed if settings.seed is None else settings.seed}
        if isinstance(settings, Network) and settings.epochs == "auto":
            known["epochs"] = auto_epochs(self.num_train)
        return settings.model_copy(update=known)

    def with_members(self, names: Iterable[str]) -> "Project":
        """Return the project with some of its members, in the config's order."""
        config, names, submission = self.config, set(names), self.config.submission
        members = {name: member for name, member in config.members.items() if name in names}
        if submission.blend in config.members and submission.blend not in members:
            submission = submission.model_copy(update={"blend": "best"})
        changed = config.model_copy(update={"members": members, "submission": submission})
        return replace(self, config=changed)

    def metadata(self, learner: str, *, held_out: np.ndarray) -> np.ndarray | None:
        """CSV columns that a learner sees, encoded without rows held out: (N + N_test, P)."""
        if not self.config.members[learner].metadata:
            return None
        return encode_metadata(self.competition, held_out=held_out)

    @property
    def task(self) -> Task:
        """What is predicted."""
        return _task(self.config, self.competition)

    def transform_of(self, targets: np.ndarray, *, stacks: bool = False) -> Transform:
        """Return what a learner does with a fold's targets (n, C), on the task's scale.

        One that stacks others chooses nothing: they saw the labels that it would choose by.
        """
        asked = self.config.task.transform
        if asked == "auto":
            tries = self.row_error and self.competition.scale == "none" and not stacks
            tries = tries and is_skewed(targets)
            return "auto" if tries else "none"
        # The scale may be what is asked for.
        return "none" if asked == self.competition.scale else asked

    @property
    def row_error(self) -> RowError:
        """Return the error of a row that a regression's metric averages, on the task's scale."""
        return self.metric.row_error if self.config.task.is_regression else ""

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
    folder = with_unpacked(workspace, config.data)
    competition = read_competition(folder, config.task, config.data, config.submission)
    if config.data.subset < 1:
        competition = competition.subset(config.data.subset, rng=stream(config.seed, "subset"))
    metric = task_metric(config.task, competition.classes)
    find_form(competition, metric, config.submission)  # refuses before images are looked at
    _check_metric(metric, competition, config)
    competition = competition.with_training_only(config.folds)
    _check_extra(config, competition)
    competition = competition.on_scale(scale_of(config.task, metric, competition.targets))
    if not config.members:
        raise UserError("the config has no `members`: name at least one learner or network.")
    num_train = len(competition.ids)
    index = refresh_index(
        workspace.image_index(config.data.bands),
        competition.folder,
        competition.paths,
        num_train=int(competition.row_images.counts[:num_train].sum()),
        pixel_range=config.data.pixel_range,
        bands=config.data.bands,
        skip_unreadable=config.data.unreadable == "skip",
    )
    row_images, unreadable = competition.row_images, index.has_remark(UNREADABLE)
    numbers, num_rows = np.arange(len(row_images.counts)), num_train + len(competition.test_ids)
    is_test = (numbers >= num_train) & (numbers < num_rows)
    kept = ~row_images.any_of(unreadable) | is_test
    index = index.take(kept[row_images.rows_of_images()])
    competition = competition.without_unreadable(unreadable)
    _check_pooling(config, competition.row_images)
    has_more = not competition.row_images.are_single or bool(competition.extra)
    num_rows = len(competition.ids) + len(competition.test_ids)
    return Project(
        *(with_decision(config, DEFAULT), workspace, competition),
        index.take(competition.row_images.first[:num_rows]) if has_more else index,
        every_image=index if has_more else None,
    )


def _check_extra(config: Config, competition: Competition) -> None:
    """Refuse members that cannot learn from extra rows."""
    for name, member in config.members.items():
        if competition.extra and isinstance(member, Learner) and member.stacks:
            raise UserError(
                f"members.{name}: `stacks` needs predictions of each row that it learns from by "
                "models that have not seen it, and every model sees the extra rows (data.extra, or "
                "-1 in folds.column). Leave `stacks` or the extra rows out."
            )


def _check_pooling(config: Config, row_images: RowImages) -> None:
    """Refuse learners that join the features of a row's images where rows have other numbers."""
    counts = row_images.counts
    for name, member in config.members.items():
        joins = isinstance(member, Learner) and member.pool_images == "concat"
        if joins and len(np.unique(counts)) > 1:
            raise UserError(
                f"members.{name}: `pool_images: concat` needs as many images in each row, and rows "
                f"have {counts.min()} to {counts.max()}. Use mean, max or mean_max."
            )


def _check_metric(metric: Metric, competition: Competition, config: Config) -> None:
    """Refuse a metric that this competition's targets or classes do not fit, or that fails."""
    if config.task.is_regression:
        metric.refuse_targets(competition.targets)
    elif competition.levels is not None:
        metric.refuse_targets(competition.levels)
    if config.task.transform == "log1p" and (low := competition.targets.min()) < 0:
        raise UserError(
            f"task.transform: log1p needs targets of at least 0, found {low:g}. Use yeo_johnson or "
            "quantile, which take any number, or leave it out."
        )
    try_metric(metric, competition.targets, _task(config, competition))


def _task(config: Config, competition: Competition) -> Task:
    """Return what is predicted, for code that knows no config."""
    levels, threshold = competition.levels, config.submission.threshold
    return Task(config.task.kind, levels, threshold, competition.scale)
