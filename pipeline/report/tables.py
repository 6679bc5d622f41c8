"""The numbers that the page shows, each a plain function of targets, predictions or image sizes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.config.schema import Kind
from pipeline.images.index import ImageIndex

EPS = 1e-12
BINS = 10  # of the reliability curve


def decide(
    values: np.ndarray, *, kind: Kind, levels: np.ndarray | None = None, threshold: float = 0.5
) -> np.ndarray:
    """What predictions (N, C) come down to.

    Returns:
        Positions (N,): the likeliest class, for ordinal the level nearest to the expectation.
        Multilabel: bool (N, C). Regression: the values themselves.
    """
    if kind == "regression":
        return values
    if kind == "multilabel":
        return values >= threshold
    if levels is not None:
        return np.abs((values @ levels)[:, None] - levels).argmin(axis=1)
    return values.argmax(axis=1)


def in_words(matrix: np.ndarray, classes: Sequence[str], *, kind: Kind, **decision) -> list[str]:
    """Targets or predictions (N, C) as text: a class, several, or numbers."""
    decided = decide(matrix, kind=kind, **decision)
    if kind == "regression":
        if len(classes) == 1:
            return [f"{value:.4g}" for value in decided[:, 0]]
        return [
            ", ".join(f"{name} {value:.4g}" for name, value in zip(classes, row, strict=True))
            for row in decided
        ]
    if kind == "multilabel":
        names = np.array(classes, dtype=object)
        return [", ".join(names[row]) or "none" for row in decided]
    return [classes[position] for position in decided]


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (C, C) of positions (N,): rows are labels, columns predictions."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def reliability_bins(said: np.ndarray, happened: np.ndarray) -> pd.DataFrame:
    """Bins of equal width over probabilities (n,) with outcomes 0/1 (n,); empty bins left out.

    Returns:
        Columns middle (of the bin), said (mean probability), happened (share), count.
    """
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    filled = np.flatnonzero(count)
    sums = [np.bincount(place, numbers, BINS)[filled] for numbers in (said, happened)]
    return pd.DataFrame(
        {
            "middle": (filled + 0.5) / BINS,
            "said": sums[0] / count[filled],
            "happened": sums[1] / count[filled],
            "count": count[filled],
        }
    )


def calibration_error(bins: pd.DataFrame) -> float:
    """Mean distance between said and happened, weighted by count (Guo 2017, ECE)."""
    distance = (bins["said"] - bins["happened"]).abs()
    return float((distance * bins["count"]).sum() / bins["count"].sum())


def ranking_scores(truth: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Average precision and AUC of one column; NaN where truth (N,) has one value only."""
    if truth.all() or not truth.any():
        return np.nan, np.nan
    return float(average_precision_score(truth, values)), float(roc_auc_score(truth, values))


def regression_scores(truth: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """RMSE, MAE and R² of one target (N,)."""
    residuals = truth - values
    mean_square = float((residuals**2).mean())
    variance = float(truth.var())
    explained = 1 - mean_square / variance if variance else np.nan
    return mean_square**0.5, float(np.abs(residuals).mean()), explained


def distribution_gap(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance between two samples' cumulative shares, 0 to 1 (Kolmogorov-Smirnov)."""
    points = np.concatenate([a, b])
    shares = [np.searchsorted(np.sort(x), points, side="right") / len(x) for x in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def image_properties(index: ImageIndex) -> dict[str, np.ndarray]:
    """Numbers (N,) per image that need no decoding: pixels, and 0 to 1 from grey thumbnails."""
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
    """At most `wanted` positions out of `count`, in order."""
    return np.sort(rng.choice(count, min(count, wanted), replace=False))
