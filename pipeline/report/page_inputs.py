"""What the report's sections are made from: the submitted blend, its competition and settings."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.config.schema import Config
from pipeline.core.competition import Competition
from pipeline.core.finding import Finding
from pipeline.core.summary import Summary
from pipeline.core.workspace import Workspace
from pipeline.images.index import ImageIndex
from pipeline.metrics.named import Metric
from pipeline.report.page import LARGE, Tile
from pipeline.report.tables import decide

SHOWN_CLASSES = 100  # of more classes, the most frequent are shown


@dataclass(frozen=True)
class Findings:
    """All that the page is made from.

    Attributes:
        index: images of training rows, then of test rows.
        summary: submissions/<c>/<name>.json.
        oof: (N, C) the submitted blend's out-of-fold predictions.
        test: (N_test, C) its test predictions.
        decided_oof, decided_test: the same, moved by fitted decisions where there are such: what
            scores and the submitted file are made of.
        spread: (N_test,) how far the folds' models and members lie apart.
        findings: findings of the audit.
    """

    config: Config
    workspace: Workspace
    competition: Competition
    metric: Metric
    index: ImageIndex
    summary: Summary
    oof: np.ndarray
    test: np.ndarray
    decided_oof: np.ndarray
    decided_test: np.ndarray
    spread: np.ndarray
    findings: list[Finding]

    @property
    def kind(self) -> str:
        """The task."""
        return self.config.task.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """C names."""
        return self.competition.classes

    @property
    def targets(self) -> np.ndarray:
        """(N, C)."""
        return self.competition.targets

    @cached_property
    def decision(self) -> dict[str, Any]:
        """How predictions become decisions, see `numbers.decide`."""
        threshold = self.config.submission.threshold
        levels = self.competition.levels
        return {"kind": self.kind, "levels": levels, "threshold": threshold}

    @cached_property
    def shown(self) -> np.ndarray:
        """Columns that pictures show: all, or the most frequent classes in their order."""
        frequent = np.argsort(-np.abs(self.targets).sum(axis=0), kind="stable")[:SHOWN_CLASSES]
        return np.sort(frequent)

    @cached_property
    def shown_names(self) -> list[str]:
        """Their names."""
        return [self.classes[column] for column in self.shown]

    def chosen(self, matrix: np.ndarray) -> np.ndarray:
        """(N, C) of 0 and 1: the class, or the labels, that targets or predictions come down to."""
        decided = decide(matrix, **self.decision)
        return decided if decided.ndim == 2 else np.eye(len(self.classes), dtype=bool)[decided]

    def tile(self, row: int, *lines: str, side: int = LARGE) -> Tile:
        """An image by its position: training rows, then test rows."""
        path = self.competition.folder / str(self.index.paths[row])
        return Tile(path, [line for line in lines if line], side)
