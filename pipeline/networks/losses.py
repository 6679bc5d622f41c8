"""Losses: one value per row of a batch, for hard and soft targets alike, and sums of them."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F

from pipeline.config.network import MARGINS
from pipeline.config.own_parts import ITEMS, own_code
from pipeline.config.schema import Network
from pipeline.core.task import Task
from pipeline.errors import UserError

# (outputs (B, C), targets (B, C)) -> (B,): not reduced, so that rows can be weighted.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

CLASS_LOSSES = ("cross_entropy", "focal", "am_softmax", "cosface", "arcface")
# The first is what `auto` stands for.
LOSSES_OF_TASK: dict[str, tuple[str, ...]] = {
    "binary": CLASS_LOSSES,
    "multiclass": CLASS_LOSSES,
    "ordinal": (*CLASS_LOSSES, "cumulative"),
    "multilabel": ("bce", "focal"),
    "regression": ("mse", "mae", "huber"),
}


def soft_cross_entropy(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    smoothing: float = 0.0,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return cross-entropy of logits (B, C) with rows that sum to 1, each smoothed towards 1 / C.

    Source: Szegedy 2016, label smoothing; the same numbers as torch's for hard targets, but
    a class weight (C,) multiplies its class's share of the target and is not divided out again.
    """
    targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
    return -(_weighted(targets, class_weights) * logits.log_softmax(1)).sum(1)


def focal(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    gamma: float,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return cross-entropy whose class terms count by (1 - p)^gamma: easy rows count less.

    Source: Lin 2017, for softmax and soft targets; with class weights by effective number it is
    Cui 2019's class-balanced focal loss.
    """
    logs = logits.log_softmax(1)
    return -(_weighted(targets, class_weights) * _faded(logs, gamma)).sum(1)


def binary_focal(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    gamma: float,
    positive_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the mean over columns of each one's focal loss (Lin 2017), targets in [0, 1]."""
    positive = _weighted(targets, positive_weights) * _faded(F.logsigmoid(logits), gamma)
    negative = (1 - targets) * _faded(F.logsigmoid(-logits), gamma)
    return -(positive + negative).mean(1)


def additive_cosine_margin(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    margin: float,
    scale: float,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return cross-entropy after a margin is subtracted from the true class's cosine.

    Args:
        logits: (B, C), scale * cosine.
        targets: (B, C); a soft target bears its share of the margin.
    Source: Wang 2018, AM-Softmax and CosFace, which are the same formula.
    """
    return soft_cross_entropy(
        logits - scale * margin * targets, targets, class_weights=class_weights
    )


def additive_angular_margin(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    margin: float,
    scale: float,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return cross-entropy after a margin, in radians, is added to the true class's angle.

    Args:
        logits: (B, C), scale * cosine.
        targets: (B, C); for a soft target the class's cosine is mixed by its share.
    Source: Deng 2019, ArcFace; like the authors' code it goes on in a line where angle + margin
        exceeds pi, so that the loss keeps falling with the angle.
    """
    cosines = (logits / scale).clamp(-1 + 1e-6, 1 - 1e-6)  # the slope of acos is infinite at 1
    moved = torch.where(
        cosines > math.cos(math.pi - margin),
        (cosines.acos() + margin).cos(),
        cosines - margin * math.sin(margin),
    )
    return soft_cross_entropy(
        scale * torch.lerp(cosines, moved, targets), targets, class_weights=class_weights
    )


def cumulative(
    logits: torch.Tensor, targets: torch.Tensor, *, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean cross-entropy of C - 1 binary questions "above level k?" of ordered classes.

    Far misses cost more than near ones. Probabilities come from one softmax, so that they are
    consistent. A class weight (C,) multiplies its class's share of the target.

    Source: Niu 2016, with this change.
    """
    logs = logits.log_softmax(1)
    at_most = logs.logcumsumexp(1)[:, :-1]
    above = logs.flip(1).logcumsumexp(1).flip(1)[:, 1:]
    shares = _weighted(targets, class_weights)
    share_above = shares.flip(1).cumsum(1).flip(1)[:, 1:]
    share_at_most = shares.cumsum(1)[:, :-1]
    return -(share_above * above + share_at_most * at_most).mean(1)


def binary_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, *, positive_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean over columns of each column's binary cross-entropy, targets in [0, 1]."""
    losses = F.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=positive_weights, reduction="none"
    )
    return losses.mean(1)


def error(outputs: torch.Tensor, targets: torch.Tensor, *, of: Callable) -> torch.Tensor:
    """Return the mean over columns of mse_loss, l1_loss or huber_loss (at 1 deviation)."""
    return of(outputs, targets, reduction="none").mean(1)


def weighted_sum(
    outputs: torch.Tensor,
    targets: torch.Tensor,
    *,
    losses: list[Loss],
    shares: list[float],
    log_variances: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sum losses by fixed shares; with `log_variances` s (one each) the balance is learned.

    Then each counts share * exp(-s), and s / 2 is added, so that ignoring a loss has its price.

    Source: Kendall 2018, multi-task learning using uncertainty.
    """
    values = torch.stack([loss(outputs, targets) for loss in losses], dim=1)
    values = values * values.new_tensor(shares)
    if log_variances is not None:
        values = values * torch.exp(-log_variances) + log_variances / 2
    return values.sum(1)


def distilled(
    outputs: torch.Tensor,
    targets: torch.Tensor,
    *,
    loss: Loss,
    task: Task,
    weight: float,
    temperature: float,
) -> torch.Tensor:
    """Return (1 - weight) * loss + weight * T^2 * divergence from the teacher, both softened by T.

    For regression the teacher's part is the squared error, without T.

    Args:
        targets: (B, 2C), the labels beside the teacher's predictions.
    Source: Hinton 2015.
    """
    own, teacher = targets.chunk(2, dim=1)
    if (link := task.link) == "identity":
        distance = error(outputs, teacher, of=F.mse_loss)
    elif link == "sigmoid":
        softened = (teacher.logit(1e-6) / temperature).sigmoid()
        logits = outputs / temperature
        entropy = F.binary_cross_entropy(softened, softened, reduction="none").mean(1)
        distance = temperature**2 * (binary_cross_entropy(logits, softened) - entropy)
    else:
        softened = (teacher.clamp_min(1e-6).log() / temperature).log_softmax(1)
        logits = (outputs / temperature).log_softmax(1)
        divergence = F.kl_div(logits, softened, reduction="none", log_target=True)
        distance = temperature**2 * divergence.sum(1)
    return (1 - weight) * loss(outputs, own) + weight * distance


def loss_shares(settings: Network, task: Task) -> dict[str, float]:
    """Return names and shares of the losses that a config asks for.

    Raises:
        UserError: if one does not fit the task.
    """
    given = settings.loss_weights
    own = [name for name, loss in ITEMS["loss"].items() if task.kind in loss.kinds]
    fitting = [*LOSSES_OF_TASK[task.kind], *own]
    shares = {fitting[0] if name == "auto" else name: given[name] for name in given}
    for name in shares:
        if name not in fitting:
            raise UserError(
                f"loss {name}: a {task.kind} task takes {', '.join(fitting)}. Say `loss: auto`."
            )
    return shares


def create_loss(
    settings: Network,
    task: Task,
    *,
    class_weights: torch.Tensor | None = None,
    log_variances: torch.Tensor | None = None,
) -> Loss:
    """Create the loss that a network's config asks for, without its teacher's part.

    Args:
        class_weights: (C,); for multilabel, weights of the positives.
        log_variances: one per loss of a sum, to be learned.
    Raises:
        UserError: if it does not fit the task.
    """
    shares = loss_shares(settings, task)
    losses = [_create_named(name, settings, task, class_weights) for name in shares]
    if len(losses) == 1:
        return losses[0]
    return partial(
        weighted_sum, losses=losses, shares=list(shares.values()), log_variances=log_variances
    )


def try_loss(settings: Network, task: Task) -> None:
    """Call a config's losses on two rows, before anything is trained.

    Raises:
        UserError: if one does not fit the task, fails, or gives no value for each row.
    """
    create_loss(settings, task)
    for name in (name for name in settings.loss_weights if name in ITEMS["loss"]):
        with own_code("loss", name):
            _create_named(name, settings, task, None)(torch.zeros(2, 2), torch.eye(2))


def _create_named(
    name: str, settings: Network, task: Task, class_weights: torch.Tensor | None
) -> Loss:
    if (own := ITEMS["loss"].get(name)) is not None:
        weighted = class_weights is not None
        keys = {"class_weights": class_weights} if weighted else {}
        if weighted and not own.takes_class_weights:
            raise UserError(
                f"loss {name}: its function takes no `class_weights`, but the config asks for "
                f"{settings.class_weights}. Add the argument, or say `class_weights: none`."
            )
        return partial(_own_loss, name=name, of=partial(own.function, **keys))
    if name in MARGINS:
        margin = MARGINS[name] if settings.margin is None else settings.margin
        margin_loss = additive_angular_margin if name == "arcface" else additive_cosine_margin
        return partial(
            margin_loss, margin=margin, scale=settings.scale, class_weights=class_weights
        )
    if name == "focal" and task.is_multilabel:
        return partial(binary_focal, gamma=settings.focal_gamma, positive_weights=class_weights)
    if name == "bce":
        return partial(binary_cross_entropy, positive_weights=class_weights)
    if name == "focal":
        return partial(focal, gamma=settings.focal_gamma, class_weights=class_weights)
    if name == "cumulative":
        return partial(cumulative, class_weights=class_weights)
    if name == "cross_entropy":
        smoothing = settings.label_smoothing
        return partial(soft_cross_entropy, smoothing=smoothing, class_weights=class_weights)
    return partial(error, of={"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}[name])


def _own_loss(outputs: torch.Tensor, targets: torch.Tensor, *, name: str, of: Loss) -> torch.Tensor:
    """Return a plugin's loss of a batch; refuse what is not one value for each row."""
    values = of(outputs, targets)
    if not torch.is_tensor(values) or values.shape != outputs.shape[:1]:
        shown = tuple(values.shape) if torch.is_tensor(values) else type(values).__name__
        raise UserError(
            f"loss {name}: its function returned {shown} for outputs {tuple(outputs.shape)}; "
            f"expected ({len(outputs)},), one value for each row, not their mean."
        )
    return values


def _weighted(targets: torch.Tensor, class_weights: torch.Tensor | None) -> torch.Tensor:
    return targets if class_weights is None else targets * class_weights


def _faded(log_probs: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return (1 - p)^gamma * log p, also where p is 1: there the power's slope would be NaN."""
    return (1 - log_probs.exp()).clamp_min(1e-8) ** gamma * log_probs
