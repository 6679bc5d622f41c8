"""Label errors: labels that out-of-fold predictions contradict, by confident learning.

A row is confident of class j if its probability of j is at least the mean of rows labelled j. Rows
that are confident of another class than their label's are candidates. Their counts, scaled to the
frequency of each label, estimate how many labels are wrong and what they should have been.

Source: Northcutt, Jiang, Chuang 2021, Confident Learning, section 3.1; off-diagonal cells of the
confident joint (their C_confident), ranked by normalised margin. A row that is confident of several
classes counts for the likeliest of these.

Values of a regression are candidates where the residual is larger than the residuals' own
distribution lets expect of any row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.config.competition import Scale
from pipeline.core.numerics import TINY
from pipeline.core.scale import to_scale
from pipeline.core.task import Task

SLACK = 1e-6  # a probability at its threshold passes despite rounding
LISTED = 1000  # suspicious labels in the CSV
COLUMNS = ["row", "label", "likely", "probability", "label_probability"]
VALUE_COLUMNS = ["row", "label", "predicted", "times_median"]  # of a regression
EXPECTED = 0.05  # residuals that may be expected beyond the limit by chance, of a whole column
UPPER = 0.9  # quantile that, with the median, gives the shape of the residuals' tail
LIGHTEST_TAIL = 2.0  # a lighter one would make much of residuals that are nearly the same


@dataclass(frozen=True)
class LabelErrors:
    """Labels that contradict predictions, and an estimate of how many are wrong.

    Attributes:
        listed: at most LISTED candidates, the most suspicious first: row (position), label, likely,
            probability (of what is likely), label_probability; of a regression row, label,
            predicted, times_median (the residual over the column's median residual).
        found: how many there are in all.
        pairs: label, likely, images (with this label), wrong (estimated number of them that should
            be `likely`), share (wrong / images); most wrong first. Empty for regression.
        share: estimated share of wrong labels; NaN for regression, which has none.
    """

    listed: pd.DataFrame
    found: int
    pairs: pd.DataFrame
    share: float


def find_label_errors(
    targets: np.ndarray,
    values: np.ndarray,
    classes: Sequence[str],
    task: Task,
) -> LabelErrors:
    """Compare targets (N, C) with out-of-fold predictions (N, C).

    Multilabel: each column on its own, yes against no. Regression: residuals beyond
    `residual_limit`, on the task's scale; often there are none. Values are in the target's own
    unit.
    """
    if task.is_regression:
        listed = _by_residual(targets, values, classes, task.scale)
        return LabelErrors(listed.head(LISTED), len(listed), _pairs([]), np.nan)
    if task.is_multilabel:
        parts = [
            _of_labels(
                (targets[:, column] >= 0.5).astype(int),
                np.stack([1 - values[:, column], values[:, column]], axis=1),
                [f"{name}=0", f"{name}=1"],
            )
            for column, name in enumerate(classes)
        ]
    else:
        parts = [_of_labels(targets.argmax(axis=1), values, list(classes), task.levels)]
    candidates = pd.concat([part for part, _ in parts], ignore_index=True)
    candidates = candidates.sort_values(["margin", "tie", "row"], kind="stable", ignore_index=True)
    pairs = _pairs([pairs for _, pairs in parts])
    share = float(pairs["wrong"].sum() / (len(targets) * len(parts)))
    return LabelErrors(candidates[COLUMNS].head(LISTED), len(candidates), pairs, share)


def confident_classes(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Return the class (N,) that each row of (N, C) is confident of, -1 where of none.

    Args:
        labels: (N,) in 0..C-1.
    """
    own = probs[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=probs.shape[1])
    with np.errstate(invalid="ignore"):  # a class that no row has: no probability reaches NaN
        thresholds = np.bincount(labels, own, probs.shape[1]) / counts
    # A class without any probability has threshold 0, which a probability of 0 must not reach.
    above = probs >= np.maximum(thresholds - SLACK, SLACK)
    return np.where(above.any(axis=1), np.where(above, probs, -np.inf).argmax(axis=1), -1)


def calibrated_joint(labels: np.ndarray, likely: np.ndarray, num_classes: int) -> np.ndarray:
    """Estimate counts (C, C) of rows labelled i that truly are j; row i sums to label i's rows.

    A label with no confident row counts as right.
    """
    sure = likely >= 0
    cells = np.bincount(labels[sure] * num_classes + likely[sure], minlength=num_classes**2)
    counts = cells.reshape(num_classes, num_classes).astype(float)
    without = counts.sum(axis=1) == 0
    counts[without, without] = 1
    counts /= counts.sum(axis=1, keepdims=True)
    return counts * np.bincount(labels, minlength=num_classes)[:, None]


def _of_labels(
    labels: np.ndarray, probs: np.ndarray, names: list[str], levels: np.ndarray | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return candidates and estimated pairs of one set of exclusive classes."""
    likely = confident_classes(labels, probs)
    joint = calibrated_joint(labels, likely, len(names))
    rows = np.flatnonzero((likely >= 0) & (likely != labels))
    own, other = probs[rows, labels[rows]], probs[rows, likely[rows]]
    others = probs[rows].copy()
    others[np.arange(len(rows)), labels[rows]] = -np.inf
    # Ordinal probabilities are often exactly zero two levels away: then distance decides.
    distance = (
        np.zeros(len(rows)) if levels is None else probs[rows] @ levels - levels[labels[rows]]
    )
    named = np.array(names, dtype=object)
    candidates = pd.DataFrame(
        {
            "row": rows,
            "label": named[labels[rows]],
            "likely": named[likely[rows]],
            "probability": other,
            "label_probability": own,
            "margin": own - others.max(axis=1, initial=-np.inf),
            "tie": -np.abs(distance),
        }
    )
    a, b = np.nonzero(joint * ~np.eye(len(names), dtype=bool))
    images = joint.sum(axis=1)[a]
    pairs = {"label": named[a], "likely": named[b], "images": images.round().astype(int)}
    wrong = joint[a, b]
    return candidates, pd.DataFrame(pairs | {"wrong": wrong, "share": wrong / images})


def _pairs(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = ["label", "likely", "images", "wrong", "share"]
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(columns=columns).astype({"wrong": float, "share": float})
    joined = pd.concat(filled, ignore_index=True)
    return joined.sort_values("wrong", ascending=False, kind="stable", ignore_index=True)


def residual_limit(residuals: np.ndarray) -> np.ndarray:
    """Return the size (C,) that EXPECTED of N absolute residuals (N, C) would exceed by chance.

    The chance that a residual is larger than x is modelled as exp(-(x / a)^k). The median and the
    90% quantile give a and k, so that heavy tails raise the limit, and up to a tenth of wrong
    values does not.
    """
    middle, upper = np.maximum(np.quantile(residuals, [0.5, UPPER], axis=0), TINY)
    at_middle, at_upper = np.log(2), -np.log(1 - UPPER)
    with np.errstate(divide="ignore"):
        shape = np.log(at_upper / at_middle) / np.log(upper / middle)
    shape = np.minimum(shape, LIGHTEST_TAIL)
    with np.errstate(over="ignore"):  # where half the residuals are 0, no limit can be told
        return middle * (np.log(len(residuals) / EXPECTED) / at_middle) ** (1 / shape)


def _by_residual(
    targets: np.ndarray, values: np.ndarray, classes: Sequence[str], scale: Scale
) -> pd.DataFrame:
    residuals = np.abs(to_scale(targets, scale) - to_scale(values, scale))
    relative = residuals / np.maximum(np.median(residuals, axis=0), TINY)
    found = np.flatnonzero(residuals > residual_limit(residuals))
    order = found[np.argsort(-relative.flat[found], kind="stable")]
    rows, columns = np.unravel_index(order, relative.shape)
    prefix = [f"{classes[column]}=" if len(classes) > 1 else "" for column in columns]
    named = [
        [
            f"{name}{matrix[row, column]:.6g}"
            for name, row, column in zip(prefix, rows, columns, strict=True)
        ]
        for matrix in (targets, values)
    ]
    cells = (rows, *named, relative[rows, columns])
    return pd.DataFrame(dict(zip(VALUE_COLUMNS, cells, strict=True)))
