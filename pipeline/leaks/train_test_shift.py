"""Train/test shift: do test images differ from training images more than a fold differs?"""

import numpy as np

from pipeline.core.finding import Alarm
from pipeline.core.runtime import stream
from pipeline.estimates.adversarial_validation import MAX_ROWS, MIN_ROWS, beyond_folds, tell_apart

SUSPICIOUS = 0.15  # AUC beyond that of the most peculiar fold
NUM_EXAMPLES = 6


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
