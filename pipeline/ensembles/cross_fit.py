"""Cross-fitting: every row is blended by a blend that was fitted without it (law 3)."""

from dataclasses import dataclass

import numpy as np

from pipeline.config.schema import BlendKind, Calibrate, Kind
from pipeline.core.metrics import Metric
from pipeline.core.runtime import stream_seed
from pipeline.ensembles import fit_blend
from pipeline.ensembles.rounds import Series, while_gaining


@dataclass(frozen=True)
class CrossFitted:
    """What K blends, one per fold, say.

    Attributes:
        oof: (N, C), each row by the blend that did not see its target.
        test: (K, N_test, C), one layer per fold's blend of that fold's members.
        weights: (K, M), or None where the blend has none.
        first: (K, M) the member that each is a near-copy of, its own position if it takes part;
            None where nothing was fitted.
        stays: (K, M) whether a member is no round of pseudo-labels after the gain's end.
    """

    oof: np.ndarray
    test: np.ndarray
    weights: np.ndarray | None
    first: np.ndarray | None = None
    stays: np.ndarray | None = None


def cross_fit(
    blend_kind: BlendKind,
    oof: np.ndarray,
    test: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    *,
    kind: Kind,
    metric: Metric,
    levels: np.ndarray | None,
    seed: int,
    threshold: float = 0.5,
    calibrate: Calibrate = "none",
    prune: bool = True,
    fit_decisions: bool = False,
    series: Series = (),
) -> CrossFitted:
    """Fit one blend per fold on the other folds' rows; apply it to the fold and to its test layer.

    The same K blends make the estimate and the submission (law 9). Groups stay whole, for the folds
    keep them whole. What remains: a member's oof in another fold came from a model that learnt from
    this fold's rows. It is the same for every blend and not corrected here.

    Args:
        calibrate, prune, fit_decisions: see `fit_blend`.
        series: members that are rounds of one student; each fold's blend takes them while they
            gain, see `while_gaining`.
        oof: (M, N, C) members' out-of-fold predictions.
        test: (M, K, N_test, C) members' test predictions, one layer per fold's model.
        targets: (N, C).
        folds: (N,) in 0..K-1, the fold that holds the row out.
    """
    num_folds = test.shape[1]
    assert set(np.unique(folds)) == set(range(num_folds)), "folds against test layers"
    blended_oof = np.empty(oof.shape[1:])
    blended_test = np.empty(test.shape[1:])
    first = np.tile(np.arange(len(oof)), (num_folds, 1))
    weights: list[np.ndarray | None] = []
    stays = np.ones((num_folds, len(oof)), dtype=bool)
    for fold in range(num_folds):
        held_out = folds == fold
        known, known_targets = oof[:, ~held_out], targets[~held_out]
        scoring = {"metric": metric, "kind": kind, "levels": levels, "threshold": threshold}
        stays[fold] = while_gaining(known, known_targets, series, **scoring)
        used = np.flatnonzero(stays[fold])
        blend = fit_blend(
            blend_kind,
            known[used],
            known_targets,
            folds[~held_out],
            seed=stream_seed(seed, "blend", blend_kind, fold),
            **scoring,
            calibrate=calibrate,
            prune=prune,
            fit_decisions=fit_decisions,
        )
        blended_oof[held_out] = blend.apply(oof[np.ix_(used, held_out)])
        blended_test[fold] = blend.apply(test[used, fold])
        weights.append(_among_all(blend.weights, used, len(oof)))
        first[fold, used] = used[blend.first]
    return CrossFitted(
        blended_oof,
        blended_test,
        None if weights[0] is None else np.stack(weights),
        first,
        stays,
    )


def _among_all(weights: np.ndarray | None, used: np.ndarray, num_members: int) -> np.ndarray | None:
    """Weights of those used as weights (M,): 0 for the others."""
    if weights is None:
        return None
    whole = np.zeros(num_members)
    whole[used] = weights
    return whole
