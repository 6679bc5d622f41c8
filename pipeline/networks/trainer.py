"""Trainer: a network with all that changes while it learns; one epoch at a time, repeatable.

No random state is carried from one epoch to the next: each draw has a seed of its own purpose.
On a CPU the same seed and number of threads give the same bits; a GPU's differ in the last ones.
"""

import logging
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from pipeline.backbones.device import batches_ahead
from pipeline.config.schema import Backbone, Network
from pipeline.core.artifacts import replacing
from pipeline.core.log_lines import log_progress
from pipeline.core.runtime import stream, stream_seed
from pipeline.errors import JobFailed
from pipeline.networks.class_weights import create_class_weights
from pipeline.networks.cost import Cost
from pipeline.networks.losses import create_loss, distilled
from pipeline.networks.mixing import mix_batch
from pipeline.networks.network import ImageNetwork, create_network, load_weights
from pipeline.networks.nonfinite import find_nonfinite
from pipeline.networks.optimisation import create_optimizer
from pipeline.networks.parameter_groups import check_batch, set_trainable
from pipeline.networks.schedules import check_schedule, set_learning_rate
from pipeline.networks.training_data import TrainingData
from pipeline.networks.weight_averages import (
    create_average,
    create_weight_mean,
    refresh_batch_norm,
)

log = logging.getLogger(__name__)
FAILED_BATCH = "failed_batch.pt"
MOST_PROBE_ROWS = 20_000  # where the head starts from needs no more


class Trainer:
    """A network, its optimizer and its weight averages, and the data that it learns.

    Attributes:
        on_step: called after each step with its number from 0 on, and numbers by name.
    """

    def __init__(
        self,
        fabric: Fabric,
        settings: Network,
        backbone: Backbone,
        data: TrainingData,
        *,
        folder: Path,
        name: str,
        seed: int,
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        check_schedule(settings)
        self.fabric, self.settings, self.folder = fabric, settings, folder
        self.name, self.seed = name, seed
        self.accumulate = settings.accumulate  # more once memory has run out
        self.on_step: Callable[[int, dict[str, float]], None] = lambda step, numbers: None
        task, targets = data.task, data.targets
        drawn = data.epoch_weights(settings)  # classes counted as often as sampling draws them
        class_weights = create_class_weights(settings, targets, drawn, task)
        torch.manual_seed(seed)  # for the model's own draws: heads, random weights
        self.network = create_network(
            settings,
            backbone,
            num_classes=targets.shape[1],
            task=task,
            pretrained=checkpoint is None and data.start_weights is None,
        )
        self.network.start_from(targets, drawn, bias=settings.bias, class_weights=class_weights)
        if data.start_weights is not None and checkpoint is None:
            but = ("target_", "head.", "loss_") if settings.start.head == "new" else ("target_",)
            load_weights(self.network, data.start_weights, what=f"{name}'s start", but=but)
        if data.fit_head is not None and checkpoint is None:
            self.network.start_head_from(*self._linear_probe(data))
        self.optimizer = create_optimizer(self.network, settings)
        check_batch(self.network, settings)
        self.model, self.stepper = fabric.setup(self.network, self.optimizer)
        self.average = create_average(self.network, settings.ema_decay)
        self.mean = create_weight_mean(self.network) if settings.swa_epochs else None
        if checkpoint:
            self._continue_from(checkpoint)
        self.targets = self.network.scaled(_tensor(targets, fabric.device))
        self.weights = _tensor(data.loss_weights(settings), fabric.device)
        self.labels_loss = create_loss(
            settings,
            task,
            class_weights=None if class_weights is None else _tensor(class_weights, fabric.device),
            log_variances=self.network.loss_log_variances,
        )
        self.loss = self.labels_loss
        if data.teacher is not None:
            teacher = self.network.scaled(_tensor(data.teacher, fabric.device))
            self.targets = torch.cat([self.targets, teacher], dim=1)
            self.loss = partial(
                distilled,
                loss=self.labels_loss,
                task=task,
                **settings.distill.model_dump(include={"weight", "temperature"}),
            )

    def _linear_probe(self, data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
        """Fit a linear model on frozen features of training rows, of not too many.

        BatchNorm layers that will learn take these images' statistics first: in training they would
        drift away from ImageNet's at once, and with them the features that the probe knows.
        """
        draw = stream(self.seed, "linear probe").permutation(len(data.rows))
        positions = np.sort(draw[:MOST_PROBE_ROWS])
        rows, device = data.rows[positions].tolist(), self.fabric.device
        network = self.network.to(device).train()
        set_trainable(network, self.settings, epoch=self.settings.epochs - 1)
        with torch.no_grad():
            batches = batches_ahead(data.square, rows, device)
            refresh_batch_norm(network, ((images, None) for images in batches))
            features = [
                network.features(images) for images in batches_ahead(data.square, rows, device)
            ]
        return data.fit_head(torch.cat(features).cpu().numpy(), positions)

    @property
    def final(self) -> ImageNetwork:
        """Return the network to use: the mean of the last epochs once begun, else the average."""
        begun = self.mean is not None and self.mean.n_averaged > 0
        return self.mean.module if begun else self.average.module

    def train_epoch(self, loader: DataLoader, epoch: int) -> tuple[dict[str, float], Cost]:
        """Train on all batches once; return the mean loss and the head's last learning rate.

        Raises:
            JobFailed: at a loss or a gradient that is not finite; the batch lies in `folder`.
        """
        torch.manual_seed(stream_seed(self.seed, "dropout", epoch))
        self.model.train()
        set_trainable(self.network, self.settings, epoch=epoch)
        losses, cost, steps = [], Cost(), self.settings.epochs * len(loader)
        for step, (images, positions) in enumerate(cost.watch(loader)):
            done = epoch * len(loader) + step
            lr = set_learning_rate(
                self.optimizer, done, settings=self.settings, steps_per_epoch=len(loader)
            )
            images = images.to(self.fabric.device, non_blocking=True)
            batch = mix_batch(
                images,
                self.targets[positions],
                self.weights[positions],
                settings=self.settings,
                rng=stream(self.seed, "mixup", epoch, step),
            )
            before = torch.get_rng_state()
            loss, norm = self.gradients(*batch)
            if not self._is_finite(loss, norm):
                torch.set_rng_state(before)
                raise self._failure(*batch, loss=loss, norm=norm, epoch=epoch, step=step)
            self.stepper.step()
            self.stepper.zero_grad()
            self.average.update(self.network, step=done + 1)
            losses.append(loss)
            cost.images += len(images)
            text = f"epoch {epoch + 1}/{self.settings.epochs} · batch {step + 1}/{len(loader)}"
            log_progress(log, done + 1, steps, text, level=logging.DEBUG)
            self.on_step(done, {"loss": loss, "gradient_norm": norm, "lr": lr})
        if self.mean is not None and epoch >= self.settings.epochs - self.settings.swa_epochs:
            self._count_in(loader, epoch)
        return {"loss": float(np.mean(losses)), "lr": lr}, cost

    def gradients(
        self, images: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> tuple[float, float]:
        """Compute a batch's gradients, part by part; return its loss and the gradients' norm.

        Where memory runs out, batches are split in twice as many parts from then on: the batch that
        an optimiser step sees stays the same, the one that BatchNorm sees is smaller.

        Raises:
            torch.OutOfMemoryError: if two images do not fit.
        """
        random_state = torch.get_rng_state()
        while True:
            try:
                return self._sum_of_parts(images, targets, weights)
            except torch.OutOfMemoryError:
                if self.accumulate >= len(images) // 2:
                    raise
            # Outside `except`, whose traceback would hold on to what filled the memory.
            self.accumulate *= 2
            self.stepper.zero_grad()
            torch.set_rng_state(random_state)
            if self.fabric.device.type == "cuda":
                torch.cuda.empty_cache()
            log.warning(
                "out of memory with batches of %d: they are computed in %d parts from now on. "
                "accumulate: %d in the config begins so",
                *(len(images), self.accumulate, self.accumulate),
            )

    def _sum_of_parts(
        self, images: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> tuple[float, float]:
        losses = []
        for part in self._parts(images):
            loss = self.loss_of(images[part], targets[part], weights[part]) / len(images)
            self.fabric.backward(loss)
            losses.append(loss.detach())
        norm = self.fabric.clip_gradients(
            self.model,
            self.stepper,
            max_norm=self.settings.clip_norm or math.inf,
            error_if_nonfinite=False,
        )
        *parts, norm = torch.stack([*losses, norm]).tolist()  # the one wait for the device
        return sum(parts), norm

    def _parts(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield indices of the parts that a batch is split in."""
        num_parts = max(1, min(self.accumulate, len(images) // 2))
        yield from torch.arange(len(images), device=images.device).tensor_split(num_parts)

    def loss_of(
        self, images: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum over rows of the mean over the head's dropout masks."""
        outputs = self.model(images).float()
        num_masks = len(outputs) // len(images)
        losses = self.loss(outputs, targets.repeat(num_masks, 1)).reshape(num_masks, -1).mean(0)
        return (losses * weights).sum()

    def _count_in(self, loader: DataLoader, epoch: int) -> None:
        """Add this epoch to the mean of weights, and fit BatchNorm statistics to it."""
        self.mean.update_parameters(self.network)
        self.mean.module.train()
        set_trainable(self.mean.module, self.settings, epoch=epoch)
        with self.fabric.autocast():
            refresh_batch_norm(self.mean.module, loader)

    def _is_finite(self, loss: float, norm: float) -> bool:
        # 16-bit training finds its scale by overflowing gradients, and skips those steps itself.
        scaled = self.fabric.strategy.precision.precision == "16-mixed"
        return math.isfinite(loss) and (math.isfinite(norm) or scaled)

    def _failure(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        *,
        loss: float,
        norm: float,
        epoch: int,
        step: int,
    ) -> JobFailed:
        """Save the batch, find the module that began it, and describe both."""
        with replacing(self.folder / FAILED_BATCH) as temporary:
            batch = {"images": images, "targets": targets, "weights": weights}
            torch.save({name: tensor.cpu() for name, tensor in batch.items()}, temporary)
        if images.isfinite().all():
            origins = (
                find_nonfinite(
                    self.network,
                    partial(self.loss_of, images[part], targets[part], weights[part]),
                )
                for part in self._parts(images)
            )
            origin = next(filter(None, origins), None)
            where = (
                f"first in the {origin.where} pass of {origin.module}" if origin else "not again"
            )
        else:
            where = "already in the images"
        what, value = ("gradient", norm) if math.isfinite(loss) else ("loss", loss)
        return JobFailed(
            f"train {self.name} epoch {epoch + 1} step {step + 1}: the {what} is {value}, expected "
            f"a finite number; it began {where}. The batch is in {self.folder / FAILED_BATCH}. Try "
            f"a lower lr (now {self.settings.lr:g}), a longer warm-up, runtime.precision=32, or "
            "`plain: true` to see whether augmentation or mixing causes it."
        )

    @torch.inference_mode()
    def validate(self, loader: DataLoader, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """Return loss against targets (m, C) and predictions (m, C) float64 of the weights to use.

        Args:
            loader: of the rows in order, in the plain view.
        """
        network = self.final.eval()
        with self.fabric.autocast():
            outputs = torch.cat(
                [network(images.to(self.fabric.device)).float() for images, _ in loader]
            )
        scaled = self.network.scaled(_tensor(targets, self.fabric.device))
        loss = self.labels_loss(outputs, scaled).mean().item()
        return loss, network.values_of(outputs).cpu().double().numpy()

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on; random draws and rates are keyed by step."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.module.state_dict(),
            "mean": self.mean.state_dict() if self.mean is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "accumulate": self.accumulate,
        }

    def _continue_from(self, checkpoint: dict[str, Any]) -> None:
        self.network.load_state_dict(checkpoint["network"])
        self.average.module.load_state_dict(checkpoint["average"])
        if self.mean is not None:
            self.mean.load_state_dict(checkpoint["mean"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.accumulate = checkpoint.get("accumulate", self.accumulate)  # of older versions
        self.fabric.strategy.precision.load_state_dict(checkpoint["precision"])


def _tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(np.asarray(array), dtype=torch.float32, device=device)
