"""Cross-fitting: every row is blended by a blend that was fitted without it (law 3)."""

from dataclasses import dataclass

import numpy as np

from pipeline.config.schema import BlendKind, Calibrate, Kind
from pipeline.core.metrics import Metric
from pipeline.core.runtime import stream_seed
from pipeline.ensembles import fit_blend


@dataclass(frozen=True)
class CrossFitted:
    """What K blends, one per fold, say.

    Attributes:
        oof: (N, C), each row by the blend that did not see its target.
        test: (K, N_test, C), one layer per fold's blend of that fold's members.
        weights: (K, M), or None where the blend has none.
        first: (K, M) the member that each is a near-copy of, its own position if it takes part;
            None where nothing was fitted.
    """

    oof: np.ndarray
    test: np.ndarray
    weights: np.ndarray | None
    first: np.ndarray | None = None


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
    fit_decisions: bool = False,
) -> CrossFitted:
    """Fit one blend per fold on the other folds' rows; apply it to the fold and to its test layer.

    The same K blends make the estimate and the submission (law 9). Groups stay whole, for the folds
    keep them whole. What remains: a member's oof in another fold came from a model that learnt from
    this fold's rows. It is the same for every blend and not corrected here.

    Args:
        calibrate, fit_decisions: see `fit_blend`.
        oof: (M, N, C) members' out-of-fold predictions.
        test: (M, K, N_test, C) members' test predictions, one layer per fold's model.
        targets: (N, C).
        folds: (N,) in 0..K-1, the fold that holds the row out.
    """
    num_folds = test.shape[1]
    assert set(np.unique(folds)) == set(range(num_folds)), "folds against test layers"
    blended_oof = np.empty(oof.shape[1:])
    blended_test = np.empty(test.shape[1:])
    fitted = []
    for fold in range(num_folds):
        held_out = folds == fold
        blend = fit_blend(
            blend_kind,
            oof[:, ~held_out],
            targets[~held_out],
            folds[~held_out],
            kind=kind,
            metric=metric,
            levels=levels,
            seed=stream_seed(seed, "blend", blend_kind, fold),
            threshold=threshold,
            calibrate=calibrate,
            fit_decisions=fit_decisions,
        )
        blended_oof[held_out] = blend.apply(oof[:, held_out])
        blended_test[fold] = blend.apply(test[:, fold])
        fitted.append(blend)
    weights = [blend.weights for blend in fitted]
    return CrossFitted(
        blended_oof,
        blended_test,
        None if weights[0] is None else np.stack(weights),
        np.stack([blend.first for blend in fitted]),
    )
