"""L-BFGS for many linear models at once, each with its own steps and its own end."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.learners.solver.softmax_loss import Problems, dots

MEMORY = 10  # pairs of steps and gradients' changes
SMALLEST_COSINE = 1e-7  # between a step and its gradient's change; below it rounding speaks
HALVINGS = 12  # of a step; a direction that needs more is rounding
SUFFICIENT = 1e-4  # share of the promised decrease that a step must bring (Armijo)


def minimise(
    problems: Problems, start: np.ndarray, *, tolerance: float, max_iter: int
) -> np.ndarray:
    """Minimise all problems' penalised losses; a problem that has arrived leaves the batch.

    An iteration costs two products with the features, for all problems together. Scores are linear
    in the solution, so that the line search costs none. The preconditioner is the Hessian, were all
    rows alike, along the features' leading axes; see `LeadingAxes`.

    Args:
        start: (P, C, D + 1).
        tolerance: a problem ends where its loss is estimated to be less above its optimum, or
            where rounding allows no step down.
    Returns:
        (P, C, D + 1).
    """
    final, active = start.copy(), np.arange(len(start))
    curvature = Curvature()
    point = Point.at(problems, start, problems.scores(start))
    gradients = problems.gradients(point.slopes, start)
    for _ in range(max_iter):
        directions = curvature.direction(
            gradients, partial(problems.newton_step, slopes=point.slopes)
        )
        slopes = dots(gradients, directions)
        steps, point = line_search(problems, point, directions, slopes)
        final[active] = point.solutions
        going = (slopes < -2 * tolerance) & (steps > 0)
        if not going.any():
            break
        if not going.all():
            problems, point, active = problems.of(going), point.of(going), active[going]
            gradients, directions, steps = gradients[going], directions[going], steps[going]
            curvature.keep(going)
        previous, gradients = gradients, problems.gradients(point.slopes, point.solutions)
        curvature.remember(times(steps, directions), gradients - previous)
    return final


@dataclass(frozen=True)
class Point:
    """Where P problems stand: solutions (P, C, D + 1), scores and slopes (P, C, N), losses."""

    solutions: np.ndarray
    scores: np.ndarray
    slopes: np.ndarray
    losses: np.ndarray

    @classmethod
    def at(cls, problems: Problems, solutions: np.ndarray, scores: np.ndarray) -> "Point":
        """Return the point of these solutions, whose scores are known."""
        fits, slopes = problems.fits(scores)
        penalties = dots(problems.penalty_of(solutions), solutions) / 2
        return cls(solutions, scores, slopes, fits + penalties)

    def of(self, chosen: np.ndarray) -> "Point":
        """Return some of the problems: a mask or positions."""
        return Point(
            self.solutions[chosen], self.scores[chosen], self.slopes[chosen], self.losses[chosen]
        )

    def replace(self, places: np.ndarray, other: "Point", taken: np.ndarray) -> None:
        """Put those of `other` that are `taken` (a mask) at these places."""
        for name in ("solutions", "scores", "slopes", "losses"):
            getattr(self, name)[places] = getattr(other, name)[taken]


def line_search(
    problems: Problems, point: Point, directions: np.ndarray, slopes: np.ndarray
) -> tuple[np.ndarray, Point]:
    """Halve each problem's step, from 1, until its loss falls by enough.

    Args:
        slopes: (P,) of the losses along the directions.
    Returns:
        steps (P,), 0 where none was short enough, and the point that they lead to.
    """
    ahead = problems.scores(directions)
    reached = _moved(problems, point, directions, ahead, 1.0)
    enough = reached.losses <= point.losses + SUFFICIENT * slopes
    steps = enough.astype(float)
    pending = np.flatnonzero(~enough)
    for step in 0.5 ** np.arange(1, HALVINGS):
        if not len(pending):
            return steps, reached
        nearer = _moved(
            problems.of(pending), point.of(pending), directions[pending], ahead[pending], step
        )
        enough = nearer.losses <= point.losses[pending] + SUFFICIENT * step * slopes[pending]
        reached.replace(pending[enough], nearer, enough)
        steps[pending[enough]] = step
        pending = pending[~enough]
    reached.replace(pending, point, pending)
    return steps, reached


def _moved(
    problems: Problems, point: Point, directions: np.ndarray, ahead: np.ndarray, step: float
) -> Point:
    # A Python float, for NumPy's would turn float32 into float64.
    step = float(step)
    return Point.at(problems, point.solutions + step * directions, point.scores + step * ahead)


class Curvature:
    """Steps of P problems and their gradients' changes, each (P, C, D): the inverse Hessian.

    A pair that rounding has spoilt in one problem counts for nothing there.

    Source: Nocedal & Wright 2006, algorithm 7.4; the preconditioner is new in every iteration.
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def remember(self, steps: np.ndarray, changes: np.ndarray) -> None:
        """Add one iteration's steps and the changes of the gradients along them."""
        products = dots(steps, changes)
        sizes = np.sqrt(dots(steps, steps) * dots(changes, changes))
        useful = products > SMALLEST_COSINE * sizes
        rates = np.divide(1, products, out=np.zeros_like(products), where=useful)
        self.pairs = [*self.pairs, (steps, changes, rates)][-MEMORY:]

    def keep(self, problems: np.ndarray) -> None:
        """Forget the other problems (a mask)."""
        self.pairs = [tuple(part[problems] for part in pair) for pair in self.pairs]

    def direction(
        self, gradients: np.ndarray, precondition: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """-H gradients; `precondition` multiplies by the H of no memory."""
        rest, shares = gradients.copy(), []
        for steps, changes, rates in reversed(self.pairs):
            shares.append(rates * dots(steps, rest))
            rest -= times(shares[-1], changes)
        rest = times(self._scale(precondition), precondition(rest))
        for (steps, changes, rates), share in zip(self.pairs, reversed(shares), strict=True):
            rest += times(share - rates * dots(changes, rest), steps)
        return -rest

    def _scale(self, precondition: Callable[[np.ndarray], np.ndarray]) -> np.ndarray | float:
        """(P,) how much longer the last step was than its gradient's change foretells."""
        if not self.pairs:
            return np.ones(1)
        _, changes, rates = self.pairs[-1]
        foretold = dots(changes, precondition(changes))
        return np.divide(1, rates * foretold, out=np.ones_like(rates), where=rates * foretold > 0)


def times(factors: np.ndarray, arrays: np.ndarray) -> np.ndarray:
    """Each problem's array (P, C, D) times its factor (P,), in the arrays' precision."""
    return factors.astype(arrays.dtype)[:, None, None] * arrays
