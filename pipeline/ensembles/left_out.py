"""What each member is worth: the blend's honest predictions when it is left out."""

from typing import Any

import numpy as np

from pipeline.config.schema import BlendKind
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.rounds import Series, without

SLOW = ("stack_lightgbm", "stack_two_level")  # fitted anew for each member left out: minutes


def oof_without_each(
    blend_kind: BlendKind,
    oof: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    *,
    series: Series = (),
    **how: Any,
) -> list[np.ndarray]:
    """Cross-fit a blend of all members (M, N, C) but one, for each of them: M of (N, C).

    Args:
        how: kind, metric, levels and what else `cross_fit` takes.
    Returns:
        What each of these blends says out of fold; nothing where there is one member only.
    """
    if len(oof) == 1:
        return []
    found = []
    for m in range(len(oof)):
        others = np.delete(oof, m, axis=0)
        # Nothing is said of test rows here, but every fold has a layer of them.
        layers = np.repeat(others[:, None, :1], len(np.unique(folds)), axis=1)
        rest = without(series, m)
        found.append(cross_fit(blend_kind, others, layers, targets, folds, series=rest, **how).oof)
    return found
