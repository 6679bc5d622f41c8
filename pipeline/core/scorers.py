"""What metrics compute: most as means over rows (`RowMeans`), so that a bootstrap is one product.

Terms are of y_true and y_pred in the form that their metric wants, see `metrics.Metric`; what
finishes a score takes their means over rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.config.errors import UserError

EPS = 1e-15


@dataclass(frozen=True)
class RowMeans:
    """A metric that depends on the rows through means only.

    Attributes:
        terms: (y_true, y_pred) -> (N, ...) one entry per row.
        finish: means over rows (..., as in terms) -> score (...); leading axes are kept.
        of: what terms are. hits: (N,) 0 or 1; shares: (N, C, 2) counts, of which each class has the
            ratio; losses: (N, ...) from 0 up; moments: others.
    """

    terms: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray] = np.asarray
    of: Literal["hits", "shares", "losses", "moments"] = "moments"

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray) -> float:
        return float(self.finish(self.terms(y_true, y_pred).mean(axis=0)))


def hits(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """1 where a row is right, in every column for multilabel."""
    return (_columns(y_true) == _columns(y_pred)).all(axis=1).astype(float)


def top_hits(y_true: np.ndarray, probs: np.ndarray, *, k: int) -> np.ndarray:
    """1 where the class is among the k likeliest; ties go to the earlier class, as in argmax."""
    likeliest = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    return (likeliest == y_true[:, None]).any(axis=1).astype(float)


def log_losses(y_true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Each row's negative log likelihood; multilabel: mean over its columns."""
    if probs.ndim == 2 and y_true.ndim == 1:
        probs = np.clip(probs, EPS, 1.0)
        probs = probs / probs.sum(axis=1, keepdims=True)
        return -np.log(probs[np.arange(len(probs)), y_true])
    probs = np.clip(probs, EPS, 1 - EPS)
    losses = -np.log(np.where(y_true == 1, probs, 1 - probs))
    return _columns(losses).mean(axis=1)


def recall_terms(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C, 2): is of class c and found, is of class c."""
    classes = int(max(y_true.max(), y_pred.max())) + 1
    truth, found = _membership(y_true, classes), _membership(y_pred, classes)
    return np.stack([truth * found, truth], axis=-1)


def f1_terms(y_true: np.ndarray, y_pred: np.ndarray, *, only: int | None = None) -> np.ndarray:
    """(N, C, 2): is and was said to be of class c, and the mean of both counts."""
    classes = max(int(max(y_true.max(), y_pred.max())), only or 0) + 1
    truth, found = _membership(y_true, classes), _membership(y_pred, classes)
    terms = np.stack([truth * found, (truth + found) / 2], axis=-1)
    return terms if only is None else terms[:, [only]]


def mean_recall(means: np.ndarray) -> np.ndarray:
    """Means of two terms (..., C, 2) as the mean over classes of their ratio: recall, or F1."""
    with np.errstate(invalid="ignore"):
        return _mean_of_defined(means[..., 0] / means[..., 1])


def absolute_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Of each value, as (N, C)."""
    return np.abs(_columns(y_true) - _columns(y_pred))


def squared_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Of each value, as (N, C)."""
    return np.square(_columns(y_true) - _columns(y_pred))


def squared_log_errors(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, C), of log(1 + value); refuses targets below 0."""
    if y_true.min() < 0:
        raise UserError(
            f"task.metric: rmsle needs targets of at least 0, found {y_true.min()}. Use rmse."
        )
    return squared_errors(np.log1p(y_true), np.log1p(np.maximum(y_pred, 0)))


def mean_over_columns(columns: np.ndarray) -> np.ndarray:
    """Mean over the last axis, of numbers (..., C) per target column."""
    return columns.mean(axis=-1)


def root_mean(means: np.ndarray) -> np.ndarray:
    """Mean squares (..., C) as the mean over columns of their roots."""
    return mean_over_columns(np.sqrt(means))


def kappa_terms(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """(N, 5): the moments that `kappa` needs."""
    return np.stack([y_true, y_pred, y_true**2, y_pred**2, y_true * y_pred], axis=1).astype(float)


def kappa(means: np.ndarray) -> np.ndarray:
    """1 - observed / expected squared disagreement, as moments (Cohen 1968, quadratic weights).

    With levels 0, 1, 2 ... it equals the confusion matrix's; other levels count by their distance.
    """
    a, b, aa, bb, ab = np.moveaxis(means, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = aa + bb - 2 * a * b
        return np.where(expected > 1e-12, 1 - (aa + bb - 2 * ab) / expected, np.nan)


def ranking(
    y_true: np.ndarray, probs: np.ndarray, *, column: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    """Mean of a ranking metric over columns (one class against the rest for multiclass).

    A column whose rows are all of one class is skipped; NaN if none is left.
    """
    truth = _columns(y_true) if probs.ndim == 1 else _membership(y_true, probs.shape[1])
    mixed = [c for c in range(truth.shape[1]) if 0 < truth[:, c].mean() < 1]
    scores = [column(truth[:, c], _columns(probs)[:, c]) for c in mixed]
    return float(np.mean(scores)) if scores else np.nan


def column_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve of one column (N,), which holds both 0 and 1."""
    true_positives, false_positives = (np.append(0, n) for n in _ranked_counts(truth, score))
    area = np.sum(np.diff(false_positives) * (true_positives[1:] + true_positives[:-1])) / 2
    return float(area / (true_positives[-1] * false_positives[-1]))


def column_average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the precision-recall steps of one column (N,), which holds a 1."""
    true_positives, false_positives = _ranked_counts(truth, score)
    precision = true_positives / (true_positives + false_positives)
    return float(np.sum(np.diff(true_positives, prepend=0) * precision) / true_positives[-1])


def _columns(y: np.ndarray) -> np.ndarray:
    return y[:, None] if y.ndim == 1 else y


def _membership(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N, C) 0/1, of class positions (N,) or of what is 0/1 already."""
    return (labels[:, None] == np.arange(classes)) + 0.0 if labels.ndim == 1 else labels + 0.0


def _mean_of_defined(columns: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(columns)
    with np.errstate(invalid="ignore"):
        return np.where(defined, columns, 0.0).sum(axis=-1) / defined.sum(axis=-1)


def _ranked_counts(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives (T,) above each distinct threshold, from the highest down."""
    order = np.argsort(-score)
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true_positives = np.cumsum(truth[order])[last_of_tie]
    return true_positives, 1 + last_of_tie - true_positives
