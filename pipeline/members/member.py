"""Member: the interface of learners and networks to the stages and to other members."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from pipeline.members.pseudo_labels import PseudoLabels
from pipeline.project import Project


@dataclass(frozen=True)
class FoldData:
    """What one fold's model learns from.

    Rows are counted over train, test and extra rows: a test row's number is num_train and its
    position.

    Attributes:
        fold: the one that is held out, or ALL_ROWS.
        rows: (n,) with targets (n, C), hard or soft, and weights (n,).
        held_out: (m,) training rows of this fold.
        pseudo_labels: those of `rows`, at their end, that are test rows.
        teacher: (N + N_test, C) predictions to distil from; None where there is no teacher.
        stacked: (N + N_test, V, S * C) predictions of the learners that a learner stacks.
    """

    fold: int
    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray
    pseudo_labels: PseudoLabels | None = None
    teacher: np.ndarray | None = None
    stacked: np.ndarray | None = None

    @property
    def num_pseudo_labelled(self) -> int:
        """How many of `rows` are test rows."""
        return 0 if self.pseudo_labels is None else len(self.pseudo_labels.rows)


class Member(Protocol):
    """A member of the config that is trained here.

    Attributes:
        resumes_from: names of files in a fold's folder that only an interrupted fit needs.
    """

    resumes_from: ClassVar[tuple[str, ...]]

    def fit(self, data: FoldData, folder: Path) -> tuple[list[str], dict[str, Any]]:
        """Fit one fold's model and write it; return names of its files, and facts to record."""

    def predict(self, fold: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict rows, counted over train and test, with one fold's model.

        Returns:
            (n, C) with all views, and (V, n, C) with each view alone.
        """


def inner_groups(project: Project, rows: np.ndarray) -> np.ndarray:
    """(n,) what inner folds keep together; a pseudo-labelled row is on its own."""
    test_ids = [f"test {row_id}" for row_id in project.competition.test_ids]
    groups = project.folds.groups
    if not project.extra:
        return np.concatenate([groups, test_ids])[rows]
    of_extra = project.extra_ties.groups(groups, project.num_extra)
    return np.concatenate([groups, test_ids, of_extra])[rows]
