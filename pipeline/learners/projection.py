"""Principal axes of rows, and those of one scaled block: whitened, the first ones, or chosen."""

import numpy as np

from pipeline.config.schema import Learner

SMALLEST_SHARE = 1e-6  # of the loudest axis' variance; what is quieter is rounding
QUIET_AXES = 1.0  # of the mean axis' variance joins each in whitening: quiet ones are mostly noise

SMALLEST_ENERGY = 1e-10  # of the loudest axis', in `rotate`; what is quieter is rounding


def fit_axes(
    settings: Learner,
    rows: np.ndarray,
    weights: np.ndarray,
    targets: np.ndarray | None,
    *,
    share: float,
) -> np.ndarray:
    """Return what follows a block's scaling: (D, A) axes, or (D,) bool for a choice of dimensions.

    Directions in which no training row varies are dropped by whitening and PCA.

    Args:
        rows: (N, D) scaled. weights: (N,). targets: (N, C).
        share: of the D dimensions, how many stay, at least one; `scaled` keeps all.
    """
    num_kept = max(1, round(share * rows.shape[1]))
    axes = None
    if settings.scale == "whiten" or settings.concatenate == "pca":
        axes, variances = loudest_axes(rows, weights)
        if settings.scale == "whiten":
            floored = variances + QUIET_AXES * variances.sum() / rows.shape[1]
            length = np.sum(variances / floored)  # 1 then, squared, as after other scalings
            axes = axes / np.sqrt(length * floored).astype(rows.dtype)
        if settings.concatenate == "pca":
            axes = axes[:, :num_kept]  # whitening keeps the order: the loudest still come first
    if settings.concatenate != "importance":
        return axes
    important = importance(along(axes, rows), targets, weights)
    kept = np.zeros(len(important), dtype=bool)
    kept[np.argsort(-important, kind="stable")[:num_kept]] = True
    return kept if axes is None else axes[:, kept]


def along(axes: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
    """Rows (N, D) in (D, A) axes, or the dimensions chosen by (D,) bool; None: as they are."""
    if axes is None:
        return rows
    return rows[:, axes] if axes.ndim == 1 else rows @ axes


def loudest_axes(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (D, A) in which weighted rows vary, loudest first, and their variances (A,)."""
    share = weights / weights.sum()
    centred = rows - (share @ rows).astype(rows.dtype)
    rotated, axes = rotate(np.sqrt(share).astype(rows.dtype)[:, None] * centred)
    variances = np.sum(rotated**2, axis=0, dtype=np.float64)
    varies = variances > SMALLEST_SHARE * variances.max(initial=np.finfo(float).tiny)
    order = np.flatnonzero(varies)[np.argsort(-variances[varies], kind="stable")]
    return axes[:, order], variances[order]


def importance(rows: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(D,) squared correlation of each dimension with a column of targets (N, C), their mean.

    A column's order is that of the F-scores that scikit-learn's f_classif (0 or 1) and f_regression
    find; those take no row weights and no soft targets. What is constant has importance 0.
    """
    share = weights / weights.sum()
    centred = rows - (share @ rows).astype(rows.dtype)
    off = targets - share @ targets
    together = (share[:, None] * off).T.astype(rows.dtype) @ centred
    spread = np.outer(share @ off**2, share @ centred**2)
    squares = np.divide(together**2, spread, out=np.zeros(spread.shape), where=spread > 0)
    return squares.mean(axis=0)


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
