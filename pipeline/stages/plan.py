"""Plan stage: predicts the time and memory of jobs from a few batches of each kind, run here.

Features, caches and networks are timed on sampled training images. A learner is timed on few rows,
and its time grows as a power of the number of rows.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.backbones.device import BATCH, Hardware
from pipeline.backbones.engines import make_engine
from pipeline.backbones.extraction import Frozen, compute_features, prepare_frozen
from pipeline.config.schema import Learner, Network
from pipeline.core.runtime import GIB, num_threads, stream
from pipeline.images.cache import ImageCache
from pipeline.images.cache_building import build_cache
from pipeline.learners.search import fit_searched
from pipeline.networks.cost import peak_memory_gib
from pipeline.networks.inference import predict_views
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import EARLY_EPOCHS, TrainingData, create_loaders
from pipeline.networks.training_run import create_fabric
from pipeline.project import Project

LEARNER_ROWS = 256  # and twice as many: a learner's time is extrapolated from these
GROWTH = (0.5, 2.2)  # a learner's time grows with the number of rows to a power in this range
LEARNER_BYTES = 16  # of memory per feature: 32-bit features, and a 64-bit copy on principal axes
START_SECONDS = 2.0  # of a job: opening files, building a network
LEARNER_START_SECONDS = 0.1
LATER_GIB = 0.4  # what later stages load beside what is measured here: LightGBM, SciPy, blocks
# Blending: seconds of a run, and of a row, class and member; measured on the shared competitions.
BLEND_SECONDS, BLEND_SECONDS_PER_VALUE = 10.0, 2e-4


@dataclass(frozen=True)
class Cost:
    """What a job is predicted to take.

    Attributes:
        seconds: of wall time. gib: of memory, of the GPU where a network runs on one.
        disk_gib: that its files take.
    """

    seconds: float
    gib: float = 0.0
    disk_gib: float = 0.0


@dataclass(frozen=True)
class NetworkSpeed:
    """A network's seconds per image, the memory that it takes, and the disk of its weights."""

    train: float
    predict: float
    gib: float
    disk_gib: float


class Predictor:
    """Predicts what jobs cost here; each backbone, network and learner is measured once."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._measured: dict[tuple[str, str | int], Any] = {}

    def cost(self, function: str, arguments: dict[str, Any]) -> Cost:
        """Predict the cost of a job by its function, "package.module:name", and its arguments."""
        predict = {
            "make_block": self._block,
            "make_cache": self._cache,
            "train_fold": self._train,
            "predict_fold": self._predict,
            "blend_members": self._blend,
        }.get(function.rpartition(":")[2])
        return Cost(0.0) if predict is None else predict(arguments)

    def _block(self, arguments: dict[str, Any]) -> Cost:
        start, per_image, features = self._once("block", arguments["backbone"], self._time_block)
        images = len(self.project.all_images.paths)
        disk = images * features[0].nbytes / GIB
        gib = peak_memory_gib(self._hardware.device) + LATER_GIB
        return Cost(start + images * per_image, gib, disk)

    def _cache(self, arguments: dict[str, Any]) -> Cost:
        side = arguments["short_side"]
        cache, per_image = self._once("cache", side, self._sample_cache)
        images = len(self.project.all_images.paths)
        return Cost(START_SECONDS + images * per_image, disk_gib=images * _image_gib(cache))

    def _train(self, arguments: dict[str, Any]) -> Cost:
        project, member, fold = self.project, arguments["member"], arguments["fold"]
        settings = project.config.members[member]
        num_valid = int(np.sum(project.folds.held_out(fold)))
        num_rows = project.num_train - num_valid
        if settings.pseudo is not None:
            num_rows += len(project.competition.test_ids)
        if isinstance(settings, Learner):
            return self._once("learner", member, self._time_learner)(num_rows)
        speed = self._once("network", member, self._time_network)
        epochs = project.member(member).epochs
        early = EARLY_EPOCHS * (1 - settings.early_size**2)
        per_epoch = num_rows * speed.train * (1 - early) + num_valid * speed.predict
        return Cost(START_SECONDS + epochs * per_epoch, speed.gib, speed.disk_gib)

    def _predict(self, arguments: dict[str, Any]) -> Cost:
        project, member = self.project, arguments["member"]
        num_rows = np.sum(project.folds.held_out(arguments["fold"]))
        num_rows += len(project.competition.test_ids)
        if isinstance(project.config.members[member], Learner):
            return Cost(LEARNER_START_SECONDS)
        speed = self._once("network", member, self._time_network)
        images = num_rows * len(project.config.tta.views)
        return Cost(START_SECONDS + images * speed.predict, speed.gib)

    def _blend(self, arguments: dict[str, Any]) -> Cost:
        project = arguments["project"]
        values = project.competition.targets.size * len(project.config.members)
        return Cost(BLEND_SECONDS + values * BLEND_SECONDS_PER_VALUE)

    def _once(self, kind: str, which: str | int, measure: Callable[[Any], Any]) -> Any:
        if (kind, which) not in self._measured:
            self._measured[kind, which] = measure(which)
        return self._measured[kind, which]

    @cached_property
    def _hardware(self) -> Hardware:
        return Hardware.of(self.project.config.runtime, trains=False)

    def _sampled(self, count: int) -> np.ndarray:
        """Return (n,) training rows, drawn at random, in order."""
        draw = stream(self.project.config.seed, "plan").permutation(self.project.num_train)
        return np.sort(draw[:count])

    def _time_block(self, backbone: str) -> tuple[float, float, np.ndarray]:
        """Return seconds to start, seconds per image, and the sample's features (n, V, D)."""
        config, hardware = self.project.config, self._hardware
        started, settings = time.monotonic(), config.backbones[backbone]
        model = prepare_frozen(settings, hardware.device)
        passes = len(self.project.images.paths) * len(config.tta.views)
        engine = make_engine(model, hardware, passes=passes)
        rows = self._sampled(3 * BATCH[hardware.device.type])
        chunk = tuple(config.tta.views), list(range(len(rows)))
        frozen, device = [Frozen(model, settings, engine)], hardware.device
        images = self.project.images.take(rows)
        compute_features(frozen, images, (chunk[0], [0]), device=device)
        created = time.monotonic()
        (features,) = compute_features(frozen, images, chunk, device=device)
        return created - started, (time.monotonic() - created) / len(rows), features

    def _sample_cache(self, short_side: int) -> tuple[ImageCache, float]:
        """Return a cache of sampled images in a temporary folder, and its seconds per image."""
        rows = self._sampled(3 * BATCH[self._hardware.device.type])
        images = self.project.images.take(rows)
        folder = Path(self._folder.name) / f"{short_side}px"
        folder.mkdir()
        started = time.monotonic()
        cache = build_cache(
            folder, "sample", images=images, short_side=short_side, threads=num_threads()
        )
        return cache, (time.monotonic() - started) / len(images.paths)

    @cached_property
    def _folder(self) -> tempfile.TemporaryDirectory:
        return tempfile.TemporaryDirectory()

    def _time_network(self, member: str) -> NetworkSpeed:
        """Train two epochs of sampled images and predict them twice; the second time counts."""
        project, settings = self.project, self.project.member(member)
        assert isinstance(settings, Network)
        side = project.cached_side(member)
        cache, _ = self._once("cache", side, self._sample_cache)
        rows, hardware = self._sampled(len(cache)), Hardware.of(project.config.runtime)
        backbone = project.config.backbones[settings.network]
        view = {"image_size": project.image_size(member), "cut": backbone.cut}
        targets, none = project.competition.targets[rows], np.empty(0, dtype=int)
        data = TrainingData(
            cache=cache,
            task=project.task,
            rows=np.arange(len(rows)),
            targets=targets,
            weights=np.ones(len(rows)),
            valid_rows=none,
            valid_targets=targets[none],
            **view,
        )
        trainer = Trainer(
            create_fabric(hardware),
            settings.model_copy(update={"swa_epochs": 0}),
            backbone,
            data,
            folder=Path(self._folder.name),
            name=member,
            seed=0,
        )
        loaders = create_loaders(data, settings, workers=hardware.workers, seed=0)
        for epoch in range(2):
            loaders.batches.epoch = epoch
            _, cost = trainer.train_epoch(loaders.train, epoch)
        for _ in range(2):
            started = time.monotonic()
            predict_views(
                trainer.final,
                cache,
                np.arange(len(rows)),
                ["original"],
                hardware=hardware,
                **view,
            )
        predict = (time.monotonic() - started) / len(rows)
        gib = peak_memory_gib(hardware.device)
        if hardware.device.type == "cpu":
            # Pages of the whole cache, which are read in the end, count as the process's memory.
            gib += LATER_GIB + len(project.all_images.paths) * _image_gib(cache)
        return NetworkSpeed(
            train=1 / cost.images_per_second,
            predict=predict,
            gib=gib,
            disk_gib=sum(weight.nbytes for weight in trainer.final.state_dict().values()) / GIB,
        )

    def _time_learner(self, member: str) -> Callable[[int], Cost]:
        """Fit on few rows and on twice as many; return the cost by the number of rows."""
        settings = self.project.member(member)
        counts, seconds = (LEARNER_ROWS, 2 * LEARNER_ROWS), []
        metadata = self.project.metadata(member, held_out=np.empty(0, dtype=int))
        for count in counts:
            rows = np.resize(self._sampled(count), count)
            blocks = {name: self._features(name, count) for name in settings.backbones}
            started = time.monotonic()
            fit_searched(
                settings,
                blocks,
                self.project.competition.targets[rows],
                self.project.task,
                metadata=None if metadata is None else metadata[rows],
                seed=0,
            )
            seconds.append(time.monotonic() - started)
        growth = np.clip(math.log2(max(seconds[1], 1e-3) / max(seconds[0], 1e-3)), *GROWTH)
        dims = sum(np.prod(block.shape[1:]) for block in blocks.values())

        def cost(num_rows: int) -> Cost:
            grown = seconds[1] * max(1.0, num_rows / counts[1]) ** growth
            return Cost(LEARNER_START_SECONDS + grown, num_rows * dims * LEARNER_BYTES / GIB)

        return cost

    def _features(self, backbone: str, count: int) -> np.ndarray:
        """Return features (count, V, D) like those of a backbone: sampled ones, and noise."""
        _, _, sample = self._once("block", backbone, self._time_block)
        rng = stream(0, "plan features", backbone, count)
        drawn = sample[rng.integers(len(sample), size=count)]
        noise = rng.standard_normal(drawn.shape, dtype=np.float32)
        return drawn + sample.std(axis=0) * noise / 2


def _image_gib(cache: ImageCache) -> float:
    """Return what a resized image takes on average."""
    return float(cache.offsets[-1]) / len(cache) / GIB
