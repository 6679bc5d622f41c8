"""Class weights of a loss: by inverse frequency, or by effective number."""

import numpy as np

from pipeline.config.schema import Network
from pipeline.core.task import Task
from pipeline.errors import UserError


def create_class_weights(
    settings: Network, targets: np.ndarray, weights: np.ndarray, task: Task
) -> np.ndarray | None:
    """Compute the (C,) weights that the config asks for, or None; the mean row weighs 1.

    For multilabel: weights of a column's positives against its negatives.

    Args:
        targets: (n, C) hard or soft. weights: (n,) row weights.
    Raises:
        UserError: for regression.
    """
    if settings.class_weights == "none":
        return None
    if task.is_regression:
        raise UserError("class_weights: regression has no classes. Say `class_weights: none`.")
    counts = weights @ targets
    total = weights.sum()
    smallest = total / (2 * len(targets))  # a class that is absent here must not weigh infinitely
    counts = counts.clip(smallest, total - smallest)
    beta = settings.effective_beta if settings.class_weights == "effective" else None
    if task.is_multilabel:
        return _rarity(counts, beta) / _rarity(total - counts, beta)
    rarity = _rarity(counts, beta)
    return rarity * total / (counts @ rarity)


def _rarity(counts: np.ndarray, beta: float | None) -> np.ndarray:
    """Return inverse frequency, or (1 - beta) / (1 - beta^n), where each further row adds less.

    Source: Cui 2019, class-balanced loss; theirs is scaled to a sum of C, ours to a mean row of 1.
    """
    if beta is None:
        return 1 / counts
    return (1 - beta) / (1 - beta**counts)
