"""Ways to estimate the score on test rows without their labels.

Each moves the out-of-fold score by what is seen of the test rows: how sure models are, how far
members agree, which training rows look like test rows. All judge one model, for training rows are
predicted by one.
"""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import nnls
from scipy.stats import norm

from pipeline.core.numerics import TINY
from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.estimates.evidence import Evidence
from pipeline.estimates.shift import ToldApart

ROUNDS = 40  # sets of labels
MOST_ROWS = 20_000
MIN_WEIGHTED = 30, 0.1  # rows and share of rows that importance weights must be worth
MAX_WEIGHT = 20.0  # of the mean weight
COPIES = 5  # of the training rows, so that rounding leaves weights as they are
MOST_PARTNERS = 3  # of a member
FLOOR = 1e-3  # of a score's distance from its range's ends; the probit has no end

Scores = Iterator[tuple[float, float]]  # of training rows, of test rows


def scores_by_way(
    evidence: Evidence, separation: ToldApart | None, *, seed: int
) -> dict[str, float]:
    """Estimate the score of one model on the test rows; ways that do not apply are left out.

    difference of confidences (Guillory 2021): the score expected under the blend's own calibrated
    probabilities, less the same out of fold. For accuracy that is the mean confidence; for other
    metrics labels are drawn from the probabilities and scored.
    average thresholded confidence (Garg 2022): rows count as wrong below the confidence that as
    many training rows lie below as are wrong; for other metrics such labels are scored.
    agreement of members (Baek 2022): scored against each other's labels, members lose what they
    lose against the truth, on the probit scale. Ours takes the slope as 1, for members are few;
    losses change in proportion.
    importance weights (Sugiyama 2007): training rows that look like test rows count for more.
    residuals by disagreement (regression): errors grow with members' disagreement as out of fold.
    """
    few, found = evidence.at_most(MOST_ROWS, seed=seed), {}
    if not evidence.task.is_regression:
        sure = few.calibrated()
        found["difference of confidences"] = evidence.oof_score + _confidence_change(sure, seed)
        found["average thresholded confidence"] = evidence.oof_score + _threshold_change(sure, seed)
    elif evidence.num_members > 1:
        change = _mean_change(_scores_by_residuals(few, seed))
        found["residuals by disagreement"] = evidence.oof_score + change
    if evidence.num_members > 1:
        found["agreement of members"] = _by_agreement(few, evidence.oof_score)
    if separation is not None:
        found["importance weights"] = evidence.oof_score + _weighted_change(evidence, separation)
    return {name: evidence.clip(score) for name, score in found.items() if np.isfinite(score)}


def label_noise(evidence: Evidence, *, seed: int) -> float:
    """Return the spread of the test rows' score over draws of their labels; NaN if not known."""
    few = evidence.at_most(MOST_ROWS, seed=seed)
    if not evidence.task.is_regression:
        scores = _scores_by_draws(few.calibrated(), seed)
    elif evidence.num_members > 1:
        scores = _scores_by_residuals(few, seed)
    else:
        return np.nan
    of_test = [score for _, score in scores]
    return np.nan if np.isnan(of_test).all() else float(np.nanstd(of_test))


def draw_labels(probs: np.ndarray, task: Task, rng: np.random.Generator) -> np.ndarray:
    """Targets (N, C) as probabilities (N, C) say they are distributed."""
    if task.is_multilabel:
        return (rng.random(probs.shape) < probs).astype(float)
    below = np.cumsum(probs, axis=1)[:, :-1]
    labels = (rng.random((len(probs), 1)) >= below).sum(axis=1)
    return np.eye(probs.shape[1])[labels]


def _confidence_change(sure: Evidence, seed: int) -> float:
    if _is_plain_accuracy(sure):
        of_train, of_test = sure.confidence()
        return float(of_test.mean() - of_train.mean())
    return _mean_change(_scores_by_draws(sure, seed))


def _threshold_change(sure: Evidence, seed: int) -> float:
    limits = _limits(sure)
    if _is_plain_accuracy(sure):
        of_train, of_test = sure.confidence()
        return float((of_test > limits).mean() - (of_train > limits).mean())
    rng = stream(seed, "average thresholded confidence")

    def labels(values: np.ndarray) -> np.ndarray:
        return _right_above(values, limits, sure.task, rng)

    return _mean_change(
        (sure.score(labels(sure.oof), sure.oof), sure.score(labels(layer), layer))
        for layer in _layers(sure)
    )


def _is_plain_accuracy(evidence: Evidence) -> bool:
    return evidence.metric.name == "accuracy" and evidence.task.has_one_class_per_row


def _limits(sure: Evidence) -> np.ndarray:
    """Return the confidence that as many training rows exceed as are right."""
    if sure.task.is_multilabel:
        confidence = np.maximum(sure.oof, 1 - sure.oof)
        wrong = (sure.oof >= 0.5) != (sure.targets >= 0.5)
    else:
        confidence = sure.oof.max(axis=1, keepdims=True)
        wrong = (sure.oof.argmax(axis=1) != sure.targets.argmax(axis=1))[:, None]
    ordered, counts = np.sort(confidence, axis=0), wrong.sum(axis=0)
    limits = ordered[np.maximum(counts - 1, 0), np.arange(len(counts))]
    return np.where(counts > 0, limits, -np.inf)


def _right_above(
    values: np.ndarray, limits: np.ndarray, task: Task, rng: np.random.Generator
) -> np.ndarray:
    """Labels (N, C): above the limit what is predicted, below it something else."""
    if task.is_multilabel:
        wrong = np.maximum(values, 1 - values) <= limits
        return ((values >= 0.5) ^ wrong).astype(float)
    predicted = np.eye(values.shape[1])[values.argmax(axis=1)]
    others = np.maximum(values, FLOOR) * (1 - predicted)
    other = draw_labels(others / others.sum(axis=1, keepdims=True), task, rng)
    return np.where(values.max(axis=1, keepdims=True) > limits, predicted, other)


def _by_agreement(evidence: Evidence, oof_score: float) -> float:
    """Move the score on the probit (losses: log) scale as members' scores of each other move."""
    low, high = evidence.limits
    if not np.isfinite(low):
        return np.nan

    def scaled(score: float) -> float:
        if np.isfinite(high):
            return float(norm.ppf(np.clip((score - low) / (high - low), FLOOR, 1 - FLOOR)))
        return float(np.log(score)) if score > 0 else np.nan

    members, moves = evidence.num_members, []
    for step in range(1, min(members, MOST_PARTNERS + 1)):
        for a, b in ((a, (a + step) % members) for a in range(members)):
            on_train = _against(evidence, evidence.members_oof[a], evidence.members_oof[b])
            layers = zip(evidence.members_test[a], evidence.members_test[b], strict=True)
            on_test = np.mean([_against(evidence, *pair) for pair in layers])
            moves.append(scaled(on_test) - scaled(on_train))
    moves = [move for move in moves if np.isfinite(move)]
    if not moves:
        return np.nan
    moved = scaled(oof_score) + np.mean(moves)
    return float(low + (high - low) * norm.cdf(moved) if np.isfinite(high) else np.exp(moved))


def _against(evidence: Evidence, rival: np.ndarray, values: np.ndarray) -> float:
    """Score predictions (n, C) against what a rival's predictions (n, C) come down to."""
    if evidence.task.is_regression:
        return evidence.score(evidence.metric.clip(rival), values)
    if evidence.task.is_multilabel:
        return evidence.score((rival >= 0.5).astype(float), values)
    return evidence.score(np.eye(values.shape[1])[rival.argmax(axis=1)], values)


def _weighted_change(evidence: Evidence, separation: ToldApart) -> float:
    """Return weighted less plain score; NaN where few training rows look like test rows."""
    odds = separation.probs / np.clip(1 - separation.probs, 1e-6, None)
    weights = np.minimum(odds / odds.mean(), MAX_WEIGHT)
    weights = weights / weights.mean()
    worth = weights.sum() ** 2 / np.sum(weights**2)
    rows, share = MIN_WEIGHTED
    if worth < max(rows, share * len(weights)):
        return np.nan
    counts = np.diff(np.floor(np.cumsum(weights) * COPIES + 0.5), prepend=0).astype(int)
    plain, weighted = (
        evidence.score(evidence.targets[chosen], evidence.oof[chosen])
        for chosen in (separation.rows, np.repeat(separation.rows, counts))
    )
    return weighted - plain


def _layers(evidence: Evidence) -> Iterator[np.ndarray]:
    """Return a layer of test rows (N_test, C) for each round, in turn."""
    return (evidence.test[part % len(evidence.test)] for part in range(ROUNDS))


def _scores_by_draws(sure: Evidence, seed: int) -> Scores:
    """Scores on labels drawn from the blend's own probabilities."""
    rng = stream(seed, "difference of confidences")
    for layer in _layers(sure):
        yield tuple(
            sure.score(draw_labels(values, sure.task, rng), values) for values in (sure.oof, layer)
        )


def _scores_by_residuals(evidence: Evidence, seed: int) -> Scores:
    """Scores on targets drawn around predictions, as far off as disagreement lets expect.

    A column's absolute residual is fitted by a constant and the disagreement, neither below 0.
    """
    of_train, of_test = evidence.disagreement()
    residuals = evidence.targets - evidence.oof
    design = np.stack([np.ones(len(of_train)), of_train], axis=1)
    fits = np.stack([nnls(design, np.abs(column))[0] for column in residuals.T], axis=1)
    spread = np.maximum(design @ fits, TINY)
    rng = stream(seed, "residuals")
    for part, layer in enumerate(_layers(evidence)):
        test_spread = fits[0] + of_test[part % len(of_test)][:, None] * fits[1]
        drawn = (residuals / spread)[rng.integers(len(spread), size=len(spread) + len(layer))]
        oof_errors, test_errors = np.split(drawn, [len(spread)])
        drawn_oof = evidence.metric.clip(evidence.oof + spread * oof_errors)
        drawn_test = evidence.metric.clip(layer + test_spread * test_errors)
        yield evidence.score(drawn_oof, evidence.oof), evidence.score(drawn_test, layer)


def _mean_change(scores: Scores) -> float:
    """Of test rows less training rows; NaN where either is never defined."""
    pairs = np.array(list(scores))
    if np.isnan(pairs).all(axis=0).any():
        return np.nan
    of_train, of_test = np.nanmean(pairs, axis=0)
    return float(of_test - of_train)
