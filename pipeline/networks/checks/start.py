"""Check of the start: the first loss must be that of knowing class frequencies only."""

import numpy as np
import torch

from pipeline.config.schema import Network
from pipeline.networks.checks.trial_network import CheckResult, TrialNetwork
from pipeline.networks.class_weights import create_class_weights
from pipeline.networks.heads import rare_bias
from pipeline.networks.parameter_groups import describe_groups
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import TrainingData
from pipeline.networks.training_run import without_noise

NEAR = 0.1  # start and expectation agree within this share


def check_start(trial: TrialNetwork) -> CheckResult:
    """Check the outputs' shape, and the first loss against that of knowing class frequencies only.

    Source: Karpathy 2019, "verify loss @ init".
    """
    settings, data = without_noise(trial.small), trial.data
    trainer = trial.trainer(settings)
    images, targets, weights = trial.varied_batch(trainer)
    with torch.no_grad():
        outputs = trainer.model(images).float()
        loss = trainer.loss_of(images, targets, weights).item() / len(images)
        expected = start_loss(trainer, trial, targets, weights)
        overall = start_loss(trainer, trial, trainer.targets, trainer.weights)
    shape, wanted = tuple(outputs.shape), (len(images), data.targets.shape[1])
    near = expected >= 0 and abs(loss - expected) <= NEAR * expected
    shaped = shape == (settings.dropout_samples * wanted[0], wanted[1])
    text = (
        f"outputs {shape} of {wanted[0]} images and {wanted[1]} classes or targets; loss "
        f"{loss:.3f}, expected {expected:.3f} for these rows ({overall:.3f} for all rows) from "
        f"{_start_in_words(settings, data)}: "
        + ("they agree" if near else f"they differ by more than {NEAR:.0%}")
    )
    drawn = settings.init != "zero" and settings.head != "cosine"
    if not near and drawn:
        text += f"; `init: {settings.init}` draws the head's weights, `init: zero` starts lower"
    status = "ok" if shaped and near else "look" if shaped and drawn and loss > 0 else "failed"
    numbers = {"loss": loss, "expected": expected, "expected_over_all_rows": overall}
    groups = describe_groups(trainer.optimizer.param_groups, trainer.network, settings)
    return CheckResult("start", status, text, {**numbers, "groups": groups})


@torch.no_grad()
def start_loss(
    trainer: Trainer, trial: TrialNetwork, targets: torch.Tensor, weights: torch.Tensor
) -> float:
    """Return the mean loss of a network that knows class frequencies at most."""
    outputs = _start_outputs(trial.data, trial.settings, targets)
    return (trainer.labels_loss(outputs, targets) * weights).mean().item()


def _start_in_words(settings: Network, data: TrainingData) -> str:
    """Describe what that network predicts for every image."""
    if data.task.is_regression:
        return "always predicting the mean"
    if settings.head == "cosine":
        return "cosines of zero"
    if settings.bias == "prior":
        return "the class frequencies (`bias: prior`)"
    return f"the same output for all classes (`bias: {settings.bias}`)"


def _start_outputs(data: TrainingData, settings: Network, targets: torch.Tensor) -> torch.Tensor:
    """Return outputs of a network that knows frequencies at most, one row for each of `targets`.

    Computed again on purpose: comparing the network with its own bias proves nothing.
    """
    seen, smallest = data.epoch_weights(settings), 1 / (2 * len(data.targets))
    shares = (seen @ data.targets / seen.sum()).clip(smallest, 1 - smallest)
    if data.task.is_regression or settings.head == "cosine" or settings.bias == "zero":
        outputs = np.zeros_like(shares)
    elif settings.bias == "rare":
        outputs = np.full_like(shares, rare_bias())
    else:
        odds = shares / (1 - shares) if data.task.is_multilabel else shares
        class_weights = create_class_weights(settings, data.targets, seen, data.task)
        outputs = np.log(odds if class_weights is None else odds * class_weights)
    return torch.from_numpy(outputs).float().to(targets.device).expand(len(targets), -1)
