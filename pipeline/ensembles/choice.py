"""The choice among blends, made without the rows that it is scored on.

The best of several blends looks better than it is: its score is the highest of several that chance
has moved. So each fold's choice is made by the other folds' rows, and what is chosen for each fold
scores the choice as well. These K choices, one per fold, also make the submission: a single blend,
chosen by all rows, would be one that the estimate is not of (law 9).

By default a fold takes the mean of all blends whose smooth loss is within two standard errors of
the least. A metric such as accuracy is too noisy to choose by, and blends that cannot be told apart
are better averaged than picked from.
"""

from typing import Literal

import numpy as np

from pipeline.core.task import Task
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.estimates.row_loss import margin, row_losses, smooth_task
from pipeline.metrics.find_metric import Metric

Choice = Literal["loss", "metric"]


def best_blend(
    blends: dict[str, CrossFitted], targets: np.ndarray, metric: Metric, task: Task
) -> str:
    """Return the name of the blend whose out-of-fold score is best; of equals, the first."""
    scores = [metric.score(targets, blend.scored_oof, task) for blend in blends.values()]
    return list(blends)[metric.best(scores)]


def choose_by_fold(
    blends: dict[str, CrossFitted],
    targets: np.ndarray,
    folds: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    choice: Choice = "loss",
    groups: np.ndarray | None = None,
) -> tuple[CrossFitted, list[list[str]]]:
    """Choose each fold's blends by the other folds' rows, and take their mean.

    Args:
        blends: cross-fitted on the same rows, by name.
        targets: (N, C). folds: (N,) in 0..K-1.
        choice: loss: all blends whose smooth loss is within two standard errors of the least;
            metric: the one whose metric is best.
        groups: (N,) rows that vary together.
    Returns:
        The mean of the chosen ones' oof and test layers, and their names in each of the K folds. It
        has weights if all the chosen have.
    """
    smooth = smooth_task(task, metric)
    losses = {name: row_losses(fit.oof, targets, smooth) for name, fit in blends.items()}
    by_fold = []
    for fold in range(len(next(iter(blends.values())).test)):
        others = folds != fold
        if choice == "metric":
            seen = {name: _rows(fit, others) for name, fit in blends.items()}
            by_fold.append([best_blend(seen, targets[others], metric, task)])
        else:
            of_others = {name: loss[others] for name, loss in losses.items()}
            by_fold.append(_near_the_least(of_others, None if groups is None else groups[others]))
    return mean_by_fold(blends, by_fold, folds), by_fold


def _near_the_least(losses: dict[str, np.ndarray], groups: np.ndarray | None) -> list[str]:
    """Names of those whose mean loss is within two standard errors, paired by row, of the least."""
    least = min(losses.values(), key=np.mean)
    return [
        name
        for name, loss in losses.items()
        if (loss - least).mean() <= margin(loss - least, groups) or loss is least
    ]


def _rows(fit: CrossFitted, rows: np.ndarray) -> CrossFitted:
    return CrossFitted(fit.scored_oof[rows], fit.test, None)


def mean_by_fold(
    blends: dict[str, CrossFitted], by_fold: list[list[str]], folds: np.ndarray
) -> CrossFitted:
    """Return the mean of each fold's blends on that fold's rows, and in that fold's test layer.

    Args:
        by_fold: names of the blends of each fold.
    """
    chosen = [[blends[name] for name in names] for names in by_fold]

    def rows(field: str) -> np.ndarray | None:
        of_folds = [_mean(fits, field) for fits in chosen]
        if any(values is None for values in of_folds):
            return None
        values = np.empty_like(of_folds[0])
        for fold, of_fold in enumerate(of_folds):
            values[folds == fold] = of_fold[folds == fold]
        return values

    def layers(field: str) -> np.ndarray | None:
        of_folds = [_mean(fits, field) for fits in chosen]
        if any(values is None for values in of_folds):
            return None
        return np.stack([values[fold] for fold, values in enumerate(of_folds)])

    return CrossFitted(
        rows("oof"),
        layers("test"),
        layers("weights"),
        decided_oof=rows("decided_oof"),
        decided_test=layers("decided_test"),
        fill=chosen[0][0].fill,
        blends=tuple(
            tuple(one for fit in fits for of_fold in fit.blends[fold : fold + 1] for one in of_fold)
            for fold, fits in enumerate(chosen)
        ),
    )


def _mean(fits: list[CrossFitted], field: str) -> np.ndarray | None:
    values = [getattr(fit, field) for fit in fits]
    return None if any(value is None for value in values) else np.mean(values, axis=0)
