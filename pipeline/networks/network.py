"""A fine-tuned network: backbone and head, how it wants its images, what its outputs mean."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.config.errors import UserError
from pipeline.config.schema import Backbone, Kind, Network
from pipeline.networks.backbones import create_backbone, normalisation

WEIGHTS = "weights.safetensors"


class ImageNetwork(nn.Module):
    """Pixels in, raw outputs or predictions out.

    Its buffers travel with its weights: pixel statistics, and, for regression, mean and standard
    deviation of the training targets, in which the raw outputs are expressed.
    """

    def __init__(self, model: nn.Module, *, kind: Kind, num_classes: int) -> None:
        super().__init__()
        self.model, self.kind = model, kind
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1) * 255 for values in normalisation(model)
        )
        self.register_buffer("pixel_mean", mean)
        self.register_buffer("pixel_std", std)
        self.register_buffer("target_mean", torch.zeros(num_classes))
        self.register_buffer("target_std", torch.ones(num_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Raw outputs (B, C) of images (B, 3, H, W) with values of 0 to 255, uint8 or float."""
        images = images.contiguous(memory_format=torch.channels_last).float()
        return self.model((images - self.pixel_mean) / self.pixel_std)

    def values_of(self, outputs: torch.Tensor) -> torch.Tensor:
        """Raw outputs (B, C) as predictions: probabilities, or values in the target's unit."""
        outputs = outputs.float()
        if self.kind == "regression":
            return outputs * self.target_std + self.target_mean
        return outputs.sigmoid() if self.kind == "multilabel" else outputs.softmax(1)

    @torch.inference_mode()
    def predict_values(self, images: torch.Tensor) -> torch.Tensor:
        """Predictions (B, C) float32 of images (B, 3, H, W) on the network's device."""
        return self.values_of(self(images))

    def scaled(self, targets: torch.Tensor) -> torch.Tensor:
        """Targets (B, C) as the loss compares them with raw outputs; the inverse for regression."""
        return (targets - self.target_mean) / self.target_std

    @torch.no_grad()
    def start_from(
        self, targets: np.ndarray, weights: np.ndarray, *, class_weights: np.ndarray | None = None
    ) -> None:
        """Make the untrained network predict what the targets are on average, for every image.

        Zero head weights and a bias from frequencies: log prior for softmax, log-odds for sigmoid,
        the mean for regression. The first steps then teach differences, not the prior.

        Args:
            targets: (n, C); weights: (n,) row weights.
            class_weights: (C,) of the loss; the frequencies as it sees them.
        Source: Karpathy 2019, "init well"; zero heads as in Kolesnikov 2020 (BiT).
        """
        mean = np.average(targets, axis=0, weights=weights)
        if self.kind == "regression":
            std = np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=weights))
            self.target_mean.copy_(torch.from_numpy(mean))
            self.target_std.copy_(torch.from_numpy(np.where(std > 0, std, 1.0)))
            bias = np.zeros_like(mean)
        else:
            smallest = 1 / (2 * len(targets))  # a class that is absent here may come in the test
            mean = mean.clip(smallest, 1 - smallest)
            bias = np.log(mean) - (np.log1p(-mean) if self.kind == "multilabel" else 0.0)
            if class_weights is not None:
                bias = bias + np.log(class_weights)
        heads = self.model.get_classifier()
        for head in heads if isinstance(heads, (tuple, list)) else [heads]:
            for parameter in head.parameters():
                parameter.zero_()
            if getattr(head, "bias", None) is not None:
                head.bias.copy_(torch.from_numpy(bias))


def create_network(
    settings: Network, backbone: Backbone, *, num_classes: int, kind: Kind, pretrained: bool = True
) -> ImageNetwork:
    """Build backbone and head; `pretrained` False leaves it to the caller to load weights."""
    model = create_backbone(
        backbone,
        num_classes=num_classes,
        dropout=settings.dropout,
        drop_path=settings.drop_path,
        weights=pretrained,
    )
    network = ImageNetwork(model, kind=kind, num_classes=num_classes)
    return network.to(memory_format=torch.channels_last)


def load_network(
    folder: Path, settings: Network, backbone: Backbone, *, num_classes: int, kind: Kind
) -> ImageNetwork:
    """The network that `train_fold` left in a folder, on the CPU, ready to predict.

    Raises:
        UserError: if there is none, or it was trained for something else.
    """
    network = create_network(
        settings, backbone, num_classes=num_classes, kind=kind, pretrained=False
    )
    path = folder / WEIGHTS
    try:
        network.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise UserError(f"{path}: not there. Run `make train` first.") from None
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: does not fit {backbone.arch} with {num_classes} outputs ({reason}). "
            "Run `make train` again."
        ) from None
    return network.eval()
