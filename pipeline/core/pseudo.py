"""Pseudo-labels: which test rows a teacher is sure of, and what it says of them.

Source: Lee 2013, Pseudo-Label; soft labels as in Xie 2020, Noisy Student.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.config.schema import Kind, Pseudo


@dataclass(frozen=True)
class PseudoLabels:
    """Rows that a student learns from besides its own.

    Attributes:
        rows: (P,) positions among the test rows.
        targets: (P, C) one-hot or 0/1 if hard, probabilities if soft, values for regression.
        weights: (P,) of these rows in the loss.
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def choose_pseudo_labels(values: np.ndarray, settings: Pseudo, *, kind: Kind) -> PseudoLabels:
    """Keep the confident rows of one teacher's test predictions.

    A row's confidence is its highest probability; for multilabel the mean over columns of
    max(p, 1 - p); a regression has none, all rows are kept. `threshold` and `top_share` both apply
    where both are given; `top_share` is taken within each predicted class, so that rare classes
    keep their share.

    Args:
        values: (N, C) predictions of the teacher.
    """
    if kind == "regression":
        rows = np.arange(len(values))
        return PseudoLabels(rows, values, np.full(len(rows), settings.weight))
    if kind == "multilabel":
        confidence = np.maximum(values, 1 - values).mean(1)
        predicted = np.zeros(len(values), dtype=int)
        hard = (values >= 0.5).astype(float)
    else:
        confidence, predicted = values.max(1), values.argmax(1)
        hard = np.eye(values.shape[1])[predicted]
    keep = np.ones(len(values), dtype=bool)
    if settings.threshold is not None:
        keep &= confidence >= settings.threshold
    if settings.top_share is not None:
        keep &= _top_share(confidence, predicted, settings.top_share)
    rows = np.flatnonzero(keep)
    targets = hard if settings.labels == "hard" else values
    return PseudoLabels(rows, targets[rows], np.full(len(rows), settings.weight))


def _top_share(confidence: np.ndarray, predicted: np.ndarray, share: float) -> np.ndarray:
    """(N,) whether a row is among the most confident `share` of its predicted class."""
    keep = np.zeros(len(confidence), dtype=bool)
    for label in np.unique(predicted):
        rows = np.flatnonzero(predicted == label)
        best_first = rows[np.argsort(-confidence[rows], kind="stable")]
        # Rounded first: 0.07 * 100 is a trifle above 7, and would keep eight.
        keep[best_first[: int(np.ceil(round(share * len(rows), 6)))]] = True
    return keep
