"""What is drawn whole: rows, or groups of them; how populations and test sets are made of it."""

from dataclasses import dataclass, replace

import numpy as np

FEW = 500  # units; of more of them, Student's t is the normal distribution
LEAST = 0.3  # of a weight's shape: below, a round would weigh a single unit
BUNDLED = 10_000, 100  # units, test units: where there are more of both, bundles are drawn whole


@dataclass(frozen=True)
class Units:
    """Units that were seen (U), and rows that were not (P), each a unit of its own.

    Attributes:
        of_rows: (N + P,) each row's unit.
        strata: (U + P,) what is drawn apart.
        masses: (U + P,) how many units each stands for.
        shapes: (U + P,) of the gamma distributions of weights: the smaller, the wider.
        seen: U.
    """

    of_rows: np.ndarray
    strata: np.ndarray
    masses: np.ndarray
    shapes: np.ndarray
    seen: int

    def joined(self, masses: np.ndarray) -> "Units":
        """Add rows (P,) of such masses to each stratum, by its share."""
        num_strata = int(self.strata.max()) + 1
        added = np.outer(np.bincount(self.strata) / self.seen, masses).ravel()
        return replace(
            self,
            of_rows=np.append(self.of_rows, self.seen + np.arange(len(added))),
            strata=np.append(self.strata, np.repeat(np.arange(num_strata), len(masses))),
            masses=np.append(self.masses, added),
            shapes=np.append(self.shapes, added * self.shapes.max()),
        )

    def weights(self, rounds: int, rng: np.random.Generator) -> np.ndarray:
        """Return populations (rounds, U + P) as weights; each stratum's sum is its share."""
        drawn = rng.standard_gamma(self.shapes, (rounds, len(self.shapes)))
        drawn *= self.masses / self.shapes
        for stratum in range(self.strata.max() + 1):
            inside = self._inside(stratum)
            total = drawn[:, inside].sum(axis=1, keepdims=True).clip(1e-300)
            drawn[:, inside] *= self.masses[inside].sum() / self.masses.sum() / total
        return drawn

    def counts(self, weights: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
        """How often each (rounds, U + P) is in a test set of a `share` of the units seen."""
        seen = np.bincount(self.strata[: self.seen])
        sizes = np.stack([parts_of_strata(seen, share, rng) for _ in weights])
        found = np.empty(weights.shape, dtype=int)
        for stratum in range(len(seen)):
            inside = self._inside(stratum)
            part = weights[:, inside]
            part = part / part.sum(axis=1, keepdims=True).clip(1e-300)
            found[:, inside] = rng.multinomial(sizes[:, stratum], part)
        return found

    def _inside(self, stratum: int) -> np.ndarray | slice:
        return self.strata == stratum if self.strata.any() else slice(None)


def find_units(
    targets: np.ndarray,
    groups: np.ndarray | None,
    *,
    by_class: bool,
    stratified: bool,
    test_rows: float,
    rng: np.random.Generator,
) -> Units:
    """Units of rows (N, C), and how widely to weigh them.

    Args:
        groups: (N,) or None, each row on its own.
        by_class: whether a class of few units counts as much as others: then they are few.
        stratified: whether classes are drawn apart.
        test_rows: of all test sets together.
    """
    units = units_of(len(targets), groups)
    number = int(units.max()) + 1
    test_units = max(1, test_rows * number / len(targets))
    strata = strata_of(targets, units) if stratified else np.zeros(number, dtype=int)
    if number > BUNDLED[0]:
        size = int(min(number // BUNDLED[0], max(1, test_units // BUNDLED[1])))
        units, strata = _bundles(units, strata, size, rng)
        number = len(strata)
    shapes = np.full(number, _shape(number, test_units, lost=4))
    if by_class and number <= BUNDLED[0]:
        classes = strata_of(targets, units)
        for label in np.unique(classes):
            inside = classes == label
            of_class = _shape(inside.sum(), max(1, test_units * inside.mean()), lost=2)
            shapes[inside] = np.minimum(shapes[inside], of_class)
    strata = np.unique(strata, return_inverse=True)[1]
    return Units(units, strata, np.ones(number), shapes, number)


def units_of(num_rows: int, groups: np.ndarray | None) -> np.ndarray:
    """Each row's unit (N,): its group, or itself."""
    return np.arange(num_rows) if groups is None else np.unique(groups, return_inverse=True)[1]


def strata_of(targets: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the class (U,) of each unit's rows; C for units of several classes."""
    num_units, num_classes = int(units.max()) + 1, targets.shape[1]
    labels = targets.argmax(axis=1)
    lowest, highest = np.full(num_units, num_classes), np.zeros(num_units, dtype=int)
    np.minimum.at(lowest, units, labels)
    np.maximum.at(highest, units, labels)
    return np.where(lowest == highest, lowest, num_classes)


def parts_of_strata(sizes: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers of units of strata of such `sizes`, by systematic sampling.

    Their parts of a unit, laid end to end, are cut at a random place, so that the total is right
    and each part is right on average.
    """
    ends = np.cumsum(sizes)
    return np.diff(np.floor(ends * max(share, 1 / ends[-1]) + rng.random()), prepend=0).astype(int)


def student_share(num_units: int) -> float:
    """Return a resample's share of the units for means that vary as Student's t: all but three."""
    return 1.0 if num_units > FEW else max(LEAST, 1 - 3 / num_units)


def _shape(units: int, test_units: float, *, lost: int) -> float:
    """Return the shape that makes means of test sets as wide as they are.

    Weights of shape a give U units' mean the variance of a U + 1 units, and lessen the variance
    within populations. Solved for the unbiased variance of a test set's mean less that of the rows
    (`lost` 2), or for it times (U - 1) / (U - 3), which is that of Student's t (`lost` 4).
    """
    if units > FEW:
        return 1.0
    wanted = (test_units * (units - lost) - units) / (test_units + lost - 1)
    return float(np.clip(wanted / units, LEAST, 1.0))


def _bundles(
    units: np.ndarray, strata: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Units put together at random, so many each, among those of a stratum: units and strata."""
    order = np.lexsort((rng.random(len(strata)), strata))
    bundle = np.empty(len(strata), dtype=int)
    bundle[order] = np.arange(len(strata)) // size
    return bundle[units], strata[order][::size]
