"""Whether test rows differ from training rows: several signals that need no labels.

A model meets the rows of its held-out fold and the test rows alike unseen: where both are drawn
alike, it is as sure of these as of those, members agree as often, predictions have the same mean,
and frozen features separate test rows from training rows no better than a fold from the others.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from pipeline.core.results import Signal
from pipeline.core.runtime import stream
from pipeline.estimates.adversarial_validation import MAX_ROWS, MIN_ROWS, beyond_folds, tell_apart
from pipeline.estimates.evidence import Evidence

ALPHA = 0.01  # of each signal: all four together raise one false alarm in 25 at most
ON_FEATURES = "AUC of test rows on features"
ROUNDING = 1e-9
MIN_EXPECTED = 5  # rows of a class, for its share to be compared


@dataclass(frozen=True)
class ToldApart:
    """Training rows (n,) as adversarial validation sees them: probabilities of being a test row."""

    rows: np.ndarray
    probs: np.ndarray


def signals_of_shift(evidence: Evidence, *, seed: int) -> tuple[list[Signal], ToldApart | None]:
    """Compare test rows with training rows in every way that the task and the evidence allow."""
    found = []
    if not evidence.task.is_regression:
        found.append(_compare("mean confidence", *evidence.confidence(), evidence.groups))
    if evidence.num_members > 1:
        found.append(_compare("members' disagreement", *evidence.disagreement(), evidence.groups))
    found.append(_mean_predictions(evidence))
    separation = None
    if evidence.features is not None and min(len(evidence.oof), evidence.test.shape[1]) >= MIN_ROWS:
        signal, separation = _features(evidence, seed)
        found.append(signal)
    return found, separation


def design_effect(values: np.ndarray, groups: np.ndarray | None) -> tuple[float, int]:
    """Return by how much groups raise the variance of a mean of values (N,), and their number."""
    if groups is None:
        return 1.0, len(values)
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], values - values.mean())
    plain, number = np.sum((values - values.mean()) ** 2), len(sums)
    if plain == 0 or number < 2:
        return 1.0, number
    return float(max(1.0, (sums**2).sum() / plain * number / (number - 1))), number


def _compare(
    name: str, train: np.ndarray, test: np.ndarray, groups: np.ndarray | None, *, looks: int = 1
) -> Signal:
    """Compare the means of training rows (N,) and of test rows (K, N_test).

    Test rows are taken to lie in groups as training rows do. With `looks` comparisons of a kind,
    the p-value is that of the smallest of them (Bonferroni).
    """
    test = test.mean(axis=0)
    effect, number = design_effect(train, groups)
    sizes = np.array([len(train), len(test)])
    variance = sizes @ [train.var(), test.var()] / sizes.sum()
    error = np.sqrt(variance * effect * np.sum(1 / sizes))
    difference = abs(test.mean() - train.mean())
    error = max(error, ROUNDING)  # equal values differ by rounding, and so does their spread
    p_value = 2 * looks * t.sf(difference / error, max(number - 1, 1))
    means = float(train.mean()), float(test.mean())
    return Signal(name, *means, float(min(p_value, 1.0)), bool(p_value < ALPHA))


def _mean_predictions(evidence: Evidence) -> Signal:
    """Return the class or column whose mean prediction differs most (as in Lipton 2018)."""
    oof, columns = evidence.oof, np.arange(evidence.oof.shape[1])
    if not evidence.task.is_regression:
        expected = np.minimum(oof.mean(0), 1 - oof.mean(0)) * min(len(oof), evidence.test.shape[1])
        columns = columns[expected >= MIN_EXPECTED] if expected.max() >= MIN_EXPECTED else [0]
    looks = [
        _compare(
            "mean predictions",
            oof[:, c],
            evidence.test[..., c],
            evidence.groups,
            looks=1 if evidence.task.is_binary else len(columns),
        )
        for c in columns
    ]
    return min(looks, key=lambda signal: signal.p_value)


def _features(evidence: Evidence, seed: int) -> tuple[Signal, ToldApart]:
    num_train = len(evidence.oof)
    rng = stream(seed, "adversary", "rows")
    rows = np.sort(rng.permutation(len(evidence.features))[:MAX_ROWS])
    kept = rows[rows < num_train]
    features = evidence.features[rows].mean(axis=1, dtype=np.float32)
    validation = tell_apart(features, evidence.folds[kept], seed=seed)
    peculiar, p_value, differs = beyond_folds(validation)
    scores = peculiar.score, validation.of_test.score
    signal = Signal(ON_FEATURES, *scores, p_value, bool(differs))
    return signal, ToldApart(kept, validation.probs[: len(kept)])
