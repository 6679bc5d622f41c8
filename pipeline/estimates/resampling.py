"""Resampling: which rows are drawn together wherever scores are bootstrapped."""

from dataclasses import dataclass

import numpy as np

from pipeline.project import Project


@dataclass(frozen=True)
class Resampling:
    """How rows are resampled, and how sure an interval is to be.

    Attributes:
        groups: (N,) rows drawn whole (a person, a site, copies of one image); None: each row on its
            own.
        stratified: draw each class's share, as a test set that was split by class has it; without
            effect on multilabel and regression. Groups of several classes are a stratum of their
            own.
        level: the share of scores that an interval holds.
        rounds: resamples; a fifth of it for metrics that are no `RowMeans`, such as AUC.
    """

    seed: int
    groups: np.ndarray | None = None
    stratified: bool = False
    level: float = 0.90
    rounds: int = 1000

    @classmethod
    def of(cls, project: Project) -> "Resampling":
        """Return how the config's rows are resampled: groups and copies stay whole."""
        stratified = project.config.submission.test_split == "stratified"
        return cls(project.config.seed, project.folds.groups, stratified)
