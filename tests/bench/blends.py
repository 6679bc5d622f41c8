"""Speed of greedy and simplex weights for log loss: 20 members x 100,000 rows x 10 classes.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/blends.py

Both need of each member only what it says of the true class; taking that out is counted. Prints
seconds of one selection and of one set of weights (wall and CPU, median of RUNS), and checks them
against plain ones: greedy that scores every candidate with the metric on all columns, and SLSQP.
Two libraries: of members alike, where greedy ends soon, and of members that each know some classes
better, where it goes on.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from scipy.optimize import minimize

from pipeline.core.task import Task
from pipeline.ensembles.greedy import PATIENCE, ROUNDS, select_greedily
from pipeline.ensembles.weights import fit_weights
from pipeline.metrics.find_metric import get_metric

MEMBERS, ROWS, CLASSES, RUNS = 20, 100_000, 10, 5
METRIC = get_metric("log_loss", "multiclass")


def main() -> None:
    """Measure and check both on both libraries."""
    for name, specialised in (("members alike", 0.0), ("members that differ", 1.0)):
        members, targets = library(specialised)
        task = Task("multiclass")
        seconds, weights = timed(partial(fit_weights, members, targets, task))
        excess = loss_of(weights, members, targets) - slsqp(members, targets)
        print(f"{name}: weights {seconds}, log loss over SLSQP's {excess:+.0e}")
        assert excess < 1e-9, "there is a better mixture"
        seconds, shares = timed(partial(select_greedily, members, targets, METRIC, task))
        np.testing.assert_allclose(shares, plain_greedy(members, targets))
        print(f"{name}: greedy  {seconds}, the same shares as the plain one's")


def library(specialised: float) -> tuple[np.ndarray, np.ndarray]:
    """Members (M, N, C) that err alike in part, and targets (N, C)."""
    rng = np.random.default_rng(0)
    targets = np.eye(CLASSES)[rng.integers(CLASSES, size=ROWS)]
    knows = np.arange(MEMBERS)[:, None] % CLASSES == np.arange(CLASSES)
    skill = rng.uniform(2.0, 2.6, size=(MEMBERS, 1)) - 0.5 * specialised * ~knows
    odds = skill[:, None] * targets + 0.5 * rng.normal(size=(ROWS, CLASSES))
    odds += rng.normal(size=odds.shape) * rng.uniform(0.8, 1.3, size=(MEMBERS, 1, 1))
    np.exp(odds, out=odds)
    return odds / odds.sum(axis=-1, keepdims=True), targets


def timed(fit: Callable[[], np.ndarray]) -> tuple[str, np.ndarray]:
    """Median seconds, in words, and the result."""
    walls, cpus = [], []
    for _ in range(RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        result = fit()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return f"{median(walls):.3f}s (CPU {median(cpus):.3f}s)", result


def loss_of(weights: np.ndarray, members: np.ndarray, targets: np.ndarray) -> float:
    """Log loss of a weighted mean, by the metric."""
    return METRIC.score(targets, np.tensordot(weights, members, axes=1), Task("multiclass"))


def slsqp(members: np.ndarray, targets: np.ndarray) -> float:
    """The least log loss that a general solver finds."""
    said = members[:, targets > 0]
    found = minimize(
        lambda w: (-np.log(w @ said).mean(), -said @ (1 / (w @ said)) / said.shape[1]),
        np.full(MEMBERS, 1 / MEMBERS),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * MEMBERS,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"maxiter": 500, "ftol": 1e-15},
    )
    return loss_of(found.x / found.x.sum(), members, targets)


def plain_greedy(members: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Shares (M,) of the best prefix of picks, each the best of all candidates by the metric."""
    picks: list[int] = []
    losses: list[float] = []
    total = np.zeros(members.shape[1:])
    while len(picks) < ROUNDS and len(picks) - int(np.argmin([*losses, np.inf])) <= PATIENCE:
        tried = [
            METRIC.score(targets, (total + member) / (len(picks) + 1), Task("multiclass"))
            for member in members
        ]
        picks.append(int(np.argmin(tried)))
        losses.append(min(tried))
        total += members[picks[-1]]
    best = picks[: int(np.argmin(losses)) + 1]
    return np.bincount(best, minlength=MEMBERS) / len(best)


if __name__ == "__main__":
    main()
