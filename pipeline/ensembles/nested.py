"""Predictions inside the rows that a blend is fitted on: what stands on a blend is fitted on them.

A stacker over blends, or a threshold on a blend, must not learn from the blend's predictions
of rows that it was itself fitted on: there it looks surer than it is.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

FALLBACK_PARTS = 5
MOST_PARTS = 3  # of `inner_parts`; more cost more fits and change little


class Applied(Protocol):
    """A fitted blend."""

    def apply(self, member_values: np.ndarray) -> np.ndarray:
        """Blend (M, N, C) to (N, C)."""


Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Applied]  # members, targets, folds


def inner_oof(
    fit: Fit, members: np.ndarray, targets: np.ndarray, folds: np.ndarray | None
) -> np.ndarray:
    """Predict each fold by a blend of members (M, N, C) that was fitted without it: (N, C).

    With folds of fewer than two values the rows are parted one by one; groups may then straddle,
    which makes what is fitted on it worse, but no estimate dishonest: the scored rows are not here.
    """
    folds = _two_or_more(folds, len(targets))
    blended = np.empty(targets.shape)
    for fold in np.unique(folds):
        held_out = folds == fold
        blend = fit(members[:, ~held_out], targets[~held_out], folds[~held_out])
        blended[held_out] = blend.apply(members[:, held_out])
    return blended


def inner_parts(folds: np.ndarray | None, num_rows: int) -> np.ndarray:
    """Join folds (N,) to at most MOST_PARTS parts of whole folds: (N,)."""
    _, positions = np.unique(_two_or_more(folds, num_rows), return_inverse=True)
    return positions % MOST_PARTS


def _two_or_more(folds: np.ndarray | None, num_rows: int) -> np.ndarray:
    """Folds (N,); where they are fewer than two, rows parted one by one."""
    if folds is None or len(np.unique(folds)) < 2:
        return np.arange(num_rows) % FALLBACK_PARTS
    return folds
