"""Task: what is predicted, and what follows from its kind."""

from dataclasses import dataclass

import numpy as np

from pipeline.config.competition import Kind, OfKind, Scale


@dataclass(frozen=True)
class Task(OfKind):
    """What predictions (N, C) are of.

    Attributes:
        kind: binary, multiclass, multilabel, ordinal or regression.
        levels: (C,) ascending numbers of an ordinal task's levels; None otherwise.
        threshold: a multilabel probability of at least this is a yes.
        scale: of a regression's targets and predictions between the files: log1p where the metric
            is of logarithms. Files, and what a person sees, have the target's own unit.
    """

    kind: Kind
    levels: np.ndarray | None = None
    threshold: float = 0.5
    scale: Scale = "none"

    def expected_levels(self, values: np.ndarray) -> np.ndarray:
        """Return the expectations (...,) of probabilities of levels (..., C)."""
        assert self.levels is not None, "an ordinal task has levels"
        return values @ self.levels

    def normalise(self, scores: np.ndarray) -> np.ndarray:
        """Make scores (..., C) probabilities: in [0, 1], rows sum to 1 but for multilabel.

        A row without a positive score becomes uniform. Values of a regression stay.
        """
        if self.is_regression:
            return scores
        if self.is_multilabel:
            return np.clip(scores, 0.0, 1.0)
        positive = np.maximum(scores, 0.0)
        total = positive.sum(axis=-1, keepdims=True)
        return np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1 / scores.shape[-1])
