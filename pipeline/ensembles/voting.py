"""Votes and means of members; they learn nothing from the targets but a power mean's exponent."""

import numpy as np
from scipy.special import expit, log_softmax
from scipy.stats import rankdata

from pipeline.core.numerics import EPS, clipped_log, clipped_logit
from pipeline.core.task import Task
from pipeline.ensembles.weights import MixtureLoss

# Of power means, few and far apart: the loss is flat between them.
EXPONENTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


def soft_vote(member_values: np.ndarray, *, task: Task) -> np.ndarray:
    """Average the members (M, N, C) to (N, C)."""
    return task.normalise(member_values.mean(axis=0))


def hard_vote(member_values: np.ndarray, *, task: Task) -> np.ndarray:
    """Count votes: the share of members for each class (N, C).

    Ordinal members vote for a level, so the expectation is the mean level voted for. Multilabel:
    the share of members that say yes. Regression: the members' median.
    """
    if task.is_regression:
        return np.median(member_values, axis=0)
    if task.is_multilabel:
        return (member_values >= task.threshold).mean(axis=0)
    choices = member_values.argmax(axis=-1)
    return (choices[..., None] == np.arange(member_values.shape[-1])).mean(axis=0)


def rank_average(member_values: np.ndarray, *, task: Task) -> np.ndarray:
    """Average each column's ranks among the N rows, scaled into (0, 1); rows then sum to 1.

    For ranking metrics: it drops each member's calibration, and how rare a class is with it. Ranks
    need the whole set: a row's result depends on the rows beside it.
    """
    ranks = (rankdata(member_values, axis=1) - 0.5) / member_values.shape[1]
    return task.normalise(ranks.mean(axis=0))


def geometric(member_values: np.ndarray, *, task: Task) -> np.ndarray:
    """Average in log space and renormalise rows; multilabel: average log odds.

    Source: Hinton 2002, product of experts; ours has equal weights that sum to 1.
    """
    if task.is_multilabel:
        return expit(clipped_logit(member_values).mean(axis=0))
    return np.exp(log_softmax(clipped_log(member_values).mean(axis=0), axis=-1))


def power_mean(member_values: np.ndarray, *, task: Task, exponent: float) -> np.ndarray:
    """Average the members (M, N, C) as powers, take the root, renormalise rows.

    An exponent of 0 is the geometric mean, 1 the plain one; high ones go to the maximum.
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
