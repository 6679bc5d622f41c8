"""Association: how well numbers predict targets, with an error that counts groups."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, t

from pipeline.core.task import Task

MAX_COLUMNS = 50  # of more classes, the most frequent count
MIN_ROWS = 3  # of a class on either side


@dataclass(frozen=True)
class Outcome:
    """What is to be predicted, in columns.

    Attributes:
        columns: (N, C) 0 or 1 for classes; ranks in (0, 1) for numbers.
        names: (C,). measure: "AUC" (chance 0.5) or "rank correlation" (chance 0).
    """

    columns: np.ndarray
    names: tuple[str, ...]
    measure: str

    @property
    def chance(self) -> float:
        """What knowing nothing scores."""
        return 0.5 if self.measure == "AUC" else 0.0

    def take(self, rows: np.ndarray) -> "Outcome":
        """Return these rows."""
        return Outcome(self.columns[rows], self.names, self.measure)


@dataclass(frozen=True)
class Association:
    """How well values predict an outcome.

    Attributes:
        score: mean over columns, classes by how frequent they are.
        influence: (N,) each row's share of the score's error.
        error: standard error, rows of a group counted as one. p_value: one-sided, against chance.
        best: position of the column that is predicted best.
    """

    score: float
    influence: np.ndarray
    error: float
    p_value: float
    best: int


def outcome_of(targets: np.ndarray, classes: tuple[str, ...], task: Task) -> Outcome:
    """Targets (N, C) of any task as columns that are predicted one by one."""
    if task.is_regression or task.is_ordinal:
        numbers = task.expected_levels(targets)[:, None] if task.is_ordinal else targets
        names = ("level",) if task.is_ordinal else classes
        return Outcome(rankdata(numbers, axis=0) / len(numbers), tuple(names), "rank correlation")
    if task.is_binary:  # the first column says the same
        return Outcome(targets[:, 1:], classes[1:], "AUC")
    counts = targets.sum(axis=0)
    enough = np.flatnonzero((counts >= MIN_ROWS) & (len(targets) - counts >= MIN_ROWS))
    shown = np.sort(enough[np.argsort(-counts[enough], kind="stable")[:MAX_COLUMNS]])
    return Outcome((targets[:, shown] >= 0.5) + 0.0, tuple(classes[c] for c in shown), "AUC")


def associate(values: np.ndarray, outcome: Outcome, groups: np.ndarray) -> Association:
    """Score values (N, C) that were predicted out of fold.

    The error is the larger of the one seen between groups (of rows' influences, which for AUC is
    DeLong's) and the one that chance has where all rows are independent: a perfect score on a few
    rows would otherwise have none.
    """
    truth = outcome.columns
    of_column = _auc if outcome.measure == "AUC" else _rank_correlation
    scored = [of_column(truth[:, c], values[:, c]) for c in range(truth.shape[1])]
    scores, influences, by_chance = (np.array(part) for part in zip(*scored, strict=True))
    weights = truth.sum(axis=0) if outcome.measure == "AUC" else np.ones(truth.shape[1])
    weights = weights / weights.sum()
    score, influence = float(weights @ scores), weights @ influences
    floor = float(np.sqrt((weights**2) @ by_chance**2))
    error, num_groups = max(clustered_error(influence, groups), floor), len(np.unique(groups))
    p_value = float(t.sf((score - outcome.chance) / error, max(num_groups - 1, 1)))
    return Association(score, influence, error, p_value, int(scores.argmax()))


def clustered_error(influence: np.ndarray, groups: np.ndarray) -> float:
    """Return the standard error of a mean-like score from rows' influences (N,), by group."""
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], influence)
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values of several looks, so that the smallest is a fair one (Holm 1979)."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    stepped = np.maximum.accumulate(p_values[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def _auc(truth: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Area under the ROC curve, rows' influences, and its error by chance (DeLong 1988)."""
    yes = truth >= 0.5
    num_yes, num_no = int(yes.sum()), int((~yes).sum())
    if min(num_yes, num_no) == 0:
        return 0.5, np.zeros(len(truth)), 0.5
    ranks, placement = rankdata(values), np.empty(len(truth))
    placement[yes] = (ranks[yes] - rankdata(values[yes])) / num_no
    placement[~yes] = 1 - (ranks[~yes] - rankdata(values[~yes])) / num_yes
    auc = placement[yes].mean()
    influence = (placement - auc) / np.where(yes, num_yes, num_no)
    return auc, influence, np.sqrt((len(truth) + 1) / (12 * num_yes * num_no))


def _rank_correlation(truth: np.ndarray, values: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Spearman's correlation, rows' influences, and its error by chance."""
    x, y = (_standardised(rankdata(numbers)) for numbers in (truth, values))
    # Influences as they are where nothing is predicted: those at the score itself promise too much
    # where groups are few.
    return float((x * y).mean()), x * y / len(x), 1 / np.sqrt(max(len(x) - 1, 1))


def _standardised(numbers: np.ndarray) -> np.ndarray:
    spread = numbers.std()
    return (numbers - numbers.mean()) / spread if spread > 0 else np.zeros(len(numbers))
