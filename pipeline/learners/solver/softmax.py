"""Logistic regression: all folds together, along a path of penalties.

scikit-learn fits one fold and penalty after the other, from zero, and takes hard labels only; the
optimum is the same. Four things make this one faster (tests/bench/learners.py measures it): folds
share the products with the features, the leading axes of the features precondition the steps,
products are in float32, and each penalty starts where the last ones point to.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.learners.solver.lbfgs import MEMORY, minimise
from pipeline.learners.solver.leading_axes import LeadingAxes
from pipeline.learners.solver.softmax_loss import Link, Problems

MOST_CELLS = 2**27  # (rows + dimensions remembered) x columns x problems, solved at once
PATH_POINTS = 3  # solutions that foretell the next: a parabola in the log of the penalty

Solution = tuple[np.ndarray, np.ndarray]  # coefs and intercepts


def softmax_path(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    strengths: Sequence[float],
    *,
    link: Link = "softmax",
    tolerance: float = 1e-9,
    max_iter: int = 500,
    start: Solution | None = None,
) -> Iterator[tuple[float, Solution]]:
    """Minimise sum_i w_i CE(targets_i, link(x_i W + b)) + strength / 2 |W|^2.

    The intercept b is free. In scikit-learn's terms C = 1 / strength; a binary task as two softmax
    columns splits its coefficients between them and so equals a strength half as large there.

    Args:
        features: (N, D); the products are computed in its precision, sums over rows in float64.
        targets: (N, C) probabilities; rows sum to 1 for softmax. Where a column has no mass in a
            problem (for sigmoid, on either side), its intercept stays finite, far out.
        weights: (P, N) non-negative, one row for each of P problems; a fold left out is zeros.
        strengths: penalties > 0, any order; each problem is solved for each.
        link: softmax: one class per row; sigmoid: C independent columns, solved together;
            hinge: squared hinge losses of C columns instead of cross-entropy.
        tolerance: how far above its optimum a mean loss may end, by the solver's estimate; in
            correlated columns it may be twenty times as far.
        start: coefs (D, C) and intercepts (C,) near the strongest penalty's; default: constants.
    Yields:
        Each strength, from the strongest on, and coefs (P, D, C) and intercepts (P, C).
    """
    mean = weights.sum(axis=0) @ features / weights.sum()
    seen = weights.any(axis=0)  # a single problem's held-out rows would only cost time
    weights = weights[:, seen]
    # Centred features decouple the intercept; otherwise L-BFGS zigzags between it and W.
    centred = features[seen] - mean.astype(features.dtype)
    columns = np.ascontiguousarray(targets[seen].T, dtype=features.dtype)
    masses = weights.sum(axis=1)
    shares = (weights / masses[:, None]).astype(features.dtype)
    axes = LeadingAxes.of(centred, shares.mean(axis=0))
    at_once = max(1, MOST_CELLS // (columns.size + 2 * MEMORY * columns.shape[0] * len(mean)))
    known: list[tuple[float, np.ndarray]] = []
    for strength in sorted(set(strengths), reverse=True):  # near zero first, quickly solved
        solutions = []
        for first in range(0, len(weights), at_once):
            some = slice(first, first + at_once)
            problems = Problems(centred, axes, columns, shares[some], strength / masses[some], link)
            if known:
                parts = path_weights([one for one, _ in known], strength)
                near = sum(part * of[some] for part, (_, of) in zip(parts, known, strict=True))
            elif start is not None:
                coefs, intercepts = start
                flat = np.append(coefs, [intercepts + mean @ coefs], axis=0).T
                near = np.repeat(flat[None], len(problems.shares), axis=0)
            else:
                near = problems.constants()
            solutions.append(
                minimise(
                    problems, near.astype(features.dtype), tolerance=tolerance, max_iter=max_iter
                )
            )
        known = [*known, (strength, np.concatenate(solutions))][-PATH_POINTS:]
        coefs = known[-1][1][..., :-1].swapaxes(1, 2).astype(np.float64)
        yield strength, (coefs, known[-1][1][..., -1] - mean @ coefs)


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
