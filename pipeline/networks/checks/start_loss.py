"""What the first loss should be: that of a network that knows class frequencies at most."""

import numpy as np
import torch

from pipeline.config.schema import Network
from pipeline.networks.checks.trial_network import TrialNetwork
from pipeline.networks.class_weights import create_class_weights
from pipeline.networks.heads import rare_bias
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import TrainingData


@torch.no_grad()
def start_loss(
    trainer: Trainer, trial: TrialNetwork, targets: torch.Tensor, weights: torch.Tensor
) -> float:
    """Mean loss of a network that knows class frequencies at most."""
    outputs = _start_outputs(trial.data, trial.settings, targets)
    return (trainer.labels_loss(outputs, targets) * weights).mean().item()


def start_in_words(settings: Network, data: TrainingData) -> str:
    """What that network says of every image."""
    if data.kind == "regression":
        return "always saying the mean"
    if settings.head == "cosine":
        return "right angles"
    if settings.bias == "prior":
        return "the class frequencies (`bias: prior`)"
    return f"the same output for all classes (`bias: {settings.bias}`)"


def _start_outputs(data: TrainingData, settings: Network, targets: torch.Tensor) -> torch.Tensor:
    """Outputs, one row for each of `targets`, of a network that knows frequencies at most.

    Worked out here once more, on purpose: comparing the network with its own bias proves nothing.
    """
    seen, smallest = data.epoch_weights(settings), 1 / (2 * len(data.targets))
    shares = (seen @ data.targets / seen.sum()).clip(smallest, 1 - smallest)
    if data.kind == "regression" or settings.head == "cosine" or settings.bias == "zero":
        outputs = np.zeros_like(shares)
    elif settings.bias == "rare":
        outputs = np.full_like(shares, rare_bias())
    else:
        odds = shares / (1 - shares) if data.kind == "multilabel" else shares
        class_weights = create_class_weights(settings, data.targets, seen, data.kind)
        outputs = np.log(odds if class_weights is None else odds * class_weights)
    return torch.from_numpy(outputs).float().to(targets.device).expand(len(targets), -1)
