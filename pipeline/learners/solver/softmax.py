"""Logistic regression: all folds together, along a path of penalties.

scikit-learn fits one fold and penalty after the other, from zero, and takes hard labels only; the
optimum is the same. Four things make this one faster (tests/bench/solver.py measures it): folds
share the products with the features, rotated axes suit a diagonal preconditioner, products are in
float32, and each penalty starts where the last ones point to.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.learners.solver.lbfgs import MEMORY, minimise
from pipeline.learners.solver.softmax_loss import Link, Problems

MOST_CELLS = 2**27  # (rows + dimensions remembered) x columns x problems, solved at once
PATH_POINTS = 3  # solutions that foretell the next: a parabola in the log of the penalty


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
    """Minimise sum_i w_i CE(targets_i, link(x_i W + b)) + strength / 2 |W|^2.

    The intercept b is free. In scikit-learn's terms C = 1 / strength; a binary task as two softmax
    columns splits its coefficients between them and so equals a strength half as large there.

    Args:
        features: (N, D); the products are computed in its precision, sums over rows in float64.
            Uncorrelated columns (`rotate`) take a fraction of the iterations.
        targets: (N, C) probabilities; rows sum to 1 for softmax. Where a column has no mass in a
            problem (for sigmoid, on either side), its intercept stays finite, far out.
        weights: (P, N) non-negative, one row for each of P problems; a fold left out is zeros.
        strengths: S penalties > 0, any order; each problem is solved for each.
        link: softmax: one class per row; sigmoid: C independent columns, solved together;
            hinge: squared hinge losses of C columns instead of cross-entropy.
        tolerance: how far above its optimum a mean loss may end, by the solver's estimate; in
            correlated columns it may be twenty times as far.
    Returns:
        coefs (S, P, D, C) and intercepts (S, P, C), in the order of `strengths`.
    """
    mean = weights.sum(axis=0) @ features / weights.sum()
    # Centred features decouple the intercept; otherwise L-BFGS zigzags between it and W.
    centred = features - mean.astype(features.dtype)
    columns = np.ascontiguousarray(targets.T, dtype=features.dtype)
    masses = weights.sum(axis=1)
    shares = (weights / masses[:, None]).astype(features.dtype)
    at_once = max(1, MOST_CELLS // (columns.size + 2 * MEMORY * columns.shape[0] * len(mean)))
    solutions = np.empty((len(strengths), len(weights), len(columns), len(mean) + 1))
    for first in range(0, len(weights), at_once):
        some = slice(first, first + at_once)
        done: list[int] = []
        for index in np.argsort(strengths)[::-1]:  # from the strongest: near zero, quickly solved
            problems = Problems(
                centred, columns, shares[some], strengths[index] / masses[some], link
            )
            start = problems.constants()
            if done:
                known = done[-PATH_POINTS:]
                parts = path_weights([strengths[i] for i in known], strengths[index])
                start = np.tensordot(parts, solutions[known, some], axes=1).astype(start.dtype)
            solutions[index, some] = minimise(
                problems, start, tolerance=tolerance, max_iter=max_iter
            )
            if strengths[index] not in [strengths[i] for i in done]:
                done.append(index)
    coefs = solutions[..., :-1].swapaxes(2, 3)
    return coefs, solutions[..., -1] - mean @ coefs


def path_weights(known: Sequence[float], wanted: float) -> np.ndarray:
    """(K,) shares of the solutions at the known penalties in the one foretold for `wanted`.

    The polynomial in the log of the penalty through all of them (Lagrange).
    """
    logs, log_wanted = np.log(known), np.log(wanted)
    shares = np.ones(len(logs))
    for index, log in enumerate(logs):
        others = np.delete(logs, index)
        shares[index] = np.prod((log_wanted - others) / (log - others))
    return shares
