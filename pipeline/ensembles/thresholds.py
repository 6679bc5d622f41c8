"""Thresholds of a yes, fitted to a metric that counts decisions.

Each is the mean of what is best on bootstrap samples: one sample's best threshold jumps about.
"""

import numpy as np

from pipeline.metrics.scorers import RowMeans

BAGS = 20
EDGE = 1e-6
PLACES = 12  # decimals of a score: of equal ones the highest threshold is taken
COMMON = np.linspace(0, 1, 51)[1:-1]  # thresholds tried for all columns at once
MOST_CELLS = 2_000_000  # of a matrix; more do not make one number surer


def fit_threshold(
    truth: np.ndarray, probs: np.ndarray, *, function: RowMeans, rng: np.random.Generator
) -> float:
    """Find the threshold of best score; 0.5 where no sample has both classes.

    Args:
        truth: 0 or 1, (N,) of a binary task's positive class, (N, 1) of a multilabel column.
        probs: (N,) of a 1.
        function: of truth and of decisions in truth's shape; better high.
    """
    order = np.argsort(-probs, kind="stable")
    truth, probs = truth[order].astype(int), probs[order]
    ends = np.append(probs[1:] < probs[:-1], True)  # a threshold parts no equal probabilities
    between = np.append((probs[1:] + probs[:-1]) / 2, probs[-1] / 2)[ends]
    predicted = np.concatenate([np.ones_like(truth), np.zeros_like(truth)])
    yes, no = np.split(function.terms(np.concatenate([truth, truth]), predicted), 2)
    flat = np.stack([yes - no, no]).reshape(2, len(truth), -1)
    found = []
    for _ in range(BAGS):
        counts = np.bincount(rng.integers(len(truth), size=len(truth)), minlength=len(truth))
        if not 0 < counts @ truth.ravel() < counts.sum():
            continue
        changes, of_no = counts[:, None] * flat
        sums = np.cumsum(changes, axis=0)[ends] + of_no.sum(axis=0)
        scores = function.finish((sums / counts.sum()).reshape(-1, *yes.shape[1:]))
        found.append(between[np.nanargmax(np.round(scores, PLACES))])
    return float(np.clip(np.mean(found), EDGE, 1 - EDGE)) if found else 0.5


def fit_column_thresholds(
    targets: np.ndarray, probs: np.ndarray, *, function: RowMeans, rng: np.random.Generator
) -> np.ndarray:
    """Find the threshold of each column (N, C) on its own: (C,)."""
    columns = zip(targets.T[..., None], probs.T, strict=True)
    return np.array([fit_threshold(*column, function=function, rng=rng) for column in columns])


def fit_pooled_threshold(
    targets: np.ndarray, probs: np.ndarray, *, function: RowMeans, rng: np.random.Generator
) -> float:
    """Find one threshold for all columns (N, C), whose counts are added up (average="micro")."""
    rows = _some_rows(targets, rng)
    return fit_threshold(
        targets[rows].reshape(-1, 1), probs[rows].ravel(), function=function, rng=rng
    )


def fit_common_threshold(
    targets: np.ndarray, probs: np.ndarray, *, function: RowMeans, rng: np.random.Generator
) -> float:
    """Find one threshold for all columns (N, C), of a metric of rows (average="samples")."""
    rows = _some_rows(targets, rng)
    targets, probs = targets[rows].astype(int), probs[rows]
    scores = np.stack([function.terms(targets, (probs >= cut) + 0) for cut in COMMON])
    drawn = rng.integers(len(targets), size=(BAGS, len(targets)))
    counts = np.stack([np.bincount(rows, minlength=len(targets)) for rows in drawn])
    return float(COMMON[np.round(scores @ counts.T, PLACES).argmax(axis=0)].mean())


def move_threshold(probs: np.ndarray, threshold: np.ndarray | float, *, to: float) -> np.ndarray:
    """Map [0, 1] onto itself, rising, in two straight pieces that meet at the threshold."""
    lower = probs * (to / threshold)
    upper = to + (probs - threshold) * ((1 - to) / (1 - threshold))
    return np.clip(
        np.where(probs >= threshold, upper, np.minimum(lower, np.nextafter(to, 0))), 0, 1
    )


def _some_rows(targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    most = max(1, MOST_CELLS // targets.shape[1])
    return np.sort(rng.permutation(len(targets))[:most])
