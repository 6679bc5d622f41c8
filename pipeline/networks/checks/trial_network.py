"""A network to be checked, and the trainers and batches that checks need."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.backbones.device import Hardware
from pipeline.config.schema import Backbone, Network
from pipeline.core.runtime import stream
from pipeline.images.batches import FoldImages
from pipeline.images.sampling import copy_numbers
from pipeline.networks.mixing import Batch, mix_batch
from pipeline.networks.parameter_groups import set_trainable
from pipeline.networks.schedules import peak_learning_rate
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import TrainingData, create_loaders
from pipeline.networks.training_run import create_fabric, without_noise

BATCH = 16  # images that are overfitted, and the most in any batch on a CPU


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        name: of the check. status: ok; look: a person should judge; failed.
        text: in plain words. numbers: JSON values, also for figures.
    """

    name: str
    status: str
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialNetwork:
    """A network and its data as they would be trained, without a teacher or start weights.

    Attributes:
        settings: the member's, `distill` and `start` left out.
        folder: for a batch that makes the loss infinite.
        seed: of the training, so that its batches are the same.
    """

    settings: Network
    backbone: Backbone
    data: TrainingData
    folder: Path
    name: str
    seed: int
    hardware: Hardware

    @cached_property
    def small(self) -> Network:
        """Return the settings with a batch that is quick on a CPU, at the same learning rate."""
        largest = BATCH if self.hardware.device.type == "cpu" else self.settings.batch_size
        return _with_batch(self.settings, min(largest, self.settings.batch_size))

    @cached_property
    def quiet(self) -> Network:
        """Return the settings for overfitting one batch: no randomness, no regularisation."""
        settings = _with_batch(without_noise(self.settings), self.num_varied)
        off = {
            "label_smoothing": 0.0,
            "weight_decay": 0.0,
            "dropout_samples": 1,
            "warmup_epochs": 0.0,
            "schedule": "constant",
            "milestones": [],
            "swa_epochs": 0,
        }
        return settings.model_copy(update=off)

    @property
    def num_varied(self) -> int:
        """Return the size of the batch that is overfitted; BatchNorm needs two rows."""
        return min(max(2, min(BATCH, self.settings.batch_size)), len(self.data.rows))

    def trainer(self, settings: Network, *, precision: str | None = None) -> Trainer:
        """Create a trainer at its peak rates, with everything trainable that ever is."""
        precision = precision or self.hardware.precision
        trainer = Trainer(
            create_fabric(replace(self.hardware, precision=precision)),
            settings,
            self.backbone,
            self.data,
            folder=self.folder,
            name=self.name,
            seed=self.seed,
        )
        trainer.model.train()
        set_trainable(trainer.network, settings, epoch=settings.epochs - 1)
        return trainer

    def varied_batch(self, trainer: Trainer) -> Batch:
        """Return images as inference sees them, of rows with different targets; weights are 1."""
        data = self.data
        rng = stream(self.seed, "check", "varied")
        positions = varied_positions(data.targets, self.num_varied, rng=rng)
        view = {"image_size": data.image_size, "cut": data.cut}
        images = FoldImages(data.cache, data.rows, **view)
        batch = torch.stack([images[0, int(position), 0][0] for position in positions])
        device = trainer.fabric.device
        ones = torch.ones(len(positions), device=device)
        return batch.to(device), trainer.targets[positions.tolist()], ones


def training_batches(trial: TrialNetwork, trainer: Trainer) -> Iterator[Batch]:
    """Yield batches as training sees them, epoch after epoch without end."""
    settings = trial.small
    loaders = create_loaders(trial.data, settings, workers=trial.hardware.workers, seed=trial.seed)
    step, device = 0, trainer.fabric.device
    while True:
        for images, positions in loaders.train:
            rng = stream(trial.seed, "check", "mixup", step)
            chosen = trainer.targets[positions], trainer.weights[positions]
            yield mix_batch(images.to(device), *chosen, settings=settings, rng=rng)
            step += 1
        loaders.batches.epoch += 1


def seen_batches(trial: TrialNetwork, num_batches: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the first batches of training: images (B, H, W, 3) uint8 and mixed targets (B, C)."""
    settings, data = trial.settings, trial.data
    loaders = create_loaders(data, settings, workers=0, seed=trial.seed)
    targets, weights = (
        torch.as_tensor(values, dtype=torch.float32)
        for values in (data.targets, data.loss_weights(settings))
    )
    batches = []
    for step, (images, positions) in enumerate(islice(loaders.train, num_batches)):
        rng = stream(trial.seed, "mixup", 0, step)  # the trainer's own stream
        mixed = mix_batch(
            images, targets[positions], weights[positions], settings=settings, rng=rng
        )
        pixels = mixed[0].float().round().clamp(0, 255).to(torch.uint8)
        batches.append((pixels.permute(0, 2, 3, 1).numpy(), mixed[1].numpy()))
    return batches


def varied_positions(targets: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """Choose random rows (count,); targets repeat only when all have been taken."""
    order = rng.permutation(len(targets))
    _, classes = np.unique(targets[order], axis=0, return_inverse=True)
    return order[np.argsort(copy_numbers(classes.reshape(-1)), kind="stable")][:count]


def _with_batch(settings: Network, batch_size: int) -> Network:
    """Change the batch size, but not the learning rate that `scale_lr` ties to it."""
    same_rate = {"lr": peak_learning_rate(settings), "scale_lr": False}
    return settings.model_copy(update={"batch_size": batch_size, **same_rate})
