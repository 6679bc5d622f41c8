"""Gain of the mean of K models over one of them, estimated from test rows without labels.

Out of fold a row is predicted by one model, a test row by the mean of K: where these disagree, the
mean is better, so that the out-of-fold score is too low for the test set. How much is seen by
drawing labels from the mean's probabilities, and scoring the mean and each model on them.
For squared errors that is the ambiguity of Krogh and Vedelsby 1995, for log loss the divergence of
the models from their mean. A mean of models is less sure than it could be, so its probabilities are
first sharpened until one model loses on the labels what it loses out of fold.
"""

import numpy as np
from scipy.optimize import brentq

from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.estimates.row_loss import smooth_task, surely_knows
from pipeline.metrics.find_metric import Metric

ROUNDS = 20  # sets of labels
MOST_ROWS = 20_000  # more do not make a mean surer
FLOOR = 1e-3  # of a probability: a few rows that are surely wrong must not rule the sharpening
POWERS = 0.2, 5.0  # what probabilities may be raised to


def gain_of_averaging(
    layers: np.ndarray,
    oof: np.ndarray,
    targets: np.ndarray,
    metric: Metric,
    task: Task,
    *,
    seed: int,
) -> float:
    """Find what the mean of the models scores more than one does, in the metric's unit.

    Of drawn labels, it is the score of the mean less the mean of the scores. Where scores end (an
    accuracy of 1), it is the same part of the way there from the out-of-fold score, so that this
    score and the gain together are one that the metric can have.

    Args:
        layers: (K, N_test, C) each model's predictions of the test rows.
        oof, targets: (N, C) out-of-fold predictions and the truth.
    Returns:
        Below 0 where the metric is better low; 0 where all layers are the same, or none is defined,
        and for ranks of models that are not surely better than a constant: the mean of several
        guesses is a guess.
    """
    rng = stream(seed, "gain of averaging")
    rows = np.sort(rng.permutation(layers.shape[1])[:MOST_ROWS])
    layers = layers[:, rows].astype(float)
    mean = layers.mean(0)
    guesses = metric.ranks and not surely_knows(oof, targets, smooth_task(task, metric))
    if guesses or (layers == layers[0]).all():
        return 0.0
    probs = mean if task.is_regression else _sharpened(layers, oof, targets, task)
    singles, means = [], []
    for _ in range(ROUNDS):
        drawn = _draw_targets(probs, targets, oof, task, rng)
        if task.is_regression:
            drawn = metric.clip(drawn)
        singles.append(np.mean([metric.score(drawn, layer, task) for layer in layers]))
        means.append(metric.score(drawn, mean, task))
    defined = ~np.isnan(np.subtract(means, singles))
    score = metric.score(targets, oof, task)
    if not defined.any() or np.isnan(score):
        return 0.0
    limits = metric.limits(targets, task)
    return _carried_over(
        score, np.mean(singles, where=defined), np.mean(means, where=defined), *limits
    )


def _carried_over(score: float, single: float, mean: float, low: float, high: float) -> float:
    """Return the gain of `score` that is the same part of the way as from `single` to `mean`."""
    end = high if mean > single else low
    if not np.isfinite(end) or end == single:
        return float(mean - single)
    return float((end - score) * (mean - single) / (end - single))


def _sharpened(layers: np.ndarray, oof: np.ndarray, targets: np.ndarray, task: Task) -> np.ndarray:
    """How labels (N_test, C) are distributed: the mean to a power, so that losses agree."""
    if task.is_multilabel:
        layers, oof, targets = (np.stack([1 - p, p], axis=-1) for p in (layers, oof, targets))
    mean = layers.mean(0)
    losses = -np.log(np.clip(layers, FLOOR, 1)).mean(0)
    wanted = -(targets * np.log(np.clip(oof, FLOOR, 1))).sum(axis=-1).mean()

    def to_power(power: float) -> np.ndarray:
        raised = np.clip(mean, FLOOR, 1) ** power
        return raised / raised.sum(axis=-1, keepdims=True)

    def excess(power: float) -> float:
        return float((to_power(power) * losses).sum(axis=-1).mean() - wanted)

    ends = [excess(power) for power in POWERS]  # falling
    if ends[0] > 0 > ends[1]:
        probs = to_power(brentq(excess, *POWERS, xtol=1e-3))
    else:
        probs = to_power(POWERS[0] if ends[0] <= 0 else POWERS[1])
    return probs[..., 1] if task.is_multilabel else probs


def _draw_targets(
    probs: np.ndarray, targets: np.ndarray, oof: np.ndarray, task: Task, rng: np.random.Generator
) -> np.ndarray:
    """Targets (N, C) as predictions (N, C) say they are distributed."""
    if task.is_regression:
        drawn = probs + (targets - oof)[rng.integers(len(targets), size=len(probs))]
        # Counts and prices stay such.
        return np.maximum(drawn, np.minimum(targets.min(axis=0), 0))
    if task.is_multilabel:
        return (rng.random(probs.shape) < probs).astype(float)
    below = np.cumsum(probs, axis=1)[:, :-1]
    labels = (rng.random((len(probs), 1)) >= below).sum(axis=1)
    return np.eye(probs.shape[1])[labels]
