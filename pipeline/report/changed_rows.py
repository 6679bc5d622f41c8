"""Test rows whose predictions differ between two submissions."""

from dataclasses import dataclass

import numpy as np

from pipeline.config.schema import Config
from pipeline.core.predictions import Predictions
from pipeline.core.scale import from_scale
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.report.tables import decide, in_words


@dataclass(frozen=True)
class ChangedRows:
    """Predictions of two submissions for the test rows that both have.

    Attributes:
        ids: (N,).
        before, after: (N, C), a regression's in the target's own unit.
        moves: (N,) mean change of a row's values; of classes, the probability that moves from some
            to others (total variation), 0 to 1.
    """

    ids: np.ndarray
    before: np.ndarray
    after: np.ndarray
    moves: np.ndarray
    classes: tuple[str, ...]
    task: Task

    @property
    def decided_otherwise(self) -> np.ndarray:
        """Return (N,) of bool: rows of another class, level, set of labels, or value."""
        differs = decide(self.before, self.task) != decide(self.after, self.task)
        return differs.any(axis=1) if differs.ndim == 2 else differs

    def sentence(self) -> str:
        """Say how many rows change, and how far values move."""
        task, count = self.task, f"{self.decided_otherwise.sum()} of {len(self.ids)} rows change"
        size = f"by {self.moves.mean():.4g} on average, at most {self.moves.max():.4g}"
        if task.is_regression:
            return f"{count}; values move {size}"
        what = "labels" if task.is_multilabel else "level" if task.is_ordinal else "class"
        return f"{count} their {what}; probabilities move {size}"

    def largest(self, count: int) -> list[list[str]]:
        """Return cells of the rows that move most: id, both predictions in words, the move."""
        order = np.argsort(-self.moves, kind="stable")[:count]
        rows = order[self.moves[order] > 0]
        before, after = (self._words(values[rows]) for values in (self.before, self.after))
        moves = [f"{move:.4g}" for move in self.moves[rows]]
        return [list(c) for c in zip(self.ids[rows].tolist(), before, after, moves, strict=True)]

    def _words(self, values: np.ndarray) -> list[str]:
        """Return decisions in words; a class with its probability."""
        words, task = in_words(values, self.classes, self.task), self.task
        if task.is_regression or task.is_multilabel or task.is_ordinal:
            return words
        return [f"{word} {share:.2f}" for word, share in zip(words, values.max(1), strict=True)]


def changed_rows(before: Predictions, after: Predictions, config: Config) -> ChangedRows:
    """Compare test predictions (N, C), joined by id.

    Raises:
        UserError: classes or all ids differ.
    """
    if before.classes != after.classes:
        raise UserError("the classes differ: predictions are not comparable")
    known = set(before.ids.tolist())
    shared = np.array([row for row in after.ids.tolist() if row in known])
    if not len(shared):
        raise UserError("no row is in both")
    levels = np.array(after.classes, dtype=float) if config.task.kind == "ordinal" else None
    task = Task(config.task.kind, levels, config.submission.threshold)
    first, second = (_values_of(part, shared) for part in (before, after))
    moves = np.abs(first - second)
    of_each = task.is_regression or task.is_multilabel
    moves = moves.mean(axis=1) if of_each else moves.sum(axis=1) / 2
    return ChangedRows(shared, first, second, moves, after.classes, task)


def _values_of(part: Predictions, ids: np.ndarray) -> np.ndarray:
    place = {row: position for position, row in enumerate(part.ids.tolist())}
    return from_scale(part.values[[place[row] for row in ids.tolist()]], part.scale)
