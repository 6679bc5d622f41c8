"""Base rates of the training rows, taken out of members' predictions before a blend is fitted.

A model without signal predicts the mean of its training rows. That mean is low where the mean
of the fold that it held out is high, so out-of-fold predictions fall as the truth rises. A blend
that is fitted on the other folds learns this slope, and with it finds the labels of its own
held-out fold again (AutoGluon issue 2779 describes the same leak in stacking). So the predictions
of each fold's model are moved by how far its average prediction of the same test rows is from that
of the model whose fold is scored. No label is used.
"""

import numpy as np
from scipy.special import expit, softmax

from pipeline.core.numerics import clipped_log, clipped_logit
from pipeline.core.task import Task
from pipeline.metrics.find_metric import Metric

# A probability is lifted to this in an average of logs: how sure a model is of what is absent tells
# little of base rates.
FLOOR = 1e-3


def model_levels(layers: np.ndarray, *, task: Task) -> np.ndarray:
    """Average each model's predictions of the test rows on the scale of `_linked`.

    Args:
        layers: (M, K, N_test, C), one layer per fold's model.
    Returns:
        (M, K, C); NaN for a member whose layers are all the same: it shows no models.
    """
    levels = _linked(layers, task=task, floor=FLOOR).mean(axis=2)
    levels[(layers == layers[:, :1]).all(axis=(1, 2, 3))] = np.nan
    return levels


def move_to_level_of(
    fold: int, values: np.ndarray, folds: np.ndarray, levels: np.ndarray, *, task: Task
) -> np.ndarray:
    """Move out-of-fold predictions to the level of the model that held `fold` out.

    Where a member shows no models, each fold's predictions are moved to the mean of all folds'.

    Args:
        values: (M, N, C), of rows that are not in `fold`.
        folds: (N,) the fold that holds each row out.
        levels: (M, K, C), see `model_levels`.
    Returns:
        (M, N, C), in the task's form.
    """
    linked = _linked(values, task=task)
    others = np.unique(folds)
    own = np.stack([linked[:, folds == other].mean(axis=1) for other in others], axis=1)
    common = own.mean(axis=1)
    shows_models = ~np.isnan(levels).any(axis=(1, 2))[:, None]
    for place, other in enumerate(others):
        by_test = levels[:, fold] - levels[:, other]
        change = np.where(shows_models, by_test, common - own[:, place])
        linked[:, folds == other] += change[:, None]
    return _unlinked(linked, task=task)


def at_one_level(
    oof: np.ndarray, folds: np.ndarray, layers: np.ndarray, *, task: Task, metric: Metric
) -> np.ndarray:
    """Move each fold's predictions to one level, for metrics that rank rows of all folds.

    A fold of many positives is predicted by a model that saw few, so that ranks over all folds
    are worse than any one model's on test rows: AUC on noise is far below 0.5 where groups differ.
    The order of a fold's own rows stays, column by column (of expected levels, nearly).

    Args:
        oof: (N, C). folds: (N,). layers: (K, N_test, C), what the folds' models predict.
    Returns:
        (N, C), as it is where all layers are the same.
    """
    by_value = task.is_regression or metric.wants == "values"
    scale = task if by_value else Task("multilabel")
    (levels,) = model_levels(layers[None], task=scale)
    if np.isnan(levels).any():
        return oof
    change = levels.mean(axis=0) - levels
    return _unlinked(_linked(oof, task=scale) + change[folds], task=scale)


def _linked(values: np.ndarray, *, task: Task, floor: float = 0.0) -> np.ndarray:
    """Log odds of multilabel columns, log probabilities of classes, values of a regression."""
    if (link := task.link) == "identity":
        return values.astype(float)
    if link == "sigmoid":
        return clipped_logit(np.clip(values, floor, 1 - floor))
    return clipped_log(np.maximum(values, floor))


def _unlinked(linked: np.ndarray, *, task: Task) -> np.ndarray:
    if (link := task.link) == "identity":
        return linked
    return expit(linked) if link == "sigmoid" else softmax(linked, axis=-1)
