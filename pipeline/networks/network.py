"""A fine-tuned network: backbone and head, its image format, the meaning of its outputs."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from pipeline.backbones.create import change_channels, create_backbone, normalisation
from pipeline.backbones.pooling import create_pooling, num_features_of
from pipeline.config.schema import Backbone, Network
from pipeline.core.artifacts import replacing
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.images.decoding import LUMINANCE
from pipeline.networks.heads import Head, rare_bias
from pipeline.networks.losses import loss_shares

WEIGHTS = "weights.safetensors"


class ImageNetwork(nn.Module):
    """Network from pixels to raw outputs or predictions.

    Its buffers are saved with its weights: pixel statistics, and, for regression, mean and standard
    deviation of the training targets, the unit of the raw outputs.
    """

    def __init__(
        self,
        settings: Network,
        backbone: nn.Module,
        *,
        image_size: int,
        arch: str,
        task: Task,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.link, self.channels = task.link, settings.channels
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1) * 255 for values in normalisation(backbone)
        )
        self.register_buffer("pixel_mean", mean)
        self.register_buffer("pixel_std", std)
        self.register_buffer("target_mean", torch.zeros(num_classes))
        self.register_buffer("target_std", torch.ones(num_classes))
        self.backbone = change_channels(backbone, settings.channels)
        self.pooling = create_pooling(settings, backbone, arch=arch)
        num_features = num_features_of(
            self.pooling, backbone, image_size=image_size, channels=settings.channels, arch=arch
        )
        self.head = Head(settings, num_features=num_features, num_classes=num_classes)
        self.loss_log_variances = None
        if settings.loss_balance == "learned":
            self.loss_log_variances = nn.Parameter(torch.zeros(len(loss_shares(settings, task))))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return raw outputs (B, C) of images (B, 3, H, W) in 0 to 255, uint8 or float."""
        return self.head(self.features(images))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return pooled features (B, D), the head's input."""
        pixels = (images.float() - self.pixel_mean) / self.pixel_std
        if self.channels == 1:
            pixels = torch.einsum("bchw,c->bhw", pixels, pixels.new_tensor(LUMINANCE))[:, None]
        elif self.channels == 4:
            pixels = F.pad(pixels, (0, 0, 0, 0, 0, 1))
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        if self.pooling is None:
            return self.backbone(pixels)
        return self.pooling(self.backbone, pixels)

    def values_of(self, outputs: torch.Tensor) -> torch.Tensor:
        """Turn raw outputs (B, C) into probabilities, or values in the target's unit."""
        outputs = outputs.float()
        if self.link == "identity":
            return outputs * self.target_std + self.target_mean
        return outputs.sigmoid() if self.link == "sigmoid" else outputs.softmax(1)

    @torch.inference_mode()
    def predict_values(self, images: torch.Tensor) -> torch.Tensor:
        """Predict (B, C) float32 of images (B, 3, H, W) on the network's device."""
        return self.values_of(self(images))

    def scaled(self, targets: torch.Tensor) -> torch.Tensor:
        """Scale targets (B, C) to raw outputs' units, for the loss; only regression's change."""
        return (targets - self.target_mean) / self.target_std

    @torch.no_grad()
    def start_from(
        self,
        targets: np.ndarray,
        weights: np.ndarray,
        *,
        bias: str = "prior",
        class_weights: np.ndarray | None = None,
    ) -> None:
        """Set the unit of regression's targets, and the head's bias.

        With zero head weights and `prior` the untrained network predicts what the targets are on
        average, for every image: the first steps then learn differences, not the prior.

        Args:
            targets: (n, C); weights: (n,) row weights.
            bias: "prior": log prior for softmax, log-odds for sigmoid, the mean for regression;
                "rare": every class at 0.01; "zero".
            class_weights: (C,) of the loss; the frequencies as it sees them.
        Source: Karpathy 2019, "init well"; zero heads as in Kolesnikov 2020 (BiT); Lin 2017.
        """
        mean = np.average(targets, axis=0, weights=weights)
        if self.link == "identity":
            std = np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=weights))
            self.target_mean.copy_(torch.from_numpy(mean))
            self.target_std.copy_(torch.from_numpy(np.where(std > 0, std, 1.0)))
            start = np.zeros_like(mean)
        elif bias == "prior":
            smallest = 1 / (2 * len(targets))  # a class that is absent here may occur in the test
            mean = mean.clip(smallest, 1 - smallest)
            start = np.log(mean) - (np.log1p(-mean) if self.link == "sigmoid" else 0.0)
            if class_weights is not None:
                start = start + np.log(class_weights)
        else:
            start = np.full_like(mean, rare_bias() if bias == "rare" else 0.0)
        self.head.set_bias(torch.from_numpy(start))

    def start_head_from(self, coefs: np.ndarray, intercepts: np.ndarray) -> None:
        """Make the head a linear model of features; call it after `start_from`.

        Args:
            coefs: (D, C); intercepts: (C,), infinite where a class never occurs. Their scores are
                logits, or for regression values in the target's unit.
        """
        mean, std = self.target_mean.cpu(), self.target_std.cpu()
        weight = torch.from_numpy(coefs.T).float() / std[:, None]
        self.head.set_linear(weight, (torch.from_numpy(intercepts).float() - mean) / std)


def create_network(
    settings: Network, backbone: Backbone, *, num_classes: int, task: Task, pretrained: bool = True
) -> ImageNetwork:
    """Build backbone and head; `pretrained` False leaves it to the caller to load weights.

    Raises:
        UserError: a backbone that cannot be built so.
    """
    image_size = settings.image_size or backbone.image_size
    model = create_backbone(
        backbone, image_size=image_size, drop_path=settings.drop_path, weights=pretrained
    )
    network = ImageNetwork(
        settings,
        model,
        image_size=image_size,
        arch=backbone.arch,
        task=task,
        num_classes=num_classes,
    )
    return network.to(memory_format=torch.channels_last)


def load_network(
    folder: Path, settings: Network, backbone: Backbone, *, num_classes: int, task: Task
) -> ImageNetwork:
    """Load the network that a TrainingRun left in a folder, on the CPU, ready to predict.

    Raises:
        UserError: if there is none, or it was trained for something else.
    """
    network = create_network(
        settings, backbone, num_classes=num_classes, task=task, pretrained=False
    )
    load_weights(network, folder / WEIGHTS, what=f"{backbone.arch} with {num_classes} outputs")
    return network.eval()


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """Copy weights and buffers to the CPU."""
    state = network.state_dict()
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def save_weights(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Write weights and buffers to a .safetensors file, whole or not at all."""
    with replacing(path) as temporary:
        save_file(weights, temporary)


def load_weights(
    network: ImageNetwork, path: Path, *, what: str, but: tuple[str, ...] = ()
) -> None:
    """Copy a network's weights from a file, all but those whose names begin with one of `but`.

    Raises:
        UserError: if the file is not there, or does not fit.
    """
    try:
        found = {name: value for name, value in load_file(path).items() if not name.startswith(but)}
        absent, unknown = network.load_state_dict(found, strict=False)
    except FileNotFoundError:
        raise UserError(f"{path}: not there. Run `make train` first.") from None
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: does not fit {what} ({reason}). Run `make train` again."
        ) from None
    wrong = [*(name for name in absent if not name.startswith(but)), *unknown]
    if wrong:
        raise UserError(f"{path}: does not fit {what} (e.g. {wrong[:3]}). Run `make train` again.")
