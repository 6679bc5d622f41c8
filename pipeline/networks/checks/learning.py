"""Checks of a network before training: does it start right, learn, and repeat its losses.

Each check makes its own trainer on the member's data, takes a few steps, and keeps nothing.
"""

import math
from itertools import islice
from typing import Any

import numpy as np
import torch

from pipeline.config.network import MARGINS
from pipeline.config.schema import Network
from pipeline.errors import JobFailed
from pipeline.networks.checks.loss_curves import (
    NEAR_ZERO,
    diagnose,
    is_learnt,
    smoothed,
    suggest_lr,
)
from pipeline.networks.checks.start import start_loss
from pipeline.networks.checks.trial_network import CheckResult, TrialNetwork, training_batches
from pipeline.networks.losses import loss_shares
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import create_loaders
from pipeline.networks.training_run import without_noise

OVERFIT_STEPS = 60
LOOK_EVERY = 10  # steps, after which to see whether all rows are right
REPEATED_STEPS = 3
GPU_TOLERANCE = 1e-3  # of a loss; a CPU's are the same to the last bit
RANGE_STEPS, LOWEST_LR, HIGHEST_LR = 40, 1e-6, 1.0
DIVERGED = 4.0  # times the lowest loss: the range test ends
FAR = 10.0  # times the suggested rate, or a part of it


def check_overfit(trial: TrialNetwork) -> CheckResult:
    """Overfit one batch; `numbers["losses"]` is the curve."""
    trainer = trial.trainer(trial.quiet)
    batch = trial.varied_batch(trainer)
    # With a margin, the loss stays far from zero when all rows are right.
    rows_count = bool({*loss_shares(trial.settings, trial.data.task)} & {*MARGINS})
    losses, all_right = [], False
    while len(losses) < OVERFIT_STEPS and not all_right:
        losses.append(_step(trainer, *batch))
        if not math.isfinite(losses[-1]) or is_learnt(losses):
            break
        if rows_count and len(losses) % LOOK_EVERY == 0 and losses[-1] < losses[0]:
            all_right = _all_right(trainer, *batch)
    found = diagnose(losses)
    verdict, advice = found.verdict, found.advice
    if all_right:
        verdict, advice = "learnt", "Every row of the batch is recognised."
    status = {"learnt": "ok", "falling": "look"}.get(verdict, "failed")
    text = (
        f"{verdict}: loss {losses[0]:.3f} -> {losses[-1]:.3f} in {len(losses)} steps on the same "
        f"{len(batch[0])} rows at lr {trial.quiet.lr:g}. {advice}"
    )
    return CheckResult("one batch", status, text, {"losses": losses, "verdict": verdict})


def check_repeats(trial: TrialNetwork) -> CheckResult:
    """Train twice in plain mode, from the seed on, and compare the losses."""
    settings = without_noise(trial.small)
    epochs = max(settings.epochs, REPEATED_STEPS)
    settings = settings.model_copy(update={"epochs": epochs})
    try:
        first, second = (_first_losses(trial, settings) for _ in range(2))
    except JobFailed as error:
        return CheckResult("plain mode", "failed", str(error))
    on_cpu = trial.hardware.device.type == "cpu"
    same = first == second if on_cpu else np.allclose(first, second, rtol=GPU_TOLERANCE, atol=0)
    how = "to the last bit" if on_cpu else f"within {GPU_TOLERANCE:g}, as a GPU does not repeat"
    text = f"two runs of {len(first)} steps with `plain: true` " + (
        f"have the same losses {how}"
        if same
        else f"differ: {first} and {second}, expected the same {how}. Something random does "
        "not depend on the seed."
    )
    numbers = {"first": first, "second": second}
    return CheckResult("plain mode", "ok" if same else "failed", text, numbers)


def check_lr_range(trial: TrialNetwork) -> CheckResult:
    """Raise the rate step by step; `numbers` is what its figure needs.

    Batches are the training's: augmented, mixed, with dropout. Some have rarer classes than others.
    So each loss is corrected by the batch's loss at the start less that of all rows.

    Source: Smith 2017, LR range test; small batches need this change.
    """
    trainer = trial.trainer(trial.small)
    start = start_loss(trainer, trial, trainer.targets, trainer.weights)
    lrs, losses = np.geomspace(LOWEST_LR, HIGHEST_LR, RANGE_STEPS).tolist(), []
    for lr, batch in zip(lrs, training_batches(trial, trainer), strict=False):
        for group in trainer.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * lr / trial.small.lr
        at_start = start_loss(trainer, trial, *batch[1:])
        losses.append(start + _step(trainer, *batch) - at_start)
        lowest = max(min(smoothed(losses)), NEAR_ZERO * start)
        if not math.isfinite(losses[-1]) or losses[-1] > DIVERGED * lowest:
            break
    if not math.isfinite(losses[-1]):
        losses.pop()
    if not losses:
        return CheckResult("learning rate", "failed", "the first loss is not finite")
    lrs, smooth, chosen = lrs[: len(losses)], smoothed(losses), trial.small.lr
    suggestion = suggest_lr(lrs, smooth)
    if suggestion is None:
        text = f"no learning rate up to {lrs[-1]:.1e} made the loss fall; the config has {chosen:g}"
    else:
        ratio = chosen / suggestion
        text = f"the loss falls most steeply at lr {suggestion:.1e}; the config has {chosen:.1e}"
        text += ", " + (
            f"which is near enough (less than {FAR:g} times away)"
            if 1 / FAR < ratio < FAR
            else f"which is {max(ratio, 1 / ratio):.0f} times {'more' if ratio > 1 else 'less'}: "
            f"try `lr: {suggestion:.1e}`"
        )
    well = suggestion is not None and 1 / FAR < chosen / suggestion < FAR
    numbers = {"lrs": lrs, "losses": losses, "smooth": smooth}
    numbers |= {"suggestion": suggestion, "config": chosen}
    return CheckResult("learning rate", "ok" if well else "look", text, numbers)


def _step(trainer: Trainer, images: torch.Tensor, targets: torch.Tensor, weights: Any) -> float:
    """Take one optimiser step at the groups' current rates; return the loss before it."""
    loss, _ = trainer.gradients(images, targets, weights)
    trainer.stepper.step()
    trainer.stepper.zero_grad()
    return loss


@torch.no_grad()
def _all_right(trainer: Trainer, images: torch.Tensor, targets: torch.Tensor, _: Any) -> bool:
    """Return whether the highest output is the right class for each row of a training batch."""
    return bool((trainer.model(images).argmax(1) == targets.argmax(1)).all())


def _first_losses(trial: TrialNetwork, settings: Network) -> list[float]:
    """Return losses of the first batches, each trained as an epoch of its own."""
    trainer = trial.trainer(settings)
    loaders = create_loaders(trial.data, settings, workers=0, seed=trial.seed)
    batches = islice(loaders.train, REPEATED_STEPS)
    return [trainer.train_epoch([batch], epoch)[0]["loss"] for epoch, batch in enumerate(batches)]
