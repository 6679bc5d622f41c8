"""Transforms of a regression's targets, each of one column, and the way back for a metric's error.

A model predicts the middle of a transformed target. Which value of the target itself is best then
depends on the error that the metric averages: the mean, the median, or another point of what the
target may be. Held-out residuals tell what it may be (smearing: Duan 1983).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import boxcox1p, inv_boxcox1p
from scipy.stats import norm, yeojohnson_normmax

from pipeline.metrics.metric import RowError
from pipeline.metrics.number_scorers import EPS

TransformName = Literal["none", "log1p", "yeo_johnson", "quantile"]
MARGIN = 0.5  # of the range of training targets, beyond which nothing is predicted
MOST_KNOTS = 1000
NUM_RESIDUALS = 101  # quantiles that stand for all residuals
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class TargetTransform:
    """A monotone transform of one target column.

    Attributes:
        name: yeo_johnson divides by the targets' spread first; quantile: normal scores of ranks.
        params: log1p: (0,); yeo_johnson: (2,) spread and lambda; quantile: (2, P) ascending targets
            and their scores.
        limits: (2,) least and greatest value that is predicted.
        residuals: (R,) transformed targets less their held-out predictions, ascending.
        row_error: of the metric; empty as squared.
    """

    name: TransformName
    params: np.ndarray
    limits: np.ndarray
    residuals: np.ndarray
    row_error: RowError

    def forward(self, targets: np.ndarray) -> np.ndarray:
        """Transform targets of any shape; those beyond the limits (a teacher's) are moved there."""
        if self.name == "none":
            return targets
        targets = np.clip(targets, *self.limits)
        if self.name == "log1p":
            return np.log1p(targets)
        if self.name == "yeo_johnson":
            spread, power = self.params
            scaled = targets / spread
            above, below = np.maximum(scaled, 0), np.maximum(-scaled, 0)
            return np.where(scaled >= 0, boxcox1p(above, power), -boxcox1p(below, 2 - power))
        return np.interp(targets, *self.params)

    def back(self, transformed: np.ndarray) -> np.ndarray:
        """Invert `forward`, within the limits."""
        if self.name == "none":
            return transformed
        transformed = np.clip(transformed, *self.forward(self.limits))
        if self.name == "log1p":
            return np.expm1(transformed)
        if self.name == "quantile":
            return np.interp(transformed, *self.params[::-1])
        spread, power = self.params
        above, below = np.maximum(transformed, 0), np.maximum(-transformed, 0)
        inverse = np.where(
            transformed >= 0, inv_boxcox1p(above, power), -inv_boxcox1p(below, 2 - power)
        )
        return np.clip(inverse * spread, *self.limits)

    def with_residuals(self, residuals: np.ndarray) -> "TargetTransform":
        """Return the transform with held-out residuals (n,), at least one."""
        places = (np.arange(NUM_RESIDUALS) + 0.5) / NUM_RESIDUALS
        kept = (
            np.sort(residuals)
            if len(residuals) <= NUM_RESIDUALS
            else np.quantile(residuals, places)
        )
        return replace(self, residuals=kept)

    def predict(self, transformed: np.ndarray) -> np.ndarray:
        """Return the best values (n,) of the target for predictions (n,) of a model."""
        if self.name == "none":
            return transformed
        parts = np.split(transformed, range(ROWS_AT_ONCE, len(transformed), ROWS_AT_ONCE))
        return np.concatenate(
            [
                best_point(self.back(part[:, None] + self.residuals), self.row_error)
                for part in parts
            ]
        )


def fit_transform(name: TransformName, targets: np.ndarray, row_error: RowError) -> TargetTransform:
    """Fit a transform to training targets (n,); one that has nothing to transform does nothing."""
    low, high = float(targets.min()), float(targets.max())
    empty, zero = np.zeros(0), np.zeros(1)
    if low == high or name == "none":
        return TargetTransform("none", empty, np.array([low, high]), zero, row_error)
    margin = MARGIN * (high - low)
    # What never is negative is not predicted so.
    limits = np.array([max(low - margin, 0.0) if low >= 0 else low - margin, high + margin])
    if name == "log1p":
        return TargetTransform(name, empty, limits, zero, row_error)
    if name == "yeo_johnson":
        spread = float(targets.std())
        params = np.array([spread, float(yeojohnson_normmax(targets / spread))])
        return TargetTransform(name, params, limits, zero, row_error)
    return TargetTransform(name, _knots(targets), np.array([low, high]), zero, row_error)


def best_point(outcomes: np.ndarray, row_error: RowError) -> np.ndarray:
    """Return the point (n,) of the least mean error against equally likely outcomes (n, R).

    Args:
        outcomes: ascending in each row.
    """
    if row_error in ("absolute", "symmetric", "ranks"):
        return np.median(outcomes, axis=1)
    if row_error == "relative":  # the median, each outcome by 1 / size
        mass = np.cumsum(1 / np.maximum(np.abs(outcomes), EPS), axis=1)
        middle = (mass < mass[:, -1:] / 2).sum(axis=1)
        return np.take_along_axis(outcomes, middle[:, None], axis=1)[:, 0]
    if row_error == "squared_relative":
        weights = 1 / np.maximum(np.abs(outcomes), EPS) ** 2
        return np.average(outcomes, axis=1, weights=weights)
    return outcomes.mean(axis=1)


def _knots(targets: np.ndarray) -> np.ndarray:
    """(2, P) ascending targets and the normal scores of their ranks, equal ones at the mean rank.

    scikit-learn's QuantileTransformer puts the ends at -5.2 and 5.2, however few rows there are;
    such outliers spoil a squared error.
    """
    values, counts = np.unique(targets, return_counts=True)
    scores = norm.ppf((np.cumsum(counts) - counts / 2) / len(targets))
    if len(values) > MOST_KNOTS:
        chosen = np.linspace(0, len(values) - 1, MOST_KNOTS).round().astype(int)
        values, scores = values[chosen], scores[chosen]
    return np.stack([values, scores])
