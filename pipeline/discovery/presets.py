"""Which preset fits the number of images and the time."""

from pipeline.core.runtime import duration, num_threads
from pipeline.discovery.guess import Guess

# Seconds per image on two CPU cores, measured on chula (584 images: quick 226 s, good 1228 s) and
# signdigits (2062 images: quick 347 s).
SECONDS = {"quick": 0.3, "good": 2.1}
MEASURED_CORES = 2
FIRST_TRY = 15 * 60  # without BUDGET=, `good` is taken where it ends within these seconds


def find_preset(num_images: int, budget: float | None) -> Guess:
    """Decide between `quick` and `good`.

    Args:
        budget: seconds; None: not said.
    """
    cores = num_threads()
    times = {name: cost * num_images * MEASURED_CORES / cores for name, cost in SECONDS.items()}
    within = FIRST_TRY if budget is None else budget
    name = "good" if times["good"] <= within else "quick"
    shown = {preset: duration(seconds) for preset, seconds in times.items()}
    reason = f"about {shown[name]} on {cores} CPU cores, less on a GPU"
    other = "quick" if name == "good" else "good"
    others = (f"{other} (about {shown[other]})",)
    if times[name] > within:
        reason += "; data.subset: 0.1 tries a tenth of the rows"
    return Guess(name, "likely", reason, others)
