"""The choice among blends, made without the rows that it is scored on.

The best of several blends looks better than it is: its score is the highest of several that chance
has moved. So each fold's blend is chosen by what blends say of the other folds, and what the chosen
say of their own folds scores the choice as well. These K blends, one per fold, are also what makes
the submission: a single blend, chosen by all rows, would be one that the estimate is not of (law
9). Where all folds choose the same, it is that blend, and the choice cost nothing.
"""

from typing import Any

import numpy as np

from pipeline.core.metrics import Metric
from pipeline.ensembles.cross_fit import CrossFitted


def best_blend(
    blends: dict[str, CrossFitted], targets: np.ndarray, *, metric: Metric, **scoring: Any
) -> str:
    """The name of the blend whose out-of-fold score is best; of equals, the first."""
    scores = [metric.score(targets, blend.oof, **scoring) for blend in blends.values()]
    return list(blends)[metric.best(scores)]


def choose_by_fold(
    blends: dict[str, CrossFitted],
    targets: np.ndarray,
    folds: np.ndarray,
    *,
    metric: Metric,
    **scoring: Any,
) -> tuple[CrossFitted, list[str]]:
    """Choose each fold's blend by the other folds' rows.

    As in `cross_fit`, something remains: the blends that predict other folds learnt their weights
    from this fold's rows, too.

    Args:
        blends: cross-fitted on the same rows, by name.
        targets: (N, C). folds: (N,) in 0..K-1.
        scoring: kind, levels, threshold.
    Returns:
        The blend whose oof and test layers are the chosen ones', and the K names. It has weights if
        all the chosen have.
    """
    names = []
    for fold in range(len(next(iter(blends.values())).test)):
        others = folds != fold
        seen = {name: CrossFitted(fit.oof[others], fit.test, None) for name, fit in blends.items()}
        names.append(best_blend(seen, targets[others], metric=metric, **scoring))
    chosen = [blends[name] for name in names]
    oof = np.empty_like(chosen[0].oof)
    for fold, fit in enumerate(chosen):
        oof[folds == fold] = fit.oof[folds == fold]
    test = np.stack([fit.test[fold] for fold, fit in enumerate(chosen)])
    weights = None
    if all(fit.weights is not None for fit in chosen):
        weights = np.stack([fit.weights[fold] for fold, fit in enumerate(chosen)])
    return CrossFitted(oof, test, weights), names
