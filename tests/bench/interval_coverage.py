"""Coverage on made-up rows: how often does the 90% interval hold the score of hidden test rows?

    PYTHONPATH=. python tests/bench/interval_coverage.py [DRAWS] [PART OF A CASE'S NAME]

Few rows, few groups, rare classes, heavy tails, scores near their end. Five models say the truth's
odds with noise of their own; out of fold a row is said by one of them, a test row by their mean, so
that what averaging gains is in it, too. Each draw is a training set and a test set.
"""

import sys
import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.estimates.interval import interval_of_test_score
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import get_metric

MODELS = 5


@dataclass(frozen=True)
class Case:
    """Rows to draw.

    Attributes:
        rows, test_rows: how many; per_group: so many rows are a group with an effect of its own.
        skew: log odds between a class and the next; sharp: how far apart log odds are.
        heavy: noise of a regression is Student's t with 2 degrees of freedom.
        empty_column: no row has the last label.
        right: predictions that are right with this probability and know nothing else.
        positives: share of a binary's rare class.
    """

    kind: str
    metric: str
    rows: int
    test_rows: int
    classes: int = 3
    per_group: int = 1
    skew: float = 0.0
    sharp: float = 1.5
    heavy: bool = False
    empty_column: bool = False
    right: float | None = None
    positives: float | None = None


CASES = {
    "accuracy, 20 rows": Case("multiclass", "accuracy", 20, 20),
    "accuracy, 20 rows, 1000 test rows": Case("multiclass", "accuracy", 20, 1000),
    "accuracy, 60 rows": Case("multiclass", "accuracy", 60, 60),
    "accuracy, 300 rows, 2000 test rows": Case("multiclass", "accuracy", 300, 2000),
    "accuracy, 3000 rows": Case("multiclass", "accuracy", 3000, 3000),
    "accuracy, 120 rows, 99.5% right": Case("multiclass", "accuracy", 120, 120, right=0.995),
    "accuracy, 120 rows, 99.5% right, 2000 test rows": Case(
        "multiclass", "accuracy", 120, 2000, right=0.995
    ),
    "f1_macro, a class of 1%, 300 rows": Case("multiclass", "f1_macro", 300, 300, skew=2.2),
    "balanced accuracy, a class of 1%, 300 rows": Case(
        "multiclass", "balanced_accuracy", 300, 300, skew=2.2
    ),
    "balanced accuracy, a class of 1%, 300 rows, 3000 test rows": Case(
        "multiclass", "balanced_accuracy", 300, 3000, skew=2.2
    ),
    "f1_macro, 100 classes, 500 rows": Case("multiclass", "f1_macro", 500, 500, classes=100),
    "balanced accuracy, 100 classes, 500 rows": Case(
        "multiclass", "balanced_accuracy", 500, 500, classes=100
    ),
    "f1, 5% positives, 200 rows": Case("binary", "f1", 200, 200, classes=2, positives=0.05),
    "log_loss, 60 rows": Case("multiclass", "log_loss", 60, 60),
    "log_loss, 100 classes, 500 rows": Case("multiclass", "log_loss", 500, 500, classes=100),
    "log_loss, near-perfect, 120 rows": Case("multiclass", "log_loss", 120, 120, sharp=12),
    "log_loss, near-perfect, 120 rows, 2000 test rows": Case(
        "multiclass", "log_loss", 120, 2000, sharp=12
    ),
    "log_loss, multilabel, 300 rows": Case("multilabel", "log_loss", 300, 300, classes=4),
    "accuracy, 30 groups of 20, 15 in test": Case("multiclass", "accuracy", 600, 300, per_group=20),
    "accuracy, 10 groups of 20": Case("multiclass", "accuracy", 200, 200, per_group=20),
    "rmse, 10 groups of 50": Case("regression", "rmse", 500, 500, per_group=50),
    "rmse, 10 groups of 50, 100 in test": Case("regression", "rmse", 500, 5000, per_group=50),
    "rmse, 60 rows": Case("regression", "rmse", 60, 60),
    "rmse, 300 rows": Case("regression", "rmse", 300, 300),
    "rmse, heavy tails, 300 rows": Case("regression", "rmse", 300, 300, heavy=True),
    "rmse, heavy tails, 300 rows, 3000 test rows": Case(
        "regression", "rmse", 300, 3000, heavy=True
    ),
    "mae, heavy tails, 300 rows": Case("regression", "mae", 300, 300, heavy=True),
    "kappa, 60 rows": Case("multiclass", "quadratic_weighted_kappa", 60, 60, classes=5),
    "kappa, 200 rows": Case("multiclass", "quadratic_weighted_kappa", 200, 200, classes=5),
    "AUC, about 5 positives of 200 rows": Case(
        "binary", "roc_auc", 200, 200, classes=2, positives=0.025
    ),
    "AUC, about 5 positives of 200 rows, 2000 test rows": Case(
        "binary", "roc_auc", 200, 2000, classes=2, positives=0.025
    ),
    "AP, about 5 positives of 200 rows, 2000 test rows": Case(
        "binary", "average_precision", 200, 2000, classes=2, positives=0.025
    ),
    "AUC, multilabel, rare, 300 rows": Case(
        "multilabel", "roc_auc", 300, 300, classes=4, skew=-0.9
    ),
    "AP, multilabel, an empty column, 300 rows": Case(
        "multilabel", "average_precision", 300, 300, classes=4, empty_column=True
    ),
}


def main(draws: int, part: str) -> None:
    """Print a line per case."""
    warnings.simplefilter("ignore")
    print(f"{'case':58} draws  holds   ±    above  below  width  undefined")
    for name, case in CASES.items():
        if part not in name:
            continue
        found = np.array([one_draw(case, seed) for seed in range(draws)])
        defined = found[~np.isnan(found).any(axis=1)]
        low, high, truth = defined.T
        above, below = np.mean(truth > high + 1e-12), np.mean(truth < low - 1e-12)
        error = np.sqrt(0.09 / len(defined))
        print(
            f"{name:58} {draws:5d}  {1 - above - below:.3f} {error:.3f}  {above:.3f}  {below:.3f}  "
            f"{np.mean(high - low):.4f} {draws - len(defined):3d}",
            flush=True,
        )


def one_draw(case: Case, seed: int) -> tuple[float, float, float]:
    """The interval, and the score of the test rows."""
    rng = stream(seed, "world")
    groups = None
    if case.per_group > 1:
        groups = np.arange(case.rows + case.test_rows) // case.per_group
    targets, models = world(case, groups, rng)
    train, test = slice(case.rows), slice(case.rows, None)
    oof = models[rng.integers(MODELS, size=case.rows), np.arange(case.rows)]
    metric = get_metric(case.metric, case.kind)
    task = Task(case.kind)
    gain = gain_of_averaging(models[:, test], oof, targets[train], metric, task, seed=seed)
    low, high = interval_of_test_score(
        targets[train],
        oof,
        metric,
        task,
        Resampling(seed, None if groups is None else groups[train], rounds=500),
        test_rows=case.test_rows,
        gain=gain,
    )
    return low, high, metric.score(targets[test], models[:, test].mean(axis=0), Task(case.kind))


def world(
    case: Case, groups: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Targets (N, C) and what each model says of them (MODELS, N, C)."""
    rows, classes = case.rows + case.test_rows, case.classes
    noise = rng.normal(size=(MODELS, rows, 1 if case.kind == "regression" else classes))
    if case.right is not None:
        labels, right = rng.integers(classes, size=rows), rng.random(rows) < case.right
        said = np.eye(classes)[np.where(right, labels, (labels + 1) % classes)]
        return np.eye(classes)[labels], np.stack([0.9 * said + 0.1 / classes] * MODELS)
    if case.positives is not None:
        labels = (rng.random(rows) < case.positives).astype(int)
        odds = 1.5 * labels[:, None] + rng.normal(size=(rows, 1)) + 0.3 * noise[..., :1]
        return np.eye(2)[labels], np.concatenate([1 - expit(odds), expit(odds)], axis=-1)
    effect = np.zeros((rows, classes))
    if groups is not None:
        effect = rng.normal(size=(groups.max() + 1, classes))[groups]
    if case.kind == "regression":
        signal = rng.normal(size=(rows, 1)) + effect[:, :1]
        errors = rng.standard_t(2, size=(rows, 1)) if case.heavy else rng.normal(size=(rows, 1))
        return signal + errors, 0.8 * signal + 0.3 * noise
    odds = case.sharp * rng.normal(size=(rows, classes)) + case.skew * np.arange(classes)[::-1]
    if case.kind == "multilabel":
        targets = (rng.random((rows, classes)) < expit(odds - 2 + effect)).astype(float)
        targets[:, -1] *= not case.empty_column
        return targets, expit(odds - 2 + 0.5 * noise)
    below = softmax(odds + effect, axis=1).cumsum(axis=1) < rng.random((rows, 1))
    targets = np.eye(classes)[below.sum(axis=1).clip(0, classes - 1)]
    return targets, softmax(odds + 0.5 * noise, axis=-1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, "".join(sys.argv[2:3]))
