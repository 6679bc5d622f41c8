"""Blends: one prediction of several members'. `fit_blend` makes them all; stages need no more.

Member values are (M, N, C) in the contracts' matrix form, and so is what a blend gives, (N, C).
A new blend is a plugin's function (`pipeline/plugins.py`); or a function of prepared members,
targets and `BlendFitting` that returns a `Mix`, a line in BLENDS, and its name in
`config.schema.BlendKind`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipeline.config.own_parts import ITEMS, own_code
from pipeline.config.schema import BlendKind, blends_of_probabilities
from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.ensembles import decisions, greedy, stacking, voting, weights
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.nested import Fit, inner_oof, inner_parts
from pipeline.ensembles.preparation import prepare
from pipeline.errors import UserError
from pipeline.estimates.calibration import fit_calibration
from pipeline.estimates.row_loss import row_losses, surely_positive

Combine = Callable[[np.ndarray], np.ndarray]  # members' values (M, N, C) -> (N, C)


@dataclass(frozen=True)
class Mix:
    """How prepared members are combined.

    Attributes:
        combine: (M, N, C) -> (N, C).
        weights: (M,) their shares, sum 1; None where the blend has no such thing.
    """

    combine: Combine
    weights: np.ndarray | None = None


FitMix = Callable[[np.ndarray, np.ndarray, BlendFitting], Mix]  # members, targets


def _soft_vote(members: np.ndarray, targets: np.ndarray, fitting: BlendFitting) -> Mix:
    even = np.full(len(members), 1 / len(members))
    return Mix(partial(voting.soft_vote, task=fitting.task), even)


def _vote(combine: Callable[..., np.ndarray]) -> FitMix:
    return lambda members, targets, fitting: Mix(partial(combine, task=fitting.task))


def _power(members: np.ndarray, targets: np.ndarray, fitting: BlendFitting) -> Mix:
    exponent = voting.fit_exponent(members, targets, fitting.smooth)
    return Mix(partial(voting.power_mean, task=fitting.task, exponent=exponent))


def _weighted(members: np.ndarray, targets: np.ndarray, fitting: BlendFitting) -> Mix:
    return _weighted_mean(weights.fit_weights(members, targets, fitting.smooth))


def _class_weighted(members: np.ndarray, targets: np.ndarray, fitting: BlendFitting) -> Mix:
    per_class = weights.fit_class_weights(members, targets, fitting.smooth)
    combine = partial(weights.class_weighted_mean, weights=per_class, task=fitting.task)
    return Mix(combine, per_class.mean(axis=1))


def _greedy(members: np.ndarray, targets: np.ndarray, fitting: BlendFitting) -> Mix:
    rng = stream(fitting.seed, "greedy")
    how = (fitting.metric, fitting.task)
    return _weighted_mean(greedy.select_in_bags(members, targets, *how, rng=rng))


def _weighted_metric(members: np.ndarray, targets: np.ndarray, fitting: BlendFitting) -> Mix:
    rng = stream(fitting.seed, "weighted_metric")
    how = (fitting.metric, fitting.task)
    return _weighted_mean(weights.search_weights(members, targets, *how, rng=rng))


def _stack(kind: BlendKind) -> FitMix:
    return lambda members, targets, fitting: Mix(
        stacking.fit_stack(kind, members, targets, fitting.task, seed=fitting.seed)
    )


def _weighted_mean(shares: np.ndarray) -> Mix:
    return Mix(partial(weights.weighted_mean, weights=shares), shares)


VOTES: dict[str, FitMix] = {  # they learn nothing from the targets
    "soft_vote": _soft_vote,
    "hard_vote": _vote(voting.hard_vote),
    "rank_average": _vote(voting.rank_average),
    "geometric": _vote(voting.geometric),
}
BLENDS: dict[str, FitMix] = VOTES | {
    "power": _power,
    "weighted": _weighted,
    "class_weighted": _class_weighted,
    "weighted_metric": _weighted_metric,
    "greedy": _greedy,
    "stack": _stack("stack"),
    "stack_ridge": _stack("stack_ridge"),
    "stack_lightgbm": _stack("stack_lightgbm"),
}
OF_ALL_ROWS = ("rank_average",)  # a row's result depends on the rows beside it
STACKS = ("stack", "stack_ridge", "stack_lightgbm")  # they calibrate themselves
TWO_LEVEL = "stack_two_level"  # fitted on blends, so it is none of BLENDS


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
        uses: (M,) whether `combine` looks at a member.
        is_equal: whether it is a soft vote because the fitted blend did not gain.
    """

    combine: Combine
    rule: Combine | None
    weights: np.ndarray | None
    first: np.ndarray
    useless: np.ndarray
    uses: np.ndarray
    is_equal: bool = False

    def apply(self, member_values: np.ndarray) -> np.ndarray:
        """Blend members' predictions (M, N, C) to (N, C), float64."""
        return self.combine(np.asarray(member_values, dtype=np.float64))

    def decide(self, values: np.ndarray) -> np.ndarray:
        """Move blended values (N, C) so that deciding as always decides by the fitted rule."""
        return values if self.rule is None else self.rule(values)


def check_blend(blend_kind: BlendKind, task: Task) -> None:
    """Refuse a blend that makes no sense for the task.

    Raises:
        UserError: for ranks, geometric and power means of regression values: their unit gets lost.
    """
    if task.is_regression and blend_kind in blends_of_probabilities():
        raise UserError(
            f"blends: {blend_kind} is for probabilities, but task.kind is regression. "
            "Remove it; soft_vote (mean) and hard_vote (median) take its place."
        )


def fit_blend(
    blend_kind: BlendKind,
    member_values: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray | None,
    fitting: BlendFitting,
) -> Blend:
    """Fit a blend of members (M, N, C) to targets (N, C): calibration, near-copies, weights.

    Its predictions of these same rows are no honest estimate; `cross_fit` gives one.

    Args:
        folds: (N,) of these rows, for what must be fitted on a blend's own honest predictions.
    Raises:
        UserError: if the blend does not fit the task.
    """
    check_blend(blend_kind, fitting.task)
    raw, is_equal = np.asarray(member_values, dtype=np.float64), False
    if fitting.cautious and not _is_vote(blend_kind):
        fit, fit_equal = _inside(blend_kind, fitting), _inside("soft_vote", fitting)
        if not _gains(fit, fit_equal, raw, targets, folds, fitting):
            blend_kind, is_equal = "soft_vote", True
    prepared = prepare(raw, targets, fitting)
    if fitting.metric.ranks and not prepared.knows and fitting.calibrate != "none":
        # On noise, calibration keeps the members that rank these rows well by luck.
        fitting = replace(fitting, calibrate="none")
        prepared = prepare(raw, targets, fitting)
    shares, uses = None, np.ones(len(raw), dtype=bool)
    if blend_kind == TWO_LEVEL:  # each of its blends prepares the members itself
        combine = stacking.fit_two_level(
            lambda kind, *rows: _inside(kind, fitting)(*rows), raw, targets, folds, fitting.smooth
        )
    else:
        members = prepared(raw)
        mix = _fit_mix(blend_kind, members, targets, fitting)
        shares, finish = prepared.shares(mix.weights), np.asarray
        uses = prepared.kept if shares is None else shares > 0
        # Members that err apart are, in their mean, right more often than their mean probability.
        if fitting.calibrate != "none" and blend_kind not in STACKS:
            finish = fit_calibration("temperature", mix.combine(members), targets, fitting.smooth)

        def combine(values: np.ndarray) -> np.ndarray:
            return finish(mix.combine(prepared(values)))

    def limited(values: np.ndarray) -> np.ndarray:
        return fitting.within_limits(combine(values), targets)

    rule: Combine | None = None
    if fitting.decisions and decisions.has_rule(fitting.metric, fitting.task):
        honest = inner_oof(_inside(blend_kind, fitting), raw, targets, folds)
        rng = stream(fitting.seed, "decisions")
        rule = decisions.fit_rule(honest, targets, fitting.metric, fitting.task, rng=rng)
    return Blend(limited, rule, shares, prepared.first, prepared.useless, uses, is_equal)


def _is_vote(blend_kind: BlendKind) -> bool:
    """Return whether a blend learns nothing from the targets."""
    own = ITEMS["blend"].get(blend_kind)
    return blend_kind in VOTES if own is None else not own.learns


def _fit_mix(
    blend_kind: BlendKind, members: np.ndarray, targets: np.ndarray, fitting: BlendFitting
) -> Mix:
    """Fit how prepared members (M, N, C) are combined, by a plugin's function or one of ours."""
    own = ITEMS["blend"].get(blend_kind)
    if own is None:
        return BLENDS[blend_kind](members, targets, fitting)
    with own_code("blend", blend_kind):
        made = own.fit(members.copy(), targets.copy(), fitting)
    if callable(made):
        return Mix(partial(_combine, of=blend_kind, combine=made, task=fitting.task))
    shares = np.asarray(made, dtype=np.float64)
    good = shares.shape == (len(members),) and np.isfinite(shares).all() and (shares >= 0).all()
    if not good or shares.sum() <= 0:
        raise UserError(
            f"blend {blend_kind}: its function returned {made!r:.80} for {len(members)} members; "
            "expected a weight of at least 0 for each of them, or a function of (M, N, C)."
        )
    return _weighted_mean(shares / shares.sum())


def _combine(members: np.ndarray, *, of: BlendKind, combine: Combine, task: Task) -> np.ndarray:
    """Combine members (M, N, C) by a plugin's function; refuse what is no (N, C) of numbers."""
    with own_code("blend", of):
        values = np.asarray(combine(members.copy()), dtype=np.float64)
    if values.shape != members.shape[1:] or not np.isfinite(values).all():
        raise UserError(
            f"blend {of}: its function made {values.shape} of members {members.shape}; expected "
            f"{members.shape[1:]}, finite numbers."
        )
    return task.normalise(values)


def _inside(blend_kind: BlendKind, fitting: BlendFitting) -> Fit:
    """Return what fits a blend on a part of the rows, for what stands on the blend."""
    plain = replace(fitting, groups=None, cautious=False, decisions=False)
    return lambda members, targets, folds: fit_blend(blend_kind, members, targets, folds, plain)


def _gains(
    fit: Fit,
    fit_equal: Fit,
    members: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray | None,
    fitting: BlendFitting,
) -> bool:
    """Return whether a blend beats a soft vote, and surely a constant, on rows left out.

    Members' predictions of other folds come from models that learnt from this one's rows. What is
    fitted on them finds a little of these labels again: where members have no signal, that is
    all that it finds. Where they are surely better than a constant, it is little beside it.
    """
    parts = inner_parts(folds, len(targets))
    constant = np.empty(targets.shape)
    for part in np.unique(parts):
        constant[parts == part] = targets[parts != part].mean(axis=0)

    def losses(values: np.ndarray) -> np.ndarray:
        return row_losses(values, targets, fitting.smooth)

    loss = losses(inner_oof(fit, members, targets, parts))
    if not surely_positive(losses(constant) - loss, fitting.groups):
        return False
    return bool(loss.mean() < losses(inner_oof(fit_equal, members, targets, parts)).mean())
