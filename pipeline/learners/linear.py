"""Linear models: what scores `features @ coefs + intercepts` say of rows."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logsumexp, softmax

from pipeline.core.levels import interpolate_levels
from pipeline.core.numerics import best_factor

Output = Literal["softmax", "sigmoid", "identity", "levels"]


@dataclass(frozen=True)
class LinearModel:
    """Scores `features @ coefs + intercepts`, and what makes predictions of them.

    Attributes:
        coefs: (D, C); (D, 1) for `levels`.
        intercepts: (C,); -inf or inf where a class never or always occurred in training.
        output: the function from scores to predictions.
        levels: (C,) where output is `levels`.
        strength: (C,) or (1,) penalties in use, for the log.
    """

    coefs: np.ndarray
    intercepts: np.ndarray
    output: Output
    levels: np.ndarray | None
    strength: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""
        scores = features @ self.coefs.astype(features.dtype) + self.intercepts
        if self.output == "softmax":
            return softmax(scores, axis=1)
        if self.output == "sigmoid":
            return expit(scores)
        if self.output == "levels":
            return interpolate_levels(scores[:, 0], self.levels)
        return scores


def log_loss(scores: np.ndarray, targets: np.ndarray, link: str) -> np.ndarray:
    """(N,) cross-entropy of scores against (soft) targets, both (N, C), summed over columns."""
    partition = logsumexp(scores, axis=1) if link == "softmax" else np.logaddexp(0, scores).sum(1)
    return partition - (targets * scores).sum(axis=1)


def best_temperature(
    scores: np.ndarray, targets: np.ndarray, share: np.ndarray, *, link: str
) -> tuple[float, float]:
    """Return the factor on scores (N, C) that makes the mean log loss least, and that loss.

    Fit it to cross-validated scores.
    """
    return best_factor(
        lambda factor: share @ log_loss(factor * scores, targets, link), logs=(-3, 5)
    )
