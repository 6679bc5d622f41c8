"""Logistic regression by L-BFGS: soft targets, row weights, a path of penalties with warm starts.

scikit-learn's takes hard labels, so soft ones would multiply the rows by C, and it starts each
penalty afresh; the optimum is the same.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

Link = Literal["softmax", "sigmoid"]


def softmax_regression(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    strengths: Sequence[float],
    *,
    link: Link = "softmax",
    tolerance: float = 1e-7,
    max_iter: int = 500,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise sum_i w_i CE(targets_i, link(x_i W + b)) + strength / 2 |W|^2 for each strength.

    The intercept b is free. In scikit-learn's terms C = 1 / strength; a binary task as two softmax
    columns splits its coefficients between them and so equals a strength half as large there.

    Args:
        features: (N, D); the products are computed in its precision, sums in float64.
        targets: (N, C) probabilities; rows sum to 1 for softmax. Every column needs some mass,
            for sigmoid on both sides, or its intercept runs away.
        weights: (N,) non-negative.
        strengths: S penalties > 0, any order.
        link: softmax: one class per row; sigmoid: C independent columns, solved together.
        tolerance: stop when a step lowers the mean loss by less, or its gradient is smaller.
    Returns:
        coefs (S, D, C) and intercepts (S, C), in the order of `strengths`.
    """
    mean = weights @ features / weights.sum()
    # Centred features decouple the intercept; otherwise L-BFGS zigzags between it and W.
    centred = features - mean.astype(features.dtype)
    share = weights / weights.sum()
    prior = np.clip(share @ targets, 1e-6, 1 - 1e-6)
    intercept = np.log(prior) - (np.log1p(-prior) if link == "sigmoid" else 0)
    solution = np.vstack([np.zeros((features.shape[1], targets.shape[1])), intercept])
    coefs = np.empty((len(strengths), *solution[:-1].shape))
    intercepts = np.empty((len(strengths), len(intercept)))
    for index in np.argsort(strengths)[::-1]:  # from the strongest: near zero, solved in few steps
        solution = minimize(
            mean_loss_and_gradient,
            solution.ravel(),
            args=(centred, targets, share, strengths[index] / weights.sum(), link),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": tolerance, "ftol": tolerance, "maxiter": max_iter, "maxcor": 20},
        ).x.reshape(solution.shape)
        coefs[index] = solution[:-1]
        intercepts[index] = solution[-1] - mean @ solution[:-1]
    return coefs, intercepts


def mean_loss_and_gradient(
    solution: np.ndarray,
    features: np.ndarray,
    targets: np.ndarray,
    share: np.ndarray,
    strength: float,
    link: Link,
) -> tuple[float, np.ndarray]:
    """Penalised cross-entropy and its gradient; `share` are row weights that sum to 1."""
    solution = solution.reshape(features.shape[1] + 1, targets.shape[1])
    coefs, intercept = solution[:-1], solution[-1]
    logits = (features @ coefs.astype(features.dtype)).astype(np.float64) + intercept
    if link == "softmax":
        log_partition = logsumexp(logits, axis=1, keepdims=True)
        probs = np.exp(logits - log_partition)
    else:
        log_partition = np.logaddexp(0, logits)
        probs = expit(logits)
    fit = share @ (log_partition.sum(axis=1) - (targets * logits).sum(axis=1))
    residuals = share[:, None] * (probs - targets)
    slope = features.T @ residuals.astype(features.dtype) + strength * coefs
    gradient = np.vstack([slope, residuals.sum(axis=0)])
    return fit + strength / 2 * np.sum(coefs**2), gradient.ravel()
