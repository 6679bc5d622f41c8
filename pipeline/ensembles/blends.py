"""Blends: one prediction of several members'. `fit_blend` makes them all; stages need no more.

Member values are (M, N, C) in the contracts' matrix form, and so is what a blend gives, (N, C).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.config.schema import BLENDS_OF_PROBABILITIES, BlendKind, Calibrate, Kind
from pipeline.core.runtime import stream
from pipeline.ensembles import (
    decisions,
    greedy,
    metric_search,
    power,
    stacking,
    two_level,
    voting,
    weights,
)
from pipeline.ensembles.nested import Fit, inner_oof, inner_parts
from pipeline.ensembles.preparation import prepare
from pipeline.errors import UserError
from pipeline.estimates.calibration import fit_calibration
from pipeline.estimates.row_loss import loss_kind, row_losses, surely_positive
from pipeline.metrics.named import Metric

VOTES = {
    "soft_vote": voting.soft_vote,
    "hard_vote": voting.hard_vote,
    "rank_average": voting.rank_average,
    "geometric": voting.geometric,
}
BY_METRIC = {
    "greedy": greedy.select_in_bags,
    "weighted_metric": metric_search.search_weights,
}
Combine = Callable[[np.ndarray], np.ndarray]  # members' values (M, N, C) -> (N, C)


@dataclass(frozen=True)
class Blend:
    """A fitted blend.

    Attributes:
        combine: (M, N, C) -> (N, C).
        rule: (N, C) -> (N, C), what is decided from `combine`'s values (see `decisions`); None
            where decisions are not fitted.
        weights: (M,) shares of the members, sum 1; None where the blend has no such thing.
        first: (M,) the member that each is a near-copy of, its own position if it takes part.
        useless: (M,) whether a member is left out, for it is no better than a constant.
        is_equal: whether it is a soft vote because the fitted blend did not gain.
    """

    combine: Combine
    rule: Combine | None
    weights: np.ndarray | None
    first: np.ndarray
    useless: np.ndarray
    is_equal: bool = False

    def apply(self, member_values: np.ndarray) -> np.ndarray:
        """Blend members' predictions (M, N, C) to (N, C), float64."""
        return self.combine(np.asarray(member_values, dtype=np.float64))

    def decide(self, values: np.ndarray) -> np.ndarray:
        """Move blended values (N, C) so that deciding as always decides by the fitted rule."""
        return values if self.rule is None else self.rule(values)


def check_blend(blend_kind: BlendKind, kind: Kind) -> None:
    """Refuse a blend that makes no sense for the task.

    Raises:
        UserError: for ranks, geometric and power means of regression values: their unit gets lost.
    """
    if kind == "regression" and blend_kind in BLENDS_OF_PROBABILITIES:
        raise UserError(
            f"blends: {blend_kind} is for probabilities, but task.kind is regression. "
            "Remove it; soft_vote (mean) and hard_vote (median) take its place."
        )


def fit_blend(
    blend_kind: BlendKind,
    member_values: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray | None = None,
    *,
    kind: Kind,
    metric: Metric,
    levels: np.ndarray | None,
    seed: int,
    threshold: float = 0.5,
    groups: np.ndarray | None = None,
    calibrate: Calibrate = "none",
    prune: bool = True,
    cautious: bool = True,
    fit_decisions: bool = False,
) -> Blend:
    """Fit a blend of members (M, N, C) to targets (N, C): calibration, near-copies, weights.

    What it then says of these same rows is no honest estimate; `cross_fit` gives one.

    Args:
        folds: (N,) of these rows, for what must be fitted on a blend's own honest predictions.
        metric: what greedy, weighted_metric and decisions make better; others fit a smooth loss.
        levels: (C,) for ordinal.
        threshold: a multilabel probability of at least this is a yes.
        groups: (N,) rows that vary together, for `cautious`.
        calibrate: how members are calibrated; if at all, what is made of them is too, by
            temperature. Stackers calibrate themselves.
        prune: leave out near-copies of members, and members that are no better than a constant.
        cautious: take a soft vote in place of a fitted blend whose smooth loss, on rows that it was
            not fitted on, is not less than a soft vote's, and than a constant's by two standard
            errors.
        fit_decisions: fit thresholds, cut-points or factors too, where the metric has them.
    Raises:
        UserError: if the blend does not fit the task.
    """
    check_blend(blend_kind, kind)
    how = {"kind": kind, "metric": metric, "levels": levels, "threshold": threshold}
    smooth = {"kind": loss_kind(kind, metric), "levels": levels}
    raw = np.asarray(member_values, dtype=np.float64)
    preparing = {"calibrate": calibrate, "prune": prune}

    def fit(other: BlendKind, *rows: np.ndarray) -> Blend:
        return fit_blend(other, *rows, seed=seed, cautious=False, **preparing, **how)

    is_equal = False
    if (
        cautious
        and blend_kind not in VOTES
        and not _gains(
            partial(fit, blend_kind),
            partial(fit, "soft_vote"),
            raw,
            targets,
            folds,
            groups,
            **smooth,
        )
    ):
        blend_kind, is_equal = "soft_vote", True
    prepared = prepare(raw, targets, groups=groups, **preparing, **how)
    if metric.ranks and not prepared.knows and calibrate != "none":
        # On noise, calibration keeps the members that rank these rows well by luck.
        calibrate = preparing["calibrate"] = "none"
        prepared = prepare(raw, targets, groups=groups, **preparing, **how)
    shares = None
    if blend_kind == "stack_two_level":  # each of its blends prepares the members itself
        combine = two_level.fit_two_level(fit, raw, targets, folds, **smooth)
    else:
        members = prepared(raw)
        mix, shares = _fit(blend_kind, members, targets, seed=seed, **how)
        finish: Combine = np.asarray
        # Members that err apart are, in their mean, right more often than the mean says.
        if calibrate != "none" and not blend_kind.startswith("stack"):
            finish = fit_calibration("temperature", mix(members), targets, **smooth)

        def combine(values: np.ndarray) -> np.ndarray:
            return finish(mix(prepared(values)))

    rule: Combine | None = None
    if fit_decisions and decisions.has_rule(metric, kind):
        honest = inner_oof(partial(fit, blend_kind), raw, targets, folds)
        rule = decisions.fit_rule(honest, targets, rng=stream(seed, "decisions"), **how)
    return Blend(combine, rule, prepared.shares(shares), prepared.first, prepared.useless, is_equal)


def _gains(
    fit: Fit,
    fit_equal: Fit,
    members: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray | None,
    groups: np.ndarray | None,
    *,
    kind: Kind,
    levels: np.ndarray | None,
) -> bool:
    """Whether a blend is better than a soft vote, and surely than a constant, on rows left out.

    Members' predictions of other folds come from models that learnt from this one's rows. What is
    fitted on them finds a little of these labels again: where members know nothing, that is all
    that it finds. Where they surely know more than a constant, it is little beside it.

    Args:
        kind: see `row_loss.loss_kind`.
    """
    parts = inner_parts(folds, len(targets))
    constant = np.empty(targets.shape)
    for part in np.unique(parts):
        constant[parts == part] = targets[parts != part].mean(axis=0)

    def losses(values: np.ndarray) -> np.ndarray:
        return row_losses(values, targets, kind=kind, levels=levels)

    loss = losses(inner_oof(fit, members, targets, parts))
    if not surely_positive(losses(constant) - loss, groups):
        return False
    return bool(loss.mean() < losses(inner_oof(fit_equal, members, targets, parts)).mean())


def _fit(
    blend_kind: BlendKind,
    members: np.ndarray,
    targets: np.ndarray,
    *,
    kind: Kind,
    metric: Metric,
    levels: np.ndarray | None,
    threshold: float,
    seed: int,
) -> tuple[Combine, np.ndarray | None]:
    """How prepared members are combined, and their weights where there are such."""
    how: dict[str, Any] = {"kind": loss_kind(kind, metric), "levels": levels}
    if blend_kind in VOTES:
        options = {"threshold": threshold} if blend_kind == "hard_vote" else {}
        even = np.full(len(members), 1 / len(members)) if blend_kind == "soft_vote" else None
        return partial(VOTES[blend_kind], kind=kind, **options), even
    if blend_kind == "power":
        exponent = power.fit_exponent(members, targets, **how)
        return partial(power.power_mean, kind=kind, exponent=exponent), None
    if blend_kind == "class_weighted":
        per_class = weights.fit_class_weights(members, targets, **how)
        return partial(weights.class_weighted_mean, weights=per_class, kind=kind), per_class.mean(
            axis=1
        )
    if blend_kind == "weighted":
        shares = weights.fit_weights(members, targets, **how)
    elif blend_kind in BY_METRIC:
        rng = stream(seed, blend_kind)
        how = {"kind": kind, "levels": levels, "threshold": threshold, "metric": metric, "rng": rng}
        shares = BY_METRIC[blend_kind](members, targets, **how)
    else:
        return stacking.fit_stack(blend_kind, members, targets, kind=kind, seed=seed), None
    return partial(weights.weighted_mean, weights=shares), shares
