"""Trainer: a network with all that changes while it learns; one epoch at a time, repeatable.

Nothing random is carried from one epoch to the next: each draw has a seed made of what it is for.
On a CPU the same seed and number of threads give the same bits; a GPU's differ in the last ones.
"""

import math
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from pipeline.config.errors import UserError
from pipeline.config.schema import Backbone, Kind, Network
from pipeline.core.runtime import stream, stream_seed
from pipeline.networks.losses import balanced_class_weights, create_loss
from pipeline.networks.mixing import mixup
from pipeline.networks.network import create_network
from pipeline.networks.optimisation import create_average, create_optimizer, set_learning_rate


class Trainer:
    """A network, its optimizer and its average, and the targets that they learn from."""

    def __init__(
        self,
        fabric: Fabric,
        settings: Network,
        backbone: Backbone,
        *,
        kind: Kind,
        targets: np.ndarray,
        weights: np.ndarray,
        name: str,
        seed: int,
        checkpoint: dict[str, Any] | None,
    ) -> None:
        self.fabric, self.settings, self.name, self.seed = fabric, settings, name, seed
        class_weights = None
        if settings.class_weights == "balanced":
            class_weights = balanced_class_weights(targets, weights, kind)
        torch.manual_seed(seed)  # for what the model draws itself: heads, random weights
        self.network = create_network(
            settings,
            backbone,
            num_classes=targets.shape[1],
            kind=kind,
            pretrained=checkpoint is None,
        )
        self.network.start_from(targets, weights, class_weights=class_weights)
        self.optimizer = create_optimizer(self.network.model, settings)
        self.model, self.stepper = fabric.setup(self.network, self.optimizer)
        self.average = create_average(self.network, settings.ema_decay)
        if checkpoint:
            self._continue_from(checkpoint)
        self.targets = self.network.scaled(_tensor(targets, fabric.device))
        self.weights = _tensor(weights, fabric.device)
        if class_weights is not None:
            class_weights = _tensor(class_weights, fabric.device)
        self.loss = create_loss(settings, kind, class_weights=class_weights)

    def train_epoch(self, loader: DataLoader, epoch: int) -> dict[str, float]:
        """Go through the batches once; return the mean loss and the head's last learning rate."""
        torch.manual_seed(stream_seed(self.seed, "dropout", epoch))
        self.model.train()
        losses = []
        for step, (images, positions) in enumerate(loader):
            done = epoch * len(loader) + step
            lr = set_learning_rate(
                self.optimizer, done, settings=self.settings, steps_per_epoch=len(loader)
            )
            images = images.to(self.fabric.device, non_blocking=True)
            targets, weights = self.targets[positions], self.weights[positions]
            if self.settings.mixup:
                images, targets, weights = mixup(
                    images.float(),
                    targets,
                    weights,
                    alpha=self.settings.mixup,
                    rng=stream(self.seed, "mixup", epoch, step),
                )
            loss, norm = self._gradients(images, targets, weights)
            self._check_finite(loss, norm, epoch=epoch, step=step)
            self.stepper.step()
            self.stepper.zero_grad()
            self.average.update(self.network, step=done + 1)
            losses.append(loss)
        return {"loss": float(np.mean(losses)), "lr": lr}

    def _gradients(
        self, images: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> tuple[float, float]:
        """Fill the gradients of a batch, part by part; return its loss and the gradients' norm."""
        num_parts = max(1, min(self.settings.accumulate, len(images) // 2))
        total = 0.0
        for part in torch.arange(len(images), device=images.device).tensor_split(num_parts):
            losses = self.loss(self.model(images[part]).float(), targets[part])
            loss = (losses * weights[part]).sum() / len(images)
            self.fabric.backward(loss)
            total += loss.item()
        norm = self.fabric.clip_gradients(
            self.model,
            self.stepper,
            max_norm=self.settings.clip_norm or math.inf,
            error_if_nonfinite=False,
        )
        return total, norm.item()

    def _check_finite(self, loss: float, norm: float, *, epoch: int, step: int) -> None:
        """Stop before a step that would spoil the weights."""
        # 16-bit training finds its scale by overflowing gradients, and skips those steps itself.
        scaled = self.fabric.strategy.precision.precision == "16-mixed"
        if math.isfinite(loss) and (math.isfinite(norm) or scaled):
            return
        what, value = ("gradient", norm) if math.isfinite(loss) else ("loss", loss)
        raise UserError(
            f"train {self.name} epoch {epoch + 1} step {step + 1}: the {what} is {value}, expected "
            f"a finite number. Try a lower lr (now {self.settings.lr:g}), a longer warm-up, "
            "runtime.precision=32, or `plain: true` to see whether augmentation or mixing does it."
        )

    @torch.inference_mode()
    def validate(self, loader: DataLoader, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and predictions (m, C) float64 of the averaged weights on the plain view."""
        network = self.average.module.eval()
        with self.fabric.autocast():
            outputs = torch.cat(
                [network(images.to(self.fabric.device)).float() for images, _ in loader]
            )
        scaled = network.scaled(_tensor(targets, self.fabric.device))
        loss = self.loss(outputs, scaled).mean().item()
        return loss, network.values_of(outputs).cpu().double().numpy()

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on; random draws and learning rates are keyed by step."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def _continue_from(self, checkpoint: dict[str, Any]) -> None:
        self.network.load_state_dict(checkpoint["network"])
        self.average.module.load_state_dict(checkpoint["average"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.fabric.strategy.precision.load_state_dict(checkpoint["precision"])


def _tensor(array: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(np.asarray(array), dtype=torch.float32, device=device)
