"""Cross-fitting: every row is blended by a blend that was fitted without it (law 3)."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.config.schema import BlendKind
from pipeline.core.runtime import stream_seed
from pipeline.ensembles.base_rates import at_one_level, model_levels, move_to_level_of
from pipeline.ensembles.blends import Blend, fit_blend
from pipeline.ensembles.fitting import BlendFitting, Fill
from pipeline.ensembles.rounds import while_gaining


@dataclass(frozen=True)
class FoldBlend:
    """A blend that was fitted without one fold.

    Attributes:
        members: how many there are, M.
        taken: (m,) positions of those that the blend was fitted to.
    """

    blend: Blend
    members: int
    taken: np.ndarray

    @property
    def uses(self) -> np.ndarray:
        """(M,) whether the blend's values depend on a member."""
        uses = np.zeros(self.members, dtype=bool)
        uses[self.taken] = self.blend.uses
        return uses

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blend all members' values (M, n, C): (n, C), and (n, C) moved by fitted decisions."""
        blended = self.blend.apply(values[self.taken])
        return blended, self.blend.decide(blended)


@dataclass(frozen=True)
class CrossFitted:
    """What K blends, one per fold, predict.

    Attributes:
        oof: (N, C), each row by the blend that did not see its target.
        test: (K, N_test, C), one layer per fold's blend of that fold's members.
        weights: (K, M), or None where the blend has none.
        first: (K, M) the member that each is a near-copy of, its own position if it takes part;
            None where nothing was fitted.
        stays: (K, M) whether a member is no round of pseudo-labels after the gain's end.
        useless: (K, M) whether a member is left out, for it is no better than a constant.
        is_equal: (K,) whether a fold's blend is a soft vote, for the fitted one did not gain.
        decided_oof, decided_test: as oof and test, moved by fitted decisions, or all folds to one
            level for metrics that rank; None where neither is done.
        fill: (N, C) -> (N, C), gives rows without a label the one that the file gives them; None
            where it gives none.
        blends: K, the blends that each fold takes the mean of; () where nothing was fitted.
    """

    oof: np.ndarray
    test: np.ndarray
    weights: np.ndarray | None
    first: np.ndarray | None = None
    stays: np.ndarray | None = None
    useless: np.ndarray | None = None
    is_equal: np.ndarray | None = None
    decided_oof: np.ndarray | None = None
    decided_test: np.ndarray | None = None
    fill: Fill | None = None
    blends: tuple[tuple[FoldBlend, ...], ...] = ()

    @property
    def scored_oof(self) -> np.ndarray:
        """(N, C) what the metric gets to see."""
        return self._filled(self.oof if self.decided_oof is None else self.decided_oof)

    @property
    def submitted_test(self) -> np.ndarray:
        """(K, N_test, C) what the submission is made of."""
        return self.test if self.decided_test is None else self.decided_test

    @property
    def submitted(self) -> np.ndarray:
        """(N_test, C) the submission's: the mean of the layers, each row with a label."""
        return self._filled(self.submitted_test.mean(axis=0))

    @property
    def uses(self) -> np.ndarray:
        """(M,) whether any fold's blend looks at a member."""
        return np.any([one.uses for of_fold in self.blends for one in of_fold], axis=0)

    def apply(self, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows as test rows are: (n, C) as the mean of `test`, (n, C) as `submitted`.

        Args:
            layers: (M, K, n, C) members' predictions, one layer per fold's model.
        """
        by_fold = [
            np.mean([one(layers[:, fold]) for one in of_fold], axis=0)
            for fold, of_fold in enumerate(self.blends)
        ]
        blended, decided = np.mean(by_fold, axis=0)
        return blended, self._filled(decided)

    def _filled(self, values: np.ndarray) -> np.ndarray:
        return values if self.fill is None else self.fill(values)


def cross_fit(
    blend_kind: BlendKind,
    oof: np.ndarray,
    test: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    fitting: BlendFitting,
    *,
    base_levels: np.ndarray | None = None,
) -> CrossFitted:
    """Fit one blend per fold on the other folds' rows; apply it to the fold and to its test layer.

    The same K blends make the estimate and the submission (law 9). Groups stay whole, for the folds
    keep them whole. Members' predictions of other folds carry this fold's labels: their base rates
    are taken out (`base_rates`), and a fitted blend is used only where it gains
    (`BlendFitting.cautious`).

    Args:
        base_levels: (M, K, C) of the members' models, see `model_levels`; default: of `test`.
        oof: (M, N, C) members' out-of-fold predictions.
        test: (M, K, N_test, C) members' test predictions, one layer per fold's model.
        targets: (N, C).
        folds: (N,) in 0..K-1, the fold that holds the row out.
    """
    num_folds = test.shape[1]
    assert set(np.unique(folds)) == set(range(num_folds)), "folds against test layers"
    metric, task = fitting.metric, fitting.task
    if base_levels is None:
        base_levels = model_levels(test, task=task)
    blended_oof, decided_oof = np.empty(oof.shape[1:]), np.empty(oof.shape[1:])
    blended_test, decided_test = np.empty(test.shape[1:]), np.empty(test.shape[1:])
    blends, applied, stays = [], [], np.ones((num_folds, len(oof)), dtype=bool)
    for fold in range(num_folds):
        held_out = folds == fold
        known = move_to_level_of(fold, oof[:, ~held_out], folds[~held_out], base_levels, task=task)
        blend, stays[fold] = _fit_without(fold, blend_kind, known, targets, folds, fitting)
        apply = FoldBlend(blend, len(oof), np.flatnonzero(stays[fold]))
        blended_oof[held_out], decided_oof[held_out] = apply(oof[:, held_out])
        blended_test[fold], decided_test[fold] = apply(test[:, fold])
        blends.append(blend)
        applied.append((apply,))
    has_weights = all(blend.weights is not None for blend in blends)
    is_moved = blends[0].rule is not None
    if metric.ranks:
        ranked = {"task": task, "metric": metric}
        decided_oof, is_moved = at_one_level(blended_oof, folds, blended_test, **ranked), True
    return CrossFitted(
        blended_oof,
        blended_test,
        _among_all(stays, [blend.weights for blend in blends], 0.0) if has_weights else None,
        _first_of_all(stays, blends),
        stays,
        _among_all(stays, [blend.useless for blend in blends], False),
        np.array([blend.is_equal for blend in blends]),
        decided_oof if is_moved else None,
        decided_test if is_moved else None,
        fitting.fill,
        tuple(applied),
    )


def _fit_without(
    fold: int,
    blend_kind: BlendKind,
    known: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    fitting: BlendFitting,
) -> tuple[Blend, np.ndarray]:
    """Fit a blend on the other folds' rows; return it, and `CrossFitted.stays` of this fold (M,).

    Args:
        known: (M, n, C) predictions of those rows, at the level of the fold's model.
    """
    others = folds != fold
    stays = while_gaining(known, targets[others], fitting.series, fitting.metric, fitting.task)
    seed = stream_seed(fitting.seed, "blend", blend_kind, fold)
    blend = fit_blend(
        *(blend_kind, known[np.flatnonzero(stays)], targets[others], folds[others]),
        replace(fitting.take(others), seed=seed),
    )
    return blend, stays


def _among_all(stays: np.ndarray, of_used: list[np.ndarray], others: float | bool) -> np.ndarray:
    """Spread values of the members that each fold's blend uses over all members: (K, M)."""
    whole = np.full(stays.shape, others)
    for fold, values in enumerate(of_used):
        whole[fold, stays[fold]] = values
    return whole


def _first_of_all(stays: np.ndarray, blends: list[Blend]) -> np.ndarray:
    """`CrossFitted.first`."""
    used = [np.flatnonzero(row) for row in stays]
    first = np.tile(np.arange(stays.shape[1]), (len(stays), 1))
    for fold, blend in enumerate(blends):
        first[fold, used[fold]] = used[fold][blend.first]
    return first
