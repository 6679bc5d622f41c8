"""Two-level stacking: weights for blends, fitted on their out-of-fold predictions."""

from collections.abc import Callable
from functools import partial

import numpy as np

from pipeline.config.schema import BLENDS_OF_PROBABILITIES
from pipeline.core.task import Task
from pipeline.ensembles.nested import Applied, inner_oof
from pipeline.ensembles.weights import fit_weights, weighted_mean

# Trees are left out: fitted K times anew for each fold, they would take minutes.
FIRST_LEVEL = ("soft_vote", "geometric", "weighted", "class_weighted", "stack", "stack_ridge")


def fit_two_level(
    fit: Callable[..., Applied],
    members: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray | None,
    task: Task,
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit blends of members (M, N, C), and weights of least smooth loss for the blends.

    Args:
        fit: (blend's kind, members, targets, folds) -> a fitted blend.
    """
    refused = BLENDS_OF_PROBABILITIES if task.is_regression else ()
    names = [name for name in FIRST_LEVEL if name not in refused]
    blends = [fit(name, members, targets, folds) for name in names]
    honest = np.stack([inner_oof(partial(fit, name), members, targets, folds) for name in names])
    weights = fit_weights(honest, targets, task)
    return lambda values: weighted_mean(
        np.stack([blend.apply(values) for blend in blends]), weights=weights
    )
