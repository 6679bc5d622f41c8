"""Losses: one value per row of a batch, for hard and soft targets alike."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from pipeline.config.errors import UserError
from pipeline.config.schema import Kind, Network

# (outputs (B, C), targets (B, C)) -> (B,): not reduced, so that rows can be weighted.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# The first is what `auto` stands for.
LOSSES_OF: dict[str, tuple[str, ...]] = {
    "binary": ("cross_entropy",),
    "multiclass": ("cross_entropy",),
    "ordinal": ("cross_entropy",),
    "multilabel": ("bce",),
    "regression": ("mse", "mae", "huber"),
}


def soft_cross_entropy(
    outputs: torch.Tensor,
    targets: torch.Tensor,
    *,
    smoothing: float = 0.0,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy of logits (B, C) against rows that sum to 1, each smoothed towards 1 / C.

    Source: Szegedy 2016, label smoothing; the same numbers as torch's for hard targets, but
    a class weight (C,) multiplies its class's share of the target and is not divided out again.
    """
    targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
    if class_weights is not None:
        targets = targets * class_weights
    return -(targets * outputs.log_softmax(1)).sum(1)


def binary_cross_entropy(
    outputs: torch.Tensor, targets: torch.Tensor, *, positive_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean over columns of each column's own yes-or-no cross-entropy, targets in [0, 1]."""
    losses = F.binary_cross_entropy_with_logits(
        outputs, targets, pos_weight=positive_weights, reduction="none"
    )
    return losses.mean(1)


def error(outputs: torch.Tensor, targets: torch.Tensor, *, of: Callable) -> torch.Tensor:
    """Mean over columns of a pointwise error: mse_loss, l1_loss or huber_loss (at 1 deviation)."""
    return of(outputs, targets, reduction="none").mean(1)


def create_loss(settings: Network, kind: Kind, *, class_weights: torch.Tensor | None) -> Loss:
    """The loss that a network's config asks for.

    Raises:
        UserError: if it does not fit the task.
    """
    name = LOSSES_OF[kind][0] if settings.loss == "auto" else settings.loss
    if name not in LOSSES_OF[kind]:
        raise UserError(
            f"loss {name}: a {kind} task takes {' or '.join(LOSSES_OF[kind])}. Say `loss: auto`."
        )
    if name == "cross_entropy":
        smoothing = settings.label_smoothing
        return partial(soft_cross_entropy, smoothing=smoothing, class_weights=class_weights)
    if name == "bce":
        return partial(binary_cross_entropy, positive_weights=class_weights)
    return partial(error, of={"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}[name])


def balanced_class_weights(targets: np.ndarray, weights: np.ndarray, kind: Kind) -> np.ndarray:
    """(C,) weights by inverse frequency: classes then count alike, and the mean row weighs 1.

    For multilabel: weights of the positives, so that they count as much as the negatives.

    Args:
        targets: (n, C) hard or soft. weights: (n,) row weights.
    Raises:
        UserError: for regression.
    """
    if kind == "regression":
        raise UserError("class_weights: regression has no classes. Say `class_weights: none`.")
    shares = np.average(targets, axis=0, weights=weights)
    smallest = 1 / (2 * len(targets))  # a class that is absent here must not weigh infinitely
    shares = shares.clip(smallest, 1 - smallest)
    if kind == "multilabel":
        return (1 - shares) / shares
    return 1 / (shares * len(shares))
