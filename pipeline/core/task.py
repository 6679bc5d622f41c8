"""Task: what is predicted, and what follows from its kind."""

from dataclasses import dataclass

import numpy as np

from pipeline.config.schema import Kind


@dataclass(frozen=True)
class Task:
    """What predictions (N, C) are of.

    Attributes:
        kind: binary, multiclass, multilabel, ordinal or regression.
        levels: (C,) ascending numbers of an ordinal task's levels; None otherwise.
        threshold: a multilabel probability of at least this is a yes.
    """

    kind: Kind
    levels: np.ndarray | None = None
    threshold: float = 0.5

    @property
    def is_regression(self) -> bool:
        """Whether values are numbers, not probabilities."""
        return self.kind == "regression"

    @property
    def is_multilabel(self) -> bool:
        """Whether each column is a yes or no of its own."""
        return self.kind == "multilabel"

    @property
    def is_ordinal(self) -> bool:
        """Whether classes are levels of a number."""
        return self.kind == "ordinal"

    @property
    def has_one_class_per_row(self) -> bool:
        """Whether probabilities of a row sum to 1."""
        return not (self.is_regression or self.is_multilabel)

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
