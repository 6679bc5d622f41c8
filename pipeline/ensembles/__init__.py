"""Blends: one prediction of several members'. `fit_blend` makes them all; stages need no more.

Member values are (M, N, C) in the contracts' matrix form, and so is what a blend gives, (N, C).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.config.errors import UserError
from pipeline.config.schema import BlendKind, Kind
from pipeline.core.metrics import Metric
from pipeline.ensembles import stacking, voting, weights

VOTES = {
    "soft_vote": voting.soft_vote,
    "hard_vote": voting.hard_vote,
    "rank_average": voting.rank_average,
    "geometric": voting.geometric,
}


@dataclass(frozen=True)
class Blend:
    """A fitted blend.

    Attributes:
        combine: (M, N, C) -> (N, C).
        weights: (M,) shares of the members, sum 1; None where the blend has no such thing.
    """

    combine: Callable[[np.ndarray], np.ndarray]
    weights: np.ndarray | None = None

    def apply(self, member_values: np.ndarray) -> np.ndarray:
        """Blend members' predictions (M, N, C) to (N, C), float64."""
        return self.combine(np.asarray(member_values, dtype=np.float64))


def check_blend(blend_kind: BlendKind, kind: Kind) -> None:
    """Refuse a blend that makes no sense for the task.

    Raises:
        UserError: for ranks and geometric means of regression values, whose unit they lose.
    """
    if kind == "regression" and blend_kind in ("rank_average", "geometric"):
        raise UserError(
            f"blends: {blend_kind} is for probabilities, but task.kind is regression. "
            "Remove it; soft_vote (mean) and hard_vote (median) take its place."
        )


def fit_blend(
    blend_kind: BlendKind,
    member_values: np.ndarray,
    targets: np.ndarray,
    *,
    kind: Kind,
    metric: Metric,
    levels: np.ndarray | None,
    seed: int,
    threshold: float = 0.5,
) -> Blend:
    """Fit a blend of members (M, N, C) to targets (N, C).

    What it then says of these same rows is no honest estimate; `cross_fit` gives one.

    Args:
        metric: what greedy maximises; the others fit a smooth loss.
        levels: (C,) for ordinal.
        threshold: a multilabel probability of at least this is a yes (hard_vote, greedy).
    Raises:
        UserError: if the blend does not fit the task.
    """
    check_blend(blend_kind, kind)
    members = np.asarray(member_values, dtype=np.float64)
    if blend_kind in VOTES:
        options = {"threshold": threshold} if blend_kind == "hard_vote" else {}
        even = np.full(len(members), 1 / len(members)) if blend_kind == "soft_vote" else None
        return Blend(partial(VOTES[blend_kind], kind=kind, **options), even)
    if blend_kind == "weighted":
        shares = weights.fit_weights(members, targets, kind=kind, levels=levels)
    elif blend_kind == "greedy":
        shares = weights.select_greedily(
            members, targets, kind=kind, metric=metric, levels=levels, threshold=threshold
        )
    else:
        return Blend(stacking.fit_stack(blend_kind, members, targets, kind=kind, seed=seed))
    return Blend(partial(weights.weighted_mean, weights=shares), shares)
