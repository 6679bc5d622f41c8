"""Principal axes of rows: the basis in which linear learners are solved."""

import numpy as np

SMALLEST_ENERGY = 1e-10  # of the loudest axis'; what is quieter is rounding


def rotate(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Express rows (N, D) in their R <= min(N, D) principal axes: L2 penalties stay the same.

    Returns:
        rotated (N, R) with orthogonal columns, quietest first, and back (D, R): coefs = back @
        rotated coefs; both in the rows' precision.
    """
    num_rows, num_dims = rows.shape
    if num_dims <= num_rows:
        back = np.linalg.eigh(rows.T @ rows)[1]
        return rows @ back, back
    # Quiet axes are divided by their size, which takes float64 to know.
    exact = rows.astype(np.float64)
    energy, vectors = np.linalg.eigh(exact @ exact.T)
    kept = energy > SMALLEST_ENERGY * max(energy[-1], np.finfo(float).tiny)
    size = np.sqrt(energy[kept])
    rotated, back = vectors[:, kept] * size, exact.T @ (vectors[:, kept] / size)
    return rotated.astype(rows.dtype), back.astype(rows.dtype)
