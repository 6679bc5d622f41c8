"""Adversarial validation: can a simple model separate test from training images?

Some of that is fair where persons or series are held out: how well each fold
is separated from the others shows how much. Only what the test set has beyond its folds counts.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.utils.extmath import randomized_svd

from pipeline.core.runtime import stream
from pipeline.estimates.association import Association, Outcome, associate

NUM_DIRECTIONS = 50  # of the features; more would learn rows by heart
NUM_PARTS = 5  # of rows, held out in turn
MAX_ROWS = 6000
ALPHA = 0.01
NOTE = 0.05  # AUC beyond that of the most peculiar fold
MIN_ROWS = 20  # of train and of test


@dataclass(frozen=True)
class AdversarialValidation:
    """Separation of test rows from training rows.

    Attributes:
        of_test: AUC of test against train. of_folds: (K,) of each fold against the others.
        probs: (N_train + N_test,) of being a test row, out of the part that was fitted.
    """

    of_test: Association
    of_folds: list[Association]
    probs: np.ndarray


def tell_apart(features: np.ndarray, folds: np.ndarray, *, seed: int) -> AdversarialValidation:
    """Tell test from train.

    Args:
        features: (N_train + N_test, D), training rows first.
        folds: (N_train,).
    """
    num_train = len(folds)
    directions = _directions(features)
    is_test = np.arange(len(features)) >= num_train
    rng = stream(seed, "adversary")
    of_test, values = _tell(directions, is_test, rng)
    of_folds = [_tell(directions[:num_train], side, rng)[0] for side in _sides(folds)]
    return AdversarialValidation(of_test, of_folds, expit(values))


def _sides(folds: np.ndarray) -> list[np.ndarray]:
    """Return masks (N,): each fold, or several together where some are small.

    A side of one row is left out: in the part that holds it out, there is nothing to be fitted.
    """
    if np.unique(folds, return_counts=True)[1].min() < NUM_PARTS:
        folds = folds % max(2, len(folds) // MIN_ROWS)
    sides = [folds == fold for fold in np.unique(folds)]
    return [side for side in sides if 1 < side.sum() < len(side) - 1]


def beyond_folds(found: AdversarialValidation) -> tuple[Association, float, bool]:
    """Find the most peculiar fold, the p-value of test rows being no more so, and if they are."""
    at_chance = replace(found.of_test, score=0.5)
    peculiar = max(found.of_folds, key=lambda one: one.score, default=at_chance)
    excess = found.of_test.score - peculiar.score
    p_value = float(norm.sf(excess / np.hypot(found.of_test.error, peculiar.error)))
    return peculiar, p_value, p_value < ALPHA and excess > NOTE


def _directions(features: np.ndarray) -> np.ndarray:
    """Loudest directions of standardised features, each of variance 1."""
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)
    number = min(NUM_DIRECTIONS, len(features) // 10 + 1, features.shape[1])
    left, sizes, _ = randomized_svd(scaled, number, random_state=0)
    return left * np.sqrt(len(features)) * (sizes > 1e-6)


def _tell(
    directions: np.ndarray, marked: np.ndarray, rng: np.random.Generator
) -> tuple[Association, np.ndarray]:
    """Tell marked rows from others; parts are drawn row by row, whatever belongs together."""
    part = np.empty(len(marked), dtype=int)
    for side in (marked, ~marked):
        part[side] = rng.permutation(int(side.sum())) % NUM_PARTS
    values = np.empty(len(marked))
    for held_out in range(NUM_PARTS):
        rows = part != held_out
        model = LogisticRegression(C=0.1, max_iter=300).fit(directions[rows], marked[rows])
        values[~rows] = model.decision_function(directions[~rows])
    outcome = Outcome(marked[:, None] + 0.0, ("marked",), "AUC")
    return associate(values[:, None], outcome, np.arange(len(marked))), values
