"""Scores that depend on order: of a column's rows (AUC and the like), of a row's classes (MAP@k).

`ranking` takes the mean over columns of a function of one column: (truth (N,) 0/1, score (N,)),
which holds both 0 and 1. Others give one score per row, for `scorers.RowMeans`.
"""

from collections.abc import Callable

import numpy as np

from pipeline.core.numerics import TINY
from pipeline.metrics.number_scorers import moments, pearson
from pipeline.metrics.scorers import as_columns, membership

Column = Callable[[np.ndarray, np.ndarray], float]


def ranking(
    y_true: np.ndarray, probs: np.ndarray, *, column: Column, weights: np.ndarray | None = None
) -> float:
    """Mean of a ranking metric over columns (one class against the rest for multiclass).

    A column whose rows are all of one class is skipped; NaN if none is left.

    Args:
        weights: (C,) of columns, or None: all alike.
    """
    truth = as_columns(y_true) if probs.ndim == 1 else membership(y_true, probs.shape[1])
    mixed = [c for c in range(truth.shape[1]) if 0 < truth[:, c].mean() < 1]
    scores = [column(truth[:, c], as_columns(probs)[:, c]) for c in mixed]
    if not scores or (weights is not None and not weights[mixed].any()):
        return np.nan
    return float(np.average(scores, weights=None if weights is None else weights[mixed]))


def pooled_ranking(y_true: np.ndarray, probs: np.ndarray, *, column: Column) -> float:
    """Score all columns' rows as one column (average="micro"); NaN of one class."""
    truth = membership(y_true, probs.shape[1]).ravel()
    return column(truth, probs.ravel()) if 0 < truth.mean() < 1 else np.nan


def padded_ranking(
    y_true: np.ndarray, probs: np.ndarray, *, column: Column, rows: int = 5
) -> float:
    """`ranking` with so many rows added in which every class is there and surely found.

    A class of few rows then counts less, and one of none is no exception.
    Source: the padded cmAP of BirdCLEF 2023.
    """
    truth = membership(y_true, probs.shape[1])
    more = np.ones((rows, probs.shape[1]))
    truth, probs = np.concatenate([truth, more]), np.concatenate([probs, more])
    return ranking(truth, probs, column=column)


def column_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve of one column."""
    true_positives, false_positives = (np.append(0, n) for n in _ranked_counts(truth, score))
    area = np.sum(np.diff(false_positives) * (true_positives[1:] + true_positives[:-1])) / 2
    return float(area / (true_positives[-1] * false_positives[-1]))


def column_average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the precision-recall steps of one column."""
    true_positives, false_positives = _ranked_counts(truth, score)
    precision = true_positives / (true_positives + false_positives)
    return float(np.sum(np.diff(true_positives, prepend=0) * precision) / true_positives[-1])


def column_auc_above(truth: np.ndarray, score: np.ndarray, *, sensitivity: float) -> float:
    """Area under the ROC curve and above a sensitivity: 0 to 1 - sensitivity (ISIC 2024)."""
    # Turned round, it is the area up to a rate of misses.
    specificity, misses = _rates(1 - truth, -score)
    return _area_up_to(1 - sensitivity, misses, specificity)


def column_auc_up_to(truth: np.ndarray, score: np.ndarray, *, false_positive_rate: float) -> float:
    """Area under the ROC curve up to a rate, from 0.5 of chance to 1 (McClish 1989)."""
    found, wrong = _rates(truth, score)
    area = _area_up_to(false_positive_rate, wrong, found)
    of_chance, most = false_positive_rate**2 / 2, false_positive_rate
    return 0.5 * (1 + (area - of_chance) / (most - of_chance))


def column_sensitivity(truth: np.ndarray, score: np.ndarray, *, specificity: float) -> float:
    """Highest sensitivity of a threshold whose specificity is at least so much."""
    found, wrong = _rates(truth, score)
    return float(found[1 - wrong >= specificity - TINY].max())


def column_specificity(truth: np.ndarray, score: np.ndarray, *, sensitivity: float) -> float:
    """Highest specificity of a threshold whose sensitivity is at least so much."""
    found, wrong = _rates(truth, score)
    return float((1 - wrong)[found >= sensitivity - TINY].max())


def spearman(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Mean over columns of the correlation of ranks, equal values sharing theirs; see `pearson`."""
    ranks = (_average_ranks(as_columns(y)) for y in (y_true, y_pred))
    return float(pearson(moments(*ranks).mean(axis=0)))


def gini(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Mean over columns of the normalised Gini coefficient; NaN if targets are equal.

    Of predictions it is how targets vary with their ranks, over how they vary with their own; of
    two classes, 2 AUC - 1.
    """
    y_true, y_pred = as_columns(y_true), as_columns(y_pred)
    apart = y_true - y_true.mean(axis=0)
    of_values, of_targets = ((apart * _average_ranks(y)).sum(axis=0) for y in (y_pred, y_true))
    varies = np.ptp(y_true, axis=0) > 0
    return float((of_values[varies] / of_targets[varies]).mean()) if varies.any() else np.nan


def global_average_precision(y_true: np.ndarray, probs: np.ndarray) -> float:
    """Precision at each right row, from the surest row down, summed over the number of rows.

    Each row predicts its likeliest class. Source: GAP of the Google Landmark Recognition challenge.
    """
    right = (probs.argmax(axis=1) == y_true) + 0.0
    if not right.any():
        return 0.0
    return column_average_precision(right, probs.max(axis=1)) * float(right.mean())


def top_hits(y_true: np.ndarray, probs: np.ndarray, *, k: int) -> np.ndarray:
    """1 where the class is among the k likeliest; ties go to the earlier class, as in argmax."""
    likeliest = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    return (likeliest == y_true[:, None]).any(axis=1).astype(float)


def top_misses(y_true: np.ndarray, probs: np.ndarray, *, k: int) -> np.ndarray:
    """1 where the class is not among the k likeliest."""
    return 1 - top_hits(y_true, probs, k=k)


def precisions_at(y_true: np.ndarray, probs: np.ndarray, *, k: int) -> np.ndarray:
    """(N,) average precision of each row's k likeliest classes: MAP@k is its mean.

    Of one class per row it is 1 / its place. Rows without labels have 0, as on Kaggle.
    """
    truth = membership(y_true, probs.shape[1])
    places = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    right = np.take_along_axis(truth, places, axis=1)
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    most = np.minimum(truth.sum(axis=1), k)
    return (right * precision).sum(axis=1) / np.maximum(most, 1)


def label_ranking_precisions(truth: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N, 2): sum over a row's labels of the precision down to each, and their number.

    Equal probabilities share the lowest place, as in scikit-learn; a row whose labels are all
    there, or none, is right: (1, 1), as one label would be.
    """
    order = np.argsort(-probs, axis=1, kind="stable")
    truth, probs = np.take_along_axis(truth + 0.0, order, 1), np.take_along_axis(probs, order, 1)
    columns = np.arange(probs.shape[1])
    ends = np.append(probs[:, :-1] != probs[:, 1:], np.ones((len(probs), 1), dtype=bool), axis=1)
    last = np.minimum.accumulate(np.where(ends, columns, len(columns))[:, ::-1], axis=1)[:, ::-1]
    precision = np.take_along_axis(np.cumsum(truth, axis=1), last, axis=1) / (last + 1)
    found = np.stack([(truth * precision).sum(axis=1), truth.sum(axis=1)], axis=1)
    found[found[:, 1] == 0] = 1.0
    return found


def label_ranking(truth: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N,) each row's mean precision down to its labels: LRAP is its mean."""
    return np.divide(*label_ranking_precisions(truth, probs).T)


def label_weighted_ranking(truth: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N, 2): as `label_ranking_precisions`; rows without labels do not count."""
    return label_ranking_precisions(truth, probs) * truth.any(axis=1, keepdims=True)


def _ranked_counts(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count true and false positives (T,) above each distinct threshold, from the highest down."""
    order = np.argsort(-score)
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true_positives = np.cumsum(truth[order])[last_of_tie]
    return true_positives, 1 + last_of_tie - true_positives


def _rates(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return true and false positive rates (T + 1,) of each threshold, from above all down."""
    true_positives, false_positives = (np.append(0, n) for n in _ranked_counts(truth, score))
    return true_positives / true_positives[-1], false_positives / false_positives[-1]


def _area_up_to(end: float, x: np.ndarray, y: np.ndarray) -> float:
    """Area under a curve (T,) of rising x, which ends at 1, up to `end`."""
    inside = np.searchsorted(x, end, side="right")
    if inside == len(x):
        return float(np.trapezoid(y, x))
    at_end = np.interp(end, x[inside - 1 : inside + 1], y[inside - 1 : inside + 1])
    return float(np.trapezoid(np.append(y[:inside], at_end), np.append(x[:inside], end)))


def _average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 of each column (N, C), the mean place of equal values."""
    ranks = np.empty(values.shape)
    for c, column in enumerate(values.T):
        _, places, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks[:, c] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
