"""Train/test shift: do test images differ from training images more than a fold differs?"""

import numpy as np

from pipeline.core.finding import Finding
from pipeline.core.runtime import stream
from pipeline.estimates.adversarial_validation import MAX_ROWS, MIN_ROWS, beyond_folds, tell_apart

SUSPICIOUS = 0.15  # AUC beyond that of the fold that differs most
NUM_EXAMPLES = 6


def find_shift(
    features: np.ndarray, folds: np.ndarray, paths: np.ndarray, *, what: str, seed: int
) -> Finding:
    """Report whether test images differ from training images more than a fold from the others.

    Args:
        features, folds: as for `tell_apart`.
        paths: (N_train + N_test,) of the images.
        what: the features' name.
    """
    name, num_train = f"test against train on {what}", len(folds)
    if min(num_train, len(features) - num_train) < MIN_ROWS:
        return Finding(name, "quiet", "too few rows to test")
    rng = stream(seed, "adversary", "rows")
    rows = np.sort(rng.permutation(len(features))[:MAX_ROWS])
    kept = folds[rows[rows < num_train]]
    validation = tell_apart(features[rows], kept, seed=seed)
    highest, p_value, differs = beyond_folds(validation)
    lowest = min((fold.score for fold in validation.of_folds), default=highest.score)
    score = validation.of_test.score
    excess = score - highest.score
    grade = ("suspicious" if excess > SUSPICIOUS else "note") if differs else "quiet"
    advice = (
        "Test images differ from training images more than folds differ, so the estimate may not "
        "hold. Look at the examples, which differ most: another camera, site, crop, encoding, "
        "share of classes? Validate on training rows that look like the test, or make them alike."
    )
    is_test = rows >= num_train
    sides = {
        f"test images most unlike train (chance: {is_test.mean():.2f})": is_test,
        "training images most like test": ~is_test,
    }
    images = [
        (title, _most_test_like(validation.probs[side], paths[rows[side]]))
        for title, side in sides.items()
    ]
    return Finding(
        name,
        grade,
        f"AUC {score:.2f}; folds against each other have {lowest:.2f} to {highest.score:.2f}",
        advice,
        score=score,
        chance=highest.score,
        p_value=p_value,
        examples=[path for path, _ in images[0][1]],
        images=images,
    )


def _most_test_like(probs: np.ndarray, paths: np.ndarray) -> list[tuple[str, str]]:
    """Return the images that look most like test images, with their probability of being one."""
    order = np.argsort(-probs, kind="stable")[:NUM_EXAMPLES]
    return [(str(paths[place]), f"of test: {probs[place]:.2f}") for place in order]
