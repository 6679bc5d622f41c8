"""What the report's sections are made from: the submitted blend and its competition."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.core.finding import Finding
from pipeline.core.summary import Summary
from pipeline.core.task import Task
from pipeline.project import Project
from pipeline.report.page import LARGE, Tile
from pipeline.report.tables import decide

SHOWN_TARGETS = 6  # of a regression
SHOWN_CLASSES = 100  # of more classes, the most frequent are shown


@dataclass(frozen=True)
class PageInputs:
    """All that the page is made from; values of a regression in the target's own unit.

    Attributes:
        oof: (N, C) the submitted blend's out-of-fold predictions.
        test: (N_test, C) its test predictions.
        decided_oof, decided_test: the same after fitted decisions, where there are any: what the
            score and the submitted file are made of.
        spread: (N_test,) how far the predictions of folds' models and members lie apart.
        findings: of the audit.
    """

    project: Project
    summary: Summary
    oof: np.ndarray
    test: np.ndarray
    decided_oof: np.ndarray
    decided_test: np.ndarray
    spread: np.ndarray
    findings: list[Finding]

    @cached_property
    def task(self) -> Task:
        """What is predicted."""
        return self.project.task

    def columns(self, train: np.ndarray, test: np.ndarray) -> dict[str, tuple]:
        """Return (train, test) values of the first regression targets, by name."""
        first = list(enumerate(self.classes))[:SHOWN_TARGETS]
        return {name: (train[:, column], test[:, column]) for column, name in first}

    @property
    def classes(self) -> tuple[str, ...]:
        """C names."""
        return self.project.competition.classes

    @property
    def targets(self) -> np.ndarray:
        """(N, C), in their own unit."""
        return self.project.competition.raw_targets

    @cached_property
    def shown(self) -> np.ndarray:
        """Columns that pictures show: all, or the most frequent classes in their order."""
        frequent = np.argsort(-np.abs(self.targets).sum(axis=0), kind="stable")[:SHOWN_CLASSES]
        return np.sort(frequent)

    @cached_property
    def shown_names(self) -> list[str]:
        """Their names."""
        return [self.classes[column] for column in self.shown]

    def chosen(self, values: np.ndarray) -> np.ndarray:
        """Return (N, C) of 0 and 1: the decided class, or the decided labels."""
        decided = decide(values, self.task)
        return decided if decided.ndim == 2 else np.eye(len(self.classes), dtype=bool)[decided]

    def tile(self, row: int, *lines: str, side: int = LARGE) -> Tile:
        """Return an image by its position: training rows, then test rows."""
        path = self.project.competition.folder / str(self.project.index.paths[row])
        return Tile(path, [line for line in lines if line], side)
