"""Weights of members on the simplex: by a smooth loss, or picked one by one on the metric."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from pipeline.config.schema import Kind
from pipeline.core.metrics import Metric
from pipeline.core.scorers import EPS


def weighted_mean(member_values: np.ndarray, *, weights: np.ndarray) -> np.ndarray:
    """Average the members (M, N, C) by weights (M,) to (N, C)."""
    return np.tensordot(weights, member_values, axes=1)


@dataclass(frozen=True)
class MixtureLoss:
    """A convex loss of a weighted mean of members, as a function of the weights (M,).

    Attributes:
        predictions: (M, R) what each member says of R numbers.
        aims: (R,) the probability mass on each number, or the value that it should have.
        is_log: log loss, or squared error.
    """

    predictions: np.ndarray
    aims: np.ndarray
    is_log: bool

    @classmethod
    def of(
        cls, members: np.ndarray, targets: np.ndarray, *, kind: Kind, levels: np.ndarray | None
    ) -> "MixtureLoss":
        """Log loss (multilabel: of every column), squared error of regression and expected level.

        Only probabilities of what happened enter the log loss: one per row, for single labels.
        """
        if kind == "regression":
            # Targets in different units weigh alike: each column is in its standard deviations.
            spread = targets.std(axis=0)
            unit = np.where(spread > 0, spread, 1.0)
            return cls((members / unit).reshape(len(members), -1), (targets / unit).ravel(), False)
        if kind == "ordinal":
            assert levels is not None, "an ordinal task has levels"
            return cls(members @ levels, targets @ levels, False)
        if kind == "multilabel":  # 1 - weighted mean is the weighted mean of 1 - p
            members = np.concatenate([members, 1 - members], axis=-1)
            targets = np.concatenate([targets, 1 - targets], axis=-1)
        happened = targets > 0
        mass = targets[happened] / targets.sum()
        return cls(np.maximum(members[:, happened], EPS), mass, True)

    def __call__(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient (M,) at weights that sum to 1."""
        mixed = weights @ self.predictions
        if self.is_log:
            # A line search may step below zero before the bounds pull it back.
            mixed = np.maximum(mixed, EPS)
            return -self.aims @ np.log(mixed), -self.predictions @ (self.aims / mixed)
        errors = mixed - self.aims
        return np.mean(errors**2), 2 * self.predictions @ errors / errors.size


def fit_weights(
    members: np.ndarray, targets: np.ndarray, *, kind: Kind, levels: np.ndarray | None
) -> np.ndarray:
    """Find the weights (M,), at least 0 with sum 1, of least `MixtureLoss`.

    The smooth loss stands in for the metric: steps of an accuracy would be fitted to noise.
    """
    loss = MixtureLoss.of(members, targets, kind=kind, levels=levels)
    even = np.full(len(members), 1 / len(members))
    found = minimize(
        loss,
        even,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(members),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"maxiter": 200, "ftol": 1e-9},
    )
    if not np.isfinite(found.x).all() or found.x.max() <= 0:
        return even
    weights = np.maximum(found.x, 0.0)
    weights /= weights.sum()
    return weights if loss(weights)[0] <= loss(even)[0] else even


def select_greedily(
    members: np.ndarray,
    targets: np.ndarray,
    *,
    kind: Kind,
    metric: Metric,
    levels: np.ndarray | None,
    threshold: float = 0.5,
    rounds: int = 50,
) -> np.ndarray:
    """Pick members one by one, with replacement, each the one that helps the metric most.

    The best prefix of the picks is kept; weights (M,) are its shares. Ties, many where the metric
    counts labels, go to the smaller `MixtureLoss`, then to the earlier member.

    Source: Caruana 2004, ensemble selection from libraries of models; ours draws no bags.
    """
    loss = MixtureLoss.of(members, targets, kind=kind, levels=levels)
    counts = np.zeros(len(members))
    total = np.zeros_like(members[0])
    best_score, best_loss, best_counts = metric.worst, np.inf, counts
    for size in range(1, rounds + 1):
        scores = np.array(
            [
                metric.score(
                    targets, (total + one) / size, kind=kind, levels=levels, threshold=threshold
                )
                for one in members
            ]
        )
        scores[np.isnan(scores)] = metric.worst
        top_score = scores.max() if metric.greater_is_better else scores.min()
        tied = np.flatnonzero(scores == top_score)
        losses = [loss((counts + (np.arange(len(members)) == m)) / size)[0] for m in tied]
        pick, pick_loss = tied[np.argmin(losses)], min(losses)
        counts = counts + (np.arange(len(members)) == pick)
        total += members[pick]
        if metric.is_better(top_score, best_score) or (
            top_score == best_score and pick_loss < best_loss
        ):
            best_score, best_loss, best_counts = top_score, pick_loss, counts
    return best_counts / best_counts.sum()
