"""Shared by the tests: every metric with every kind of task that it fits, and random rows of it."""

import numpy as np

from pipeline.metrics.find_metric import METRICS_OF_KIND
from pipeline.metrics.patterns import PATTERNS

EXAMPLES = {pattern.shown: pattern.example for pattern in PATTERNS}
CASES = sorted(
    (EXAMPLES.get(name, name), kind) for kind, names in METRICS_OF_KIND.items() for name in names
)
LEVELS = np.array([0.0, 1.0, 2.5])


def random_rows(kind, *, rows=60, seed=0, models=1, skill=1.5):
    """Targets (N, C), every class among them, and what so many models predict: (M, N, C)."""
    rng = np.random.default_rng(seed)
    if kind == "regression":
        targets = 1 + rng.exponential(5, size=(rows, 2))
        return targets, targets + rng.normal(size=(models, rows, 2)) * 2 / skill
    if kind == "multilabel":
        targets = (rng.random((rows, 3)) < 0.4) + 0.0
        targets[np.arange(rows), np.arange(rows) % 3] = 1.0  # no row without a label
        logits = skill * (2 * targets - 1) + rng.normal(size=(models, rows, 3))
        return targets, 1 / (1 + np.exp(-logits))
    classes = 2 if kind == "binary" else 3
    targets = np.eye(classes)[
        np.append(np.arange(classes), rng.integers(classes, size=rows - classes))
    ]
    odds = np.exp(skill * targets + rng.normal(size=(models, rows, classes)))
    return targets, odds / odds.sum(axis=-1, keepdims=True)


def levels_of(kind):
    """What `Metric.score` takes."""
    return LEVELS if kind == "ordinal" else None
