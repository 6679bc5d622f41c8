"""What metrics compute: most as means over rows (`RowMeans`), so that a bootstrap is one product.

Terms are of y_true and y_pred in the form that their metric wants, see `metric.Metric`; what
finishes a score takes their means over rows. Here are labels and probabilities of classes;
`number_scorers` has numbers, `rank_scorers` what depends on order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.core.numerics import TINY

EPS = 1e-15
Counts = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class RowMeans:
    """A metric that depends on the rows through means only.

    Attributes:
        terms: (y_true, y_pred) -> (N, ...) one entry per row.
        finish: means over rows (..., as in terms) -> score (...); leading axes are kept.
        of: what terms are. hits: (N,) from 0 to 1; shares: (N, C, 2) counts, of which each class
            has the ratio; agreement: (N, C, 3), see `agreement_terms`; losses: (N, ...) from 0 up;
            moments: others.
    """

    terms: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray
    of: Literal["hits", "shares", "agreement", "losses", "moments"] = "moments"

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return float(self.finish(self.terms(y_true, y_pred).mean(axis=0)))


def hits(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """1 where a row is right, in every column for multilabel."""
    return (as_columns(y_true) == as_columns(y_pred)).all(axis=1).astype(float)


def wrong_shares(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N,) share of a row's labels that are wrong."""
    return (as_columns(y_true) != as_columns(y_pred)).mean(axis=1)


def log_losses(y_true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Each row's negative log likelihood; multilabel: mean over its columns."""
    if probs.ndim == 2 and y_true.ndim == 1:
        probs = np.clip(probs, EPS, 1.0)
        probs = probs / probs.sum(axis=1, keepdims=True)
        return -np.log(probs[np.arange(len(probs)), y_true])
    return as_columns(_log_losses_of_columns(y_true, probs)).mean(axis=1)


def divergences(shares: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N,) Kullback-Leibler divergence of probabilities (N, C) from shares (N, C)."""
    probs = np.clip(probs, EPS, 1.0)
    probs = probs / probs.sum(axis=1, keepdims=True)
    logs = np.log(np.where(shares > 0, shares, 1.0)) - np.log(probs)
    return np.maximum((shares * logs).sum(axis=1), 0.0)


def weighted_log_losses(
    y_true: np.ndarray, probs: np.ndarray, *, weights: np.ndarray | None
) -> np.ndarray:
    """(N, 2): loss times weight, and weight: of a row's class, or (multilabel) of its columns.

    Args:
        weights: (C,), or None: all alike.
    """
    if y_true.ndim == 2:
        losses = _log_losses_of_columns(y_true, probs)
        return np.stack([np.average(losses, axis=1, weights=weights), np.ones(len(losses))], axis=1)
    of_rows = np.ones(len(y_true)) if weights is None else weights[y_true]
    return np.stack([of_rows * log_losses(y_true, probs), of_rows], axis=1)


def log_losses_by_class(y_true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N, C, 2): the loss of a row of class c, and whether it is one."""
    num_classes = max(2, probs.shape[1] if probs.ndim == 2 else 0)
    truth = membership(y_true, num_classes)
    return np.stack([truth * log_losses(y_true, probs)[:, None], truth], axis=-1)


def squared_probability_errors(y_true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N,) Brier's, summed over classes; binary: of the positive; multilabel: mean of columns."""
    if probs.ndim == 1 or y_true.ndim == 2:
        return as_columns((probs - y_true) ** 2).mean(axis=1)
    return ((probs - membership(y_true, probs.shape[1])) ** 2).sum(axis=1)


def probable_f1_terms(y_true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N, 1, 2): as `f_counts` of one column, of probabilities in place of decisions."""
    return np.stack([y_true * probs, (y_true + probs) / 2], axis=-1)[:, None]


def f_counts(
    truth: np.ndarray, found: np.ndarray, *, beta: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of F-beta of 0/1 matrices: true positives, and the mean of both counts."""
    return truth * found, (beta**2 * truth + found) / (1 + beta**2)


def jaccard_counts(truth: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union of 0/1 matrices."""
    return truth * found, truth + found - truth * found


def recall_counts(truth: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count true positives, and positives, of 0/1 matrices."""
    return truth * found, truth


def ratio_terms(
    y_true: np.ndarray, y_pred: np.ndarray, *, counts: Counts, average: str
) -> np.ndarray:
    """Count for each row what the ratio of `average` needs, as scikit-learn does.

    Returns:
        macro: (N, C, 2), see `mean_of_ratios`. Of the positive class of two ("") or micro, of all
        classes together: (N, 1, 2). weighted: (N, C, 3), the last whether the row is of the class.
        samples: (N,) the row's own ratio, 0 where it has no labels and none is predicted.
    """
    classes = max(int(max(y_true.max(), y_pred.max())), 0 if average else 1) + 1
    truth, found = membership(y_true, classes), membership(y_pred, classes)
    above, below = counts(truth, found)
    if average == "samples":
        above, below = above.sum(axis=1), below.sum(axis=1)
        return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    if average == "weighted":
        return np.stack([above, below, truth], axis=-1)
    terms = np.stack([above, below], axis=-1)
    if average == "micro":
        return terms.sum(axis=1, keepdims=True)
    return terms if average == "macro" else terms[:, [1]]


def mean_of_ratios(means: np.ndarray) -> np.ndarray:
    """Means of two terms (..., C, 2) as the mean over classes of their ratio: recall, or F1."""
    with np.errstate(invalid="ignore"):
        return mean_of_defined(means[..., 0] / means[..., 1])


def weighted_mean_of_ratios(means: np.ndarray) -> np.ndarray:
    """Means of three terms (..., C, 3): ratios of the first two, weighted by the third."""
    above, below, weights = np.moveaxis(means, -1, 0)
    ratios = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    with np.errstate(invalid="ignore"):
        return (ratios * weights).sum(axis=-1) / weights.sum(axis=-1)


def mean_over_classes(means: np.ndarray, *, weights: np.ndarray | None) -> np.ndarray:
    """Means of two terms (..., C, 2): the mean of their ratios over the classes that are there.

    Args:
        weights: (C,) of classes, or None: all alike.
    """
    weights = np.ones(means.shape[-2]) if weights is None else weights
    there = means[..., 1] > 0
    ratios = np.divide(means[..., 0], means[..., 1], out=np.zeros(there.shape), where=there)
    with np.errstate(invalid="ignore"):
        return (ratios * weights).sum(axis=-1) / (there * weights).sum(axis=-1)


def ratio(means: np.ndarray) -> np.ndarray:
    """Means of two terms (..., 2) as their ratio."""
    with np.errstate(invalid="ignore"):
        return means[..., 0] / means[..., 1]


def agreement_terms(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C, 3): is and is predicted as class c, is, is predicted."""
    classes = int(max(y_true.max(), y_pred.max())) + 1
    truth, found = membership(y_true, classes), membership(y_pred, classes)
    return np.stack([truth * found, truth, found], axis=-1)


def matthews(means: np.ndarray) -> np.ndarray:
    """Matthews' correlation of means (..., C, 3) of `agreement_terms` (Gorodkin 2004).

    0 where one class only was predicted; NaN where there is one only.
    """
    right, truth, found = np.moveaxis(means, -1, 0)
    spread_true, spread_found = 1 - (truth**2).sum(axis=-1), 1 - (found**2).sum(axis=-1)
    shared = right.sum(axis=-1) - (truth * found).sum(axis=-1)
    spread = np.sqrt(np.maximum(spread_true, 0) * np.maximum(spread_found, 0))
    found = np.divide(shared, spread, out=np.zeros_like(shared), where=spread > TINY)
    return np.where(spread_true > TINY, np.clip(found, -1, 1), np.nan)


def cohen(means: np.ndarray) -> np.ndarray:
    """Cohen's kappa, of means (..., C, 3) of `agreement_terms`."""
    right, truth, found = np.moveaxis(means, -1, 0)
    by_chance = (truth * found).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = (right.sum(axis=-1) - by_chance) / (1 - by_chance)
    return np.where(1 - by_chance > TINY, kappa, np.nan)


def as_columns(y: np.ndarray) -> np.ndarray:
    """(N,) as (N, 1); (N, C) as it is."""
    return y[:, None] if y.ndim == 1 else y


def membership(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, C) 0/1, of class positions (N,) or of what is 0/1 already."""
    return (labels[:, None] == np.arange(classes)) + 0.0 if labels.ndim == 1 else labels + 0.0


def mean_of_defined(columns: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(columns)
    with np.errstate(invalid="ignore"):
        return np.where(defined, columns, 0.0).sum(axis=-1) / defined.sum(axis=-1)


def _log_losses_of_columns(y_true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Of 0/1 targets, each on its own, in their shape."""
    probs = np.clip(probs, EPS, 1 - EPS)
    return -np.log(np.where(y_true == 1, probs, 1 - probs))
