"""The principal axes along which rows vary most: what the solver knows of the Hessian at once.

All D axes would take an eigendecomposition, which costs more than the regression itself where
there are thousands; beyond the leading ones, the penalty outweighs what rows say.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.extmath import randomized_svd

MOST_AXES = 256
ENOUGH_ROWS = 4096  # to find them
POWER_ITERATIONS = 2  # of the randomised SVD


@dataclass(frozen=True)
class LeadingAxes:
    """Orthonormal axes of rows, and how much rows vary along them.

    Attributes:
        axes: (D, A). energies: (A,) mean squares of rows along each.
        rest: the mean of the D - A directions across them.
    """

    axes: np.ndarray
    energies: np.ndarray
    rest: float

    @classmethod
    def of(cls, rows: np.ndarray, shares: np.ndarray) -> "LeadingAxes":
        """Find them, in some of the rows (N, D) whose share (N,) is not 0."""
        seen = np.flatnonzero(shares)
        seen = seen[:: -(-len(seen) // ENOUGH_ROWS)]
        some, weights = (
            np.asarray(rows[seen]),
            (shares[seen] / shares[seen].sum()).astype(rows.dtype),
        )
        count = min(MOST_AXES, *some.shape)
        # The seed moves no optimum, only the way there.
        _, _, axes = randomized_svd(
            some, count, n_oversamples=16, n_iter=POWER_ITERATIONS, random_state=0
        )
        energies = weights @ (some @ axes.T) ** 2
        left = weights @ np.einsum("nd,nd->n", some, some) - energies.sum()
        rest = max(0.0, float(left)) / max(1, some.shape[1] - count)
        return cls(np.ascontiguousarray(axes.T), energies, rest)

    def newton_step(
        self, gradients: np.ndarray, curvatures: np.ndarray, penalties: np.ndarray
    ) -> np.ndarray:
        """Divide gradients by the Hessian as it would be if all rows were alike.

        It is curvature x (mean outer product of rows) + penalty for each column; the intercept's,
        the curvature alone.

        Args:
            gradients: (P, C, D + 1). curvatures: (P, C) of the loss in a score. penalties: (P,).
        """
        curvatures = curvatures[:, :, None].astype(gradients.dtype)
        penalties = penalties[:, None, None].astype(gradients.dtype)
        across = 1 / (curvatures * gradients.dtype.type(self.rest) + penalties)
        along = 1 / (curvatures * self.energies + penalties) - across
        of_axes = gradients[..., :-1].reshape(-1, len(self.axes)) @ self.axes
        moved = (along.reshape(of_axes.shape) * of_axes) @ self.axes.T
        steps = np.empty_like(gradients)
        np.multiply(across, gradients[..., :-1], out=steps[..., :-1])
        steps[..., :-1] += moved.reshape(steps[..., :-1].shape)
        np.divide(gradients[..., -1], curvatures[..., 0], out=steps[..., -1])
        return steps
