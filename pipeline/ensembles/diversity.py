"""How much members differ: correlation of their errors, and which are copies of one another."""

import numpy as np

# Above it two members' errors are the same errors; networks of two seeds have 0.5 to 0.95.
COPY = 0.999


def error_correlation(members: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Correlate errors of members (M, N, C) on targets (N, C): (M, M), 1 on the diagonal.

    Each column is in its target's standard deviations. Errors without spread correlate with none.
    """
    spread = targets.std(axis=0)
    errors = (members - targets) / np.where(spread > 0, spread, 1.0)
    errors = errors.reshape(len(members), -1)
    errors = errors - errors.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("mr,mr->m", errors, errors))
    units = errors / np.where(lengths > 0, lengths, 1.0)[:, None]
    correlation = np.clip(units @ units.T, -1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def originals(correlation: np.ndarray, *, copy: float = COPY) -> np.ndarray:
    """For each member the first one that it is a copy of, itself if of none: (M,).

    Of copies the earliest member stays. A copy of what is left out is none.
    """
    first = np.arange(len(correlation))
    for m in range(1, len(correlation)):
        kept = np.flatnonzero(first[:m] == np.arange(m))
        alike = kept[correlation[m, kept] > copy]
        if len(alike):
            first[m] = alike[0]
    return first
