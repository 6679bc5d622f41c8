"""All members' predictions, as blends take them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class MemberPredictions:
    """All members' predictions, stacked in the order of the config.

    Attributes:
        oof: (M, N, C).
        test: (M, K, N_test, C), a model of all rows in place of each fold's where there is one.
        base_levels: (M, K, C) of the folds' models, see `base_rates.model_levels`.
        meta: of each member's oof.
    """

    oof: np.ndarray
    test: np.ndarray
    base_levels: np.ndarray
    meta: dict[str, dict[str, Any]]

    def only(self, m: int) -> "MemberPredictions":
        """Return those of one member, at position m."""
        return self.take([m])

    def take(self, chosen: list[int]) -> "MemberPredictions":
        """Return those of some members, by position."""
        kept = (self.oof[chosen], self.test[chosen], self.base_levels[chosen])
        return MemberPredictions(*kept, self.meta)

    def without_test(self) -> "MemberPredictions":
        """Return them with one row in place of the test rows; a blend wants a layer per fold."""
        layers = np.repeat(self.oof[:, None, :1], self.base_levels.shape[1], axis=1)
        return replace(self, test=layers)
