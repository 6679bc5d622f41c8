"""Weights of members, at least 0 with sum 1: of least smooth loss, or of the best metric."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import nnls

from pipeline.core.task import Task
from pipeline.estimates.row_loss import smooth_task
from pipeline.metrics.find_metric import Metric
from pipeline.metrics.scorers import EPS

# Rows that have a class before its own weights count as much as all classes' common ones.
ROWS_FOR_OWN_WEIGHTS = 100
NEWTON_STEPS = 50
TOLERANCE = 1e-9
STEPS = (0.2, 0.1, 0.05)  # of the search by the metric
BAGS = 5  # random halves of the rows; their weights are averaged
FACTORS = 8  # multiplied before a logarithm is taken: EPS to this power is still a float


def weighted_mean(member_values: np.ndarray, *, weights: np.ndarray) -> np.ndarray:
    """Average the members (M, N, C) by weights (M,) to (N, C)."""
    return np.tensordot(weights, member_values, axes=1)


def class_weighted_mean(
    member_values: np.ndarray, *, weights: np.ndarray, task: Task
) -> np.ndarray:
    """Average the members (M, N, C) by weights (M, C) to (N, C); rows are then renormalised."""
    return task.normalise(np.einsum("mnc,mc->nc", member_values, weights))


@dataclass(frozen=True)
class MixtureLoss:
    """A convex loss of a weighted mean of members, as a function of the weights (M,).

    Attributes:
        predictions: (M, R) each member's predictions of R numbers.
        aims: (R,) the probability mass on each number, or the value that it should have.
        is_log: log loss, or squared error.
    """

    predictions: np.ndarray
    aims: np.ndarray
    is_log: bool

    @classmethod
    def of(cls, members: np.ndarray, targets: np.ndarray, task: Task) -> "MixtureLoss":
        """Log loss (multilabel: of every column), squared error of regression and expected level.

        Only probabilities of what happened enter the log loss: one per row, for single labels.
        """
        if task.is_regression:
            # Targets in different units weigh alike: each column is in its standard deviations.
            spread = targets.std(axis=0)
            unit = np.where(spread > 0, spread, 1.0)
            return cls((members / unit).reshape(len(members), -1), (targets / unit).ravel(), False)
        if task.is_ordinal:
            return cls(task.expected_levels(members), task.expected_levels(targets), False)
        if task.is_multilabel:  # 1 - weighted mean is the weighted mean of 1 - p
            members = np.concatenate([members, 1 - members], axis=-1)
            targets = np.concatenate([targets, 1 - targets], axis=-1)
        happened = np.flatnonzero(targets)
        predictions = np.take(members.reshape(len(members), -1), happened, axis=1)
        mass = targets.ravel()[happened] / targets.sum()
        return cls(np.maximum(predictions, EPS, out=predictions), mass, True)

    def __call__(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the loss and its gradient (M,) at weights that sum to 1."""
        mixed = weights @ self.predictions
        return self.at(mixed), self.gradient(mixed)

    def at(self, mixed: np.ndarray) -> float:
        """Return the loss of a mixture's values of the R numbers."""
        if not self.is_log:
            return float(np.mean((mixed - self.aims) ** 2))
        if self._aims_are_even:
            return float(-self.aims[0] * _sum_of_logs(mixed))
        return float(-self.aims @ np.log(mixed))

    def gradient(self, mixed: np.ndarray) -> np.ndarray:
        """Return the gradient (M,) by the weights, where the mixture is `mixed` (R,)."""
        if self.is_log:
            return -(self.predictions @ (self.aims / mixed))
        return self.predictions @ (mixed - self.aims) * (2 / mixed.size)

    @cached_property
    def _aims_are_even(self) -> bool:
        """Whether all numbers count alike, as those of hard labels do."""
        return bool(self.aims.size and (self.aims == self.aims[0]).all())

    def least(self) -> np.ndarray:
        """Weights (M,) on the simplex at which the loss is least."""
        found = self._least_log() if self.is_log else self._least_squares()
        even = np.full(len(found), 1 / len(found))
        losses = [self.at(weights @ self.predictions) for weights in (found, even)]
        return found if losses[0] <= losses[1] else even

    def _least_squares(self) -> np.ndarray:
        """Exactly: a mean's error is the errors' mean, so what is sought is a shortest mean error.

        The last row wants a sum of 1 at any price's ratio: scaling weights up pays it, and leaves
        their shares at the optimum.
        """
        errors = (self.predictions - self.aims).T
        scale = np.sqrt(np.mean(errors**2)) or 1.0
        corner = np.linalg.qr(errors / scale, mode="r") / np.sqrt(len(errors))
        rows = np.vstack([corner, np.ones(errors.shape[1])])
        return _shares(nnls(rows, np.append(np.zeros(len(corner)), 1.0))[0])

    def _least_log(self) -> np.ndarray:
        """By Newton steps, each a small least-squares problem without negative weights.

        With the sum of weights added to the loss, the optimum over weights of at least 0 has sum 1.
        Source: Kim 2020, maximum likelihood estimation of mixture proportions (mix-SQP).
        """
        weights = np.full(len(self.predictions), 1 / len(self.predictions))
        mixed = weights @ self.predictions
        ratios = np.empty_like(self.predictions)
        for _ in range(NEWTON_STEPS):
            np.multiply(self.predictions, np.sqrt(self.aims) / mixed, out=ratios)
            curvature = ratios @ ratios.T
            pull = curvature @ weights  # minus the gradient of the log loss
            if pull.max() <= 1 + TOLERANCE:
                break
            # Copies of one member make the curvature singular.
            lift = 1e-10 * np.trace(curvature) / len(weights)
            root = np.linalg.cholesky(curvature + lift * np.eye(len(weights)))
            wanted = np.linalg.solve(root, 2 * pull - 1 + lift * weights)
            step = nnls(root.T, wanted)[0] - weights
            taken = self._step_length(weights, step, slope=float((1 - pull) @ step))
            if taken == 0:
                break
            weights = weights + taken * step
            mixed = weights @ self.predictions
        return _shares(weights)

    def _step_length(self, weights: np.ndarray, step: np.ndarray, *, slope: float) -> float:
        """Return the longest of 1, 1/2, 1/4 ... Newton steps that lowers the loss enough; or 0."""
        mixed, change = weights @ self.predictions, step @ self.predictions
        now = self.at(mixed)
        length = 1.0
        while length > 1e-6:
            there = mixed + length * change
            if there.min() > 0:
                loss = self.at(there) + length * step.sum()
                if loss <= now + 1e-4 * length * slope:
                    return length
            length /= 2
        return 0.0


def fit_weights(members: np.ndarray, targets: np.ndarray, task: Task) -> np.ndarray:
    """Find the weights (M,), at least 0 with sum 1, of least `MixtureLoss`.

    The smooth loss stands in for the metric: steps of an accuracy would be fitted to noise.
    """
    return MixtureLoss.of(members, targets, task).least()


def fit_class_weights(members: np.ndarray, targets: np.ndarray, task: Task) -> np.ndarray:
    """Find weights (M, C), each column's on the simplex, for that class against the rest.

    A class with few rows keeps to the weights that all have in common. Regression: each target
    column has its own.
    """
    common = fit_weights(members, targets, task)
    columns = []
    for c in range(targets.shape[1]):
        one = slice(c, c + 1)
        alone = Task("regression" if task.is_regression else "multilabel")
        own = fit_weights(members[..., one], targets[:, one], alone)
        total = len(targets) if task.is_regression else targets[:, c].sum()
        share = total / (total + ROWS_FOR_OWN_WEIGHTS)
        columns.append(share * own + (1 - share) * common)
    return np.stack(columns, axis=1)


def search_weights(
    members: np.ndarray,
    targets: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    rng: np.random.Generator,
) -> np.ndarray:
    """Find weights (M,) of a better metric than where `MixtureLoss` is least.

    Steps go towards a member or away from it, and shrink. A metric that counts labels is full of
    small steps of its own that mean nothing; averaging over halves of the rows evens them out.
    """
    smooth = MixtureLoss.of(members, targets, smooth_task(task, metric))
    start = smooth.least()
    found = np.zeros(len(members))
    for _ in range(BAGS):
        rows = np.sort(rng.choice(len(targets), max(1, len(targets) // 2), replace=False))
        found += _descend(members[:, rows], targets[rows], start, metric, task)
    return found / BAGS


def _shares(weights: np.ndarray) -> np.ndarray:
    """Weights of at least 0 and sum 1; all alike if none is positive."""
    if not np.isfinite(weights).all() or weights.max() <= 0:
        return np.full(len(weights), 1 / len(weights))
    return weights / weights.sum()


def _sum_of_logs(values: np.ndarray) -> float:
    """Of positive values (R,); a logarithm costs more than a product."""
    whole = len(values) // FACTORS * FACTORS
    products = np.multiply.reduce(values[:whole].reshape(FACTORS, -1), axis=0)
    return np.log(products).sum() + np.log(values[whole:]).sum()


def _descend(
    members: np.ndarray, targets: np.ndarray, start: np.ndarray, metric: Metric, task: Task
) -> np.ndarray:
    def score(weights: np.ndarray) -> float:
        return metric.score(targets, weighted_mean(members, weights=weights), task)

    best, best_score = start, score(start)
    for step in STEPS:
        for m in range(len(members)):
            for change in (step, -step):
                tried = best.copy()
                tried[m] = np.clip(tried[m] + change, 0.0, 1.0)
                if tried.sum() <= 0:
                    continue
                tried = tried / tried.sum()
                tried_score = score(tried)
                if metric.is_better(tried_score, best_score):
                    best, best_score = tried, tried_score
    return best
