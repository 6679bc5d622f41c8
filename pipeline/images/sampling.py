"""Sampling: which of a fold's rows an epoch has, how often each, in which order."""

import numpy as np

from pipeline.core.task import Task
from pipeline.errors import UserError

WITHOUT_CLASSES = ("all", "weighted")  # ways of sampling that need no classes


def epoch_rows(
    targets: np.ndarray,
    weights: np.ndarray,
    *,
    sampling: str,
    task: Task,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw one epoch's rows, in random order.

    A row's class is its highest target; of a multilabel row, the rarest of its labels, and rows
    without any label are a class too. Classes without rows do not count.

    - all: each row once.
    - balanced: N draws with replacement, classes equally likely, then rows of the class.
    - oversample: each class as often as the largest; a row as often as another of its class, or
      once more.
    - undersample: a random subset of each class, as large as the smallest class.
    - weighted: N draws with replacement, in proportion to `weights`.

    Args:
        targets: (N, C), hard or soft.
        weights: (N,) row weights, at least one above 0; only weighted reads them.
    Returns:
        (`num_epoch_rows(...)`,) positions among the N rows; `copy_numbers` numbers repeated ones.
    Raises:
        UserError: `sampling` needs classes, and a regression has none.
    """
    check_sampling(sampling, task=task)
    if sampling == "all":
        return rng.permutation(len(targets))
    if sampling == "weighted":
        return rng.choice(len(targets), size=len(targets), p=weights / weights.sum())
    classes = _rows_of_classes(targets, task)
    sizes = np.array([len(rows) for rows in classes])
    if sampling == "balanced":
        drawn = rng.integers(len(classes), size=len(targets))
        first = sizes.cumsum() - sizes
        return np.concatenate(classes)[first[drawn] + rng.integers(sizes[drawn])]
    if sampling == "undersample":
        kept = [rng.choice(rows, sizes.min(), replace=False) for rows in classes]
        return rng.permutation(np.concatenate(kept))
    assert sampling == "oversample", sampling
    kept = [_repeated(rows, sizes.max(), rng) for rows in classes]
    return rng.permutation(np.concatenate(kept))


def num_epoch_rows(targets: np.ndarray, *, sampling: str, task: Task) -> int:
    """Count the rows that `epoch_rows` draws: the same for every epoch.

    Raises:
        UserError: classes are asked for, and a regression has none.
    """
    check_sampling(sampling, task=task)
    if sampling not in ("oversample", "undersample"):
        return len(targets)
    sizes = [len(rows) for rows in _rows_of_classes(targets, task)]
    return len(sizes) * (max(sizes) if sampling == "oversample" else min(sizes))


def check_sampling(sampling: str, *, task: Task) -> None:
    """Raise UserError if `sampling` needs classes and the task has none."""
    if task.is_regression and sampling not in WITHOUT_CLASSES:
        raise UserError(
            f"sampling: {sampling} draws rows by class, and a regression has none. "
            "Expected `sampling: all` or `sampling: weighted`."
        )


def copy_numbers(rows: np.ndarray) -> np.ndarray:
    """Count up the copies of each row from 0, so that augmentation can differ between them.

    Args:
        rows: (n,) as `epoch_rows` returns them.
    Returns:
        (n,) how many times each has come before: [7, 3, 7, 7] gives [0, 0, 1, 2].
    """
    order = np.argsort(rows, kind="stable")
    copies = np.empty_like(rows)
    copies[order] = np.arange(len(rows)) - np.searchsorted(rows[order], rows[order])
    return copies


def draws_per_epoch(
    targets: np.ndarray, weights: np.ndarray, *, sampling: str, task: Task
) -> np.ndarray:
    """Return how often `epoch_rows` draws each of N rows, on average: (N,)."""
    check_sampling(sampling, task=task)
    if sampling == "all":
        return np.ones(len(targets))
    if sampling == "weighted":
        return len(targets) * weights / weights.sum()
    classes = _rows_of_classes(targets, task)
    per_class = num_epoch_rows(targets, sampling=sampling, task=task) / len(classes)
    draws = np.empty(len(targets))
    for rows in classes:
        draws[rows] = per_class / len(rows)
    return draws


def row_weights_in_loss(weights: np.ndarray, *, sampling: str) -> np.ndarray:
    """Return row weights (N,) for the loss: ones for weighted, or they would count twice.

    Others keep them: sampling a rare class more often makes its pseudo-labels no more certain.
    """
    return np.ones_like(weights) if sampling == "weighted" else weights


def _rows_of_classes(targets: np.ndarray, task: Task) -> list[np.ndarray]:
    """Return the rows of each class that has some."""
    labels = _rarest_labels(targets) if task.is_multilabel else targets.argmax(1)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _rarest_labels(targets: np.ndarray) -> np.ndarray:
    """Return the column (N,) of each row's rarest label, the first if tied; C if it has none."""
    positive = targets >= 0.5
    num_rows, num_classes = targets.shape
    rarity = np.where(positive, positive.sum(0), num_rows + 1)
    return np.where(positive.any(1), rarity.argmin(1), num_classes)


def _repeated(rows: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Repeat rows equally often, and a random few once more, to fill up `number`."""
    copies, extra = divmod(number, len(rows))
    return np.concatenate([np.repeat(rows, copies), rng.choice(rows, extra, replace=False)])
