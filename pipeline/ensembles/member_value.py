"""What each member is worth: the blend's honest predictions when it is left out."""

from dataclasses import replace

import numpy as np

from pipeline.config.schema import BlendKind
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.ensembles.rounds import without

SLOW = ("stack_lightgbm", "stack_two_level")  # fitted anew for each member left out: minutes


def oof_without_each(
    blend_kind: BlendKind,
    oof: np.ndarray,
    targets: np.ndarray,
    folds: np.ndarray,
    fitting: BlendFitting,
    *,
    base_levels: np.ndarray,
) -> list[np.ndarray]:
    """Cross-fit a blend of all members (M, N, C) but one, for each of them: M of (N, C).

    Args:
        base_levels: (M, K, C) of members' models, see `base_rates.model_levels`.
    Returns:
        Out-of-fold predictions of each of these blends; nothing where there is one member only.
    """
    if len(oof) == 1:
        return []
    found = []
    for m in range(len(oof)):
        others = np.delete(oof, m, axis=0)
        # Test rows are not predicted here, but every fold needs a layer of them.
        layers = np.repeat(others[:, None, :1], len(np.unique(folds)), axis=1)
        rest = replace(fitting, series=without(fitting.series, m))
        levels = np.delete(base_levels, m, axis=0)
        fit = cross_fit(blend_kind, others, layers, targets, folds, rest, base_levels=levels)
        found.append(fit.scored_oof)
    return found
