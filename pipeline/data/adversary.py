"""Adversarial validation: can a simple model tell test images from training images?

Some of that is fair where persons or series are held out: each fold, told from the others in the
same way, says how much. Only what the test set has beyond its folds counts.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.utils.extmath import randomized_svd

from pipeline.core.runtime import stream
from pipeline.data.alarms import Alarm
from pipeline.data.association import Association, Outcome, associate

NUM_DIRECTIONS = 50  # of the features; more would learn rows by heart
NUM_PARTS = 5  # of rows, held out in turn
MAX_ROWS = 6000
ALPHA = 0.01
NOTE, SUSPICIOUS = 0.05, 0.15  # AUC beyond that of the most peculiar fold
NUM_EXAMPLES = 6
MIN_ROWS = 20  # of train and of test


@dataclass(frozen=True)
class Adversary:
    """Test told from train.

    Attributes:
        of_test: AUC of test against train. of_folds: (K,) of each fold against the others.
        probs: (N_train + N_test,) of being a test row, out of the part that was fitted.
    """

    of_test: Association
    of_folds: list[Association]
    probs: np.ndarray


def tell_apart(features: np.ndarray, folds: np.ndarray, *, seed: int) -> Adversary:
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
    return Adversary(of_test, of_folds, expit(values))


def _sides(folds: np.ndarray) -> list[np.ndarray]:
    """Masks (N,) of what is told from the other folds: each fold, or several where some are small.

    A side of one row is left out: in the part that holds it out, there is nothing to be fitted.
    """
    if np.unique(folds, return_counts=True)[1].min() < NUM_PARTS:
        folds = folds % max(2, len(folds) // MIN_ROWS)
    sides = [folds == fold for fold in np.unique(folds)]
    return [side for side in sides if 1 < side.sum() < len(side) - 1]


def beyond_folds(found: Adversary) -> tuple[Association, float, bool]:
    """Find the most peculiar fold, the p-value of test rows being no more so, and if they are."""
    at_chance = replace(found.of_test, score=0.5)
    peculiar = max(found.of_folds, key=lambda one: one.score, default=at_chance)
    excess = found.of_test.score - peculiar.score
    p_value = float(norm.sf(excess / np.hypot(found.of_test.error, peculiar.error)))
    return peculiar, p_value, p_value < ALPHA and excess > NOTE


def look_at_split(
    features: np.ndarray, folds: np.ndarray, paths: np.ndarray, *, what: str, seed: int
) -> Alarm:
    """Say whether the test images differ from training images more than a fold differs.

    Args:
        features, folds: as for `tell_apart`.
        paths: (N_train + N_test,) of the images.
        what: the features' name.
    """
    name, num_train = f"test against train on {what}", len(folds)
    if min(num_train, len(features) - num_train) < MIN_ROWS:
        return Alarm(name, "quiet", "too few rows to tell")
    rng = stream(seed, "adversary", "rows")
    rows = np.sort(rng.permutation(len(features))[:MAX_ROWS])
    kept = folds[rows[rows < num_train]]
    found = tell_apart(features[rows], kept, seed=seed)
    peculiar, p_value, differs = beyond_folds(found)
    least = min((one.score for one in found.of_folds), default=peculiar.score)
    seen = (
        f"AUC {found.of_test.score:.2f}; folds told from each other in the same way have "
        f"{least:.2f} to {peculiar.score:.2f}"
    )
    excess = found.of_test.score - peculiar.score
    grade = ("suspicious" if excess > SUSPICIOUS else "note") if differs else "quiet"
    advice = (
        "Test images differ from training images beyond what folds show, so the estimate may not "
        "hold. Look at the examples, the most unlike ones: another camera, site, crop, encoding, "
        "share of classes? Validate on training rows that look like the test, or make them alike."
    )
    is_test = rows >= num_train
    sides = {
        f"test images most unlike train (a blind guess says {is_test.mean():.2f})": is_test,
        "training images most like test": ~is_test,
    }
    images = [
        (title, _told_best(found.probs[side], paths[rows[side]])) for title, side in sides.items()
    ]
    return Alarm(
        name,
        grade,
        seen,
        advice,
        score=found.of_test.score,
        chance=peculiar.score,
        p_value=p_value,
        examples=[path for path, _ in images[0][1]],
        images=images,
    )


def _told_best(probs: np.ndarray, paths: np.ndarray) -> list[tuple[str, str]]:
    """The images that look most like test images, with how much so."""
    order = np.argsort(-probs, kind="stable")[:NUM_EXAMPLES]
    return [(str(paths[place]), f"of test: {probs[place]:.2f}") for place in order]


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
