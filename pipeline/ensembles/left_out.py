"""What each member is worth: the blend's honest score when it is left out."""

from typing import Any

import numpy as np

from pipeline.config.schema import BlendKind
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.rounds import Series, without

SLOW = ("stack_lightgbm", "stack_two_level")  # fitted anew for each member left out: minutes


def scores_without_each(
    blend_kind: BlendKind,
    oof: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    *,
    threshold: float,
    series: Series = (),
    **how: Any,
) -> np.ndarray:
    """Score a cross-fitted blend of all members (M, N, C) but one, for each of them: (M,).

    Args:
        how: kind, metric, levels and what else `cross_fit` takes.
    Returns:
        NaN where no other member is there.
    """
    scores = np.full(len(oof), np.nan)
    if len(oof) == 1:
        return scores
    scoring = {"kind": how["kind"], "levels": how["levels"], "threshold": threshold}
    for m in range(len(oof)):
        others = np.delete(oof, m, axis=0)
        # Nothing is said of test rows here, but every fold has a layer of them.
        layers = np.repeat(others[:, None, :1], len(np.unique(folds)), axis=1)
        fitted = cross_fit(
            blend_kind,
            others,
            layers,
            targets,
            folds,
            threshold=threshold,
            series=without(series, m),
            **how,
        )
        scores[m] = how["metric"].score(targets, fitted.oof, **scoring)
    return scores
