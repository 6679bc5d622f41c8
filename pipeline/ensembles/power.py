"""Power means: between the geometric mean (exponent 0), the plain one (1) and the maximum."""

import numpy as np

from pipeline.core.probabilities import EPS
from pipeline.core.task import Task
from pipeline.ensembles.voting import geometric
from pipeline.ensembles.weights import MixtureLoss

# Few and far apart: the loss is flat between them.
EXPONENTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


def power_mean(member_values: np.ndarray, *, task: Task, exponent: float) -> np.ndarray:
    """Average the members (M, N, C) as powers, take the root, renormalise rows.

    Multilabel: of yes and of no, which then sum to 1.
    """
    if exponent == 0:
        return geometric(member_values, task=task)
    yes = _mean_of_powers(member_values, exponent)
    if task.is_multilabel:
        return yes / (yes + _mean_of_powers(1 - member_values, exponent))
    return task.normalise(yes)


def fit_exponent(members: np.ndarray, targets: np.ndarray, task: Task) -> float:
    """Find the exponent of least log loss, or squared error of the expected level."""

    def loss(exponent: float) -> float:
        mean = power_mean(members, task=task, exponent=exponent)
        return MixtureLoss.of(mean[None], targets, task)(np.ones(1))[0]

    return min(EXPONENTS, key=loss)


def _mean_of_powers(values: np.ndarray, exponent: float) -> np.ndarray:
    return np.mean(np.maximum(values, EPS) ** exponent, axis=0) ** (1 / exponent)
