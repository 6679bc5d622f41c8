"""Numbers of the page: plain functions of targets, predictions and image sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.core.task import Task
from pipeline.images.index import ImageIndex

BINS = 10  # of the reliability curve


def decide(values: np.ndarray, task: Task) -> np.ndarray:
    """Return the decisions of predictions (N, C).

    Returns:
        Positions (N,): the likeliest class, for ordinal the level nearest to the expectation.
        Multilabel: bool (N, C). Regression: the values themselves.
    """
    if task.is_regression:
        return values
    if task.is_multilabel:
        return values >= task.threshold
    if task.is_ordinal:
        return np.abs(task.expected_levels(values)[:, None] - task.levels).argmin(axis=1)
    return values.argmax(axis=1)


def in_words(values: np.ndarray, classes: Sequence[str], task: Task) -> list[str]:
    """Return targets or predictions (N, C) as text: a class, several, or numbers."""
    decided = decide(values, task)
    if task.is_regression:
        if len(classes) == 1:
            return [f"{value:.4g}" for value in decided[:, 0]]
        return [
            ", ".join(f"{name} {value:.4g}" for name, value in zip(classes, row, strict=True))
            for row in decided
        ]
    if task.is_multilabel:
        names = np.array(classes, dtype=object)
        return [", ".join(names[row]) or "none" for row in decided]
    return [classes[position] for position in decided]


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Count positions (N,) in (C, C): rows are labels, columns predictions."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def reliability_bins(predicted: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """Group probabilities (n,) with outcomes 0/1 (n,) in bins of equal width, without empty bins.

    Returns:
        Columns middle (of the bin), predicted (mean probability), observed (share), count.
    """
    place = np.minimum((predicted * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    filled = np.flatnonzero(count)
    sums = [np.bincount(place, numbers, BINS)[filled] for numbers in (predicted, observed)]
    return pd.DataFrame(
        {
            "middle": (filled + 0.5) / BINS,
            "predicted": sums[0] / count[filled],
            "observed": sums[1] / count[filled],
            "count": count[filled],
        }
    )


def calibration_error(bins: pd.DataFrame) -> float:
    """Return the expected calibration error (Guo 2017): mean distance, weighted by count."""
    distance = (bins["predicted"] - bins["observed"]).abs()
    return float((distance * bins["count"]).sum() / bins["count"].sum())


def most_confused(matrix: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` classes of a confusion matrix (C, C), those with the most errors."""
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    errors = wrong.sum(axis=0) + wrong.sum(axis=1)
    return np.sort(np.argsort(-errors, kind="stable")[:most])


def class_scores(truth: np.ndarray, chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return F1, precision, recall, AP and AUC (C, 5) of each class against all others.

    Args:
        truth, chosen: (N, C) bool. values: (N, C).
    Returns:
        NaN where there is none: a class that never occurs, or is never chosen.
    """
    both = (truth & chosen).sum(axis=0)
    with np.errstate(invalid="ignore"):
        precision, recall = both / chosen.sum(axis=0), both / truth.sum(axis=0)
        f1 = 2 * both / (truth.sum(axis=0) + chosen.sum(axis=0))
    ranking = [ranking_scores(truth[:, c], values[:, c]) for c in range(truth.shape[1])]
    return np.column_stack([f1, precision, recall, np.array(ranking)])


def effective_thresholds(values: np.ndarray, decided: np.ndarray, task: Task) -> np.ndarray | None:
    """Return the value (C,) of each class from which rows get it; None where none decides alone.

    Args:
        values, decided: (N, C) predictions before and after fitted decisions.
    Returns:
        The config's threshold where no decision is fitted; else the middle between the rows with
        and without the class, NaN where all rows are on one side.
    """
    if not (task.is_multilabel or task.is_binary):
        return None
    usual = task.threshold if task.is_multilabel else 0.5
    if np.array_equal(values, decided):
        return np.full(values.shape[1], usual)
    found = np.full(values.shape[1], np.nan)
    for column in range(values.shape[1]):
        has = decided[:, column] >= usual
        if has.any() and not has.all():
            ends = values[~has, column].max(), values[has, column].min()
            found[column] = np.mean(ends)
    return found


def ranking_scores(truth: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return average precision and AUC of one column; NaN where truth (N,) has one value only."""
    if truth.all() or not truth.any():
        return np.nan, np.nan
    return float(average_precision_score(truth, values)), float(roc_auc_score(truth, values))


def regression_scores(truth: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Return RMSE, MAE and R² of one target (N,)."""
    residuals = truth - values
    mean_square = float((residuals**2).mean())
    variance = float(truth.var())
    explained = 1 - mean_square / variance if variance else np.nan
    return mean_square**0.5, float(np.abs(residuals).mean()), explained


def distribution_gap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, 0 to 1."""
    points = np.concatenate([a, b])
    shares = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def image_properties(index: ImageIndex) -> dict[str, np.ndarray]:
    """Return numbers (N,) per image without decoding: pixels, and 0 to 1 from grey thumbnails."""
    height, width = index.sizes.astype(float).T
    grey = index.thumbnails.reshape(len(index.thumbnails), -1)
    return {
        "width, pixels": width,
        "height, pixels": height,
        "aspect, width / height": width / height,
        "brightness, mean grey": grey.mean(axis=1) / 255,
        "contrast, spread of grey": grey.std(axis=1) / 255,
    }


def sample_positions(count: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Draw at most `wanted` positions out of `count`, in order."""
    return np.sort(rng.choice(count, min(count, wanted), replace=False))
