"""Choice of each target's transform inside a fold, by held-out predictions of a ridge.

The ridge has exact held-out residuals without refitting, of all candidates in one pass.
"""

from typing import get_args

import numpy as np
from scipy.stats import rankdata

from pipeline.config.learners import LEARNERS
from pipeline.core.numerics import standard_error
from pipeline.learners.ridge import held_out_predictions
from pipeline.learners.rows import TrainingRows
from pipeline.learners.target_transform import TargetTransform, TransformName, fit_transform
from pipeline.metrics import number_scorers as numbers
from pipeline.metrics.metric import RowError

CANDIDATES: tuple[TransformName, ...] = get_args(
    TransformName
)  # the first is what others must beat
STANDARD_ERRORS = 1.0  # of the paired difference


def choose_transforms(
    rows: TrainingRows, units: np.ndarray, row_error: RowError
) -> list[TargetTransform]:
    """Return a transform for each target: the one of the least held-out error, if surely less.

    Targets that stay as they are must be beaten by a standard error of the paired difference.

    Args:
        rows: with targets (N, C) as they are.
        units: (N,) what varies together: an image's views, a group's rows.
    """
    candidates = [_candidates(column, row_error) for column in rows.targets.T]
    transformed = np.column_stack(
        [
            one.forward(column)
            for column, of_column in zip(rows.targets.T, candidates, strict=True)
            for one in of_column
        ]
    )
    strengths = LEARNERS["ridge"].strengths
    predicted = held_out_predictions(rows, transformed, strengths)
    ends = np.cumsum([len(of_column) for of_column in candidates])[:-1]
    parts = zip(
        *(candidates, rows.targets.T),
        *(np.split(matrix, ends, axis=1) for matrix in (transformed, predicted)),
        strict=True,
    )
    return [
        _choose(of_column, column, truth - values, values, rows=rows, units=units)
        for of_column, column, truth, values in parts
    ]


def row_errors(values: np.ndarray, targets: np.ndarray, row_error: RowError) -> np.ndarray:
    """Return (N,) what each prediction (N,) adds to the metric."""
    if row_error == "ranks":
        return np.square(rankdata(values) - rankdata(targets))
    function = {
        "absolute": numbers.absolute_errors,
        "relative": numbers.relative_errors,
        "squared_relative": numbers.squared_relative_errors,
        "symmetric": numbers.symmetric_relative_errors,
    }.get(row_error, numbers.squared_errors)
    return function(targets, values)[:, 0]


def _candidates(column: np.ndarray, row_error: RowError) -> list[TargetTransform]:
    names = [name for name in CANDIDATES if name != "log1p" or column.min() >= 0]
    fitted = [fit_transform(name, column, row_error) for name in names]
    first, *others = fitted
    return [first, *(one for one in others if one.name != "none")]


def _choose(
    candidates: list[TargetTransform],
    targets: np.ndarray,
    residuals: np.ndarray,
    predicted: np.ndarray,
    *,
    rows: TrainingRows,
    units: np.ndarray,
) -> TargetTransform:
    """Choose one column's transform.

    Args:
        targets: (N,). residuals, predicted: (N, K) of transformed targets, held out.
    """
    errors = [
        row_errors(
            _held_out_values(one, residuals[:, k], predicted[:, k], rows.folds),
            *(targets, one.row_error),
        )
        for k, one in enumerate(candidates)
    ]
    gains = [errors[0] - of_one for of_one in errors]
    means = np.array([rows.weights @ gain / rows.weights.sum() for gain in gains])
    sure = [
        mean > STANDARD_ERRORS * standard_error(gain, units, rows.weights)[0]
        for gain, mean in zip(gains, means, strict=True)
    ]
    return candidates[int(np.argmax(np.where(sure, means, 0.0)))]


def _held_out_values(
    transform: TargetTransform, residuals: np.ndarray, predicted: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Return values (N,) of the target, each fold's by the residuals of the others."""
    if transform.name == "none":
        return predicted
    values = np.empty(len(predicted))
    for fold in np.unique(folds):
        mine = folds == fold
        values[mine] = transform.with_residuals(residuals[~mine]).predict(predicted[mine])
    return values
