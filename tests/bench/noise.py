"""Noise: do blends, the choice among them and the interval promise more than there is?

    PYTHONPATH=. python tests/bench/noise.py noise.csv [DRAWS [KIND ...]]

Each draw makes features that know nothing of the targets, four cheap models of them (two linear
ones, random Fourier features, nearest neighbours) in K folds, and cross-fits blends of these with
the pipeline's own functions; a group's targets have a mean of their own. Optimism is the
out-of-fold score less the mean score of the K models on fresh rows, above 0 if it promises too
much. A blend should not have more of it than its members have: the table gives the difference,
with its standard error, and how often the 90% interval holds the score of the fresh rows. Rows of
the CSV that are there are not computed again.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from pipeline.config.schema import Folds
from pipeline.core.task import Task
from pipeline.ensembles.base_rates import at_one_level
from pipeline.ensembles.choice import choose_by_fold
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.estimates.interval import interval_of_test_score
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import get_metric
from pipeline.splitting.schemes import assign_folds

BLENDS = ("soft_vote", "weighted", "greedy", "stack")
METRICS = {
    "binary": ("roc_auc", "log_loss"),
    "multiclass": ("accuracy", "log_loss"),
    "multilabel": ("average_precision", "log_loss"),
    "ordinal": ("rmse",),
    "regression": ("rmse",),
}
CLASSES = {"binary": 2, "multiclass": 3, "multilabel": 3, "ordinal": 4, "regression": 1}
CELLS = [(rows, groups, k) for rows in (300, 1500) for groups in (None, 15) for k in (5, 10)]
DIMENSIONS, FRESH_ROWS, NEIGHBOURS = 20, 1000, 20


def main(path: Path, draws: int, kinds: list[str]) -> None:
    """Add what draws are missing, then print the table."""
    columns = ["kind", "rows", "groups", "folds", "draw"]
    done = set()
    if path.exists():
        found = pd.read_csv(path, keep_default_na=False)
        done = set(found[columns].astype(str).itertuples(index=False, name=None))
    for draw in range(draws):
        for kind in kinds:
            for rows, groups, num_folds in CELLS:
                cell = (kind, rows, groups or "none", num_folds, draw)
                if tuple(map(str, cell)) in done:
                    continue
                lines = one_draw(kind, rows, groups, num_folds, draw)
                lines = [dict(zip(columns, cell, strict=True)) | line for line in lines]
                fresh = not path.exists()
                with open(path, "a", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, list(lines[0]))
                    if fresh:
                        writer.writeheader()
                    writer.writerows(lines)
        print(f"draw {draw}", file=sys.stderr, flush=True)
    report(pd.read_csv(path, keep_default_na=False))


def one_draw(kind: str, rows: int, groups: int | None, num_folds: int, draw: int) -> list[dict]:
    """Optimism of members, of each blend and of the choice; a line per metric."""
    rng = np.random.default_rng([draw, rows, groups or 0, num_folds])
    group, targets = draw_targets(rng, kind, rows, groups)
    per_group = 1 if groups is None else rows // groups
    fresh_groups = None if groups is None else FRESH_ROWS // per_group
    _, fresh = draw_targets(rng, kind, FRESH_ROWS // per_group * per_group, fresh_groups)
    features = rng.normal(size=(len(targets) + len(fresh), DIMENSIONS))
    folds = assign_folds(
        Folds(n=num_folds), targets, task=Task(kind), seed=draw, groups=group if groups else None
    ).folds
    oof, test = models(features, targets, folds, kind)
    levels = np.arange(4.0) if kind == "ordinal" else None
    task = Task(kind, levels)
    return [
        {"metric": name}
        | measured(oof, test, targets, fresh, folds, group, get_metric(name, kind), task, draw)
        for name in METRICS[kind]
    ]


def draw_targets(
    rng: np.random.Generator, kind: str, rows: int, groups: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Groups (N,) of equal size, and targets (N, C) whose means are the groups' own."""
    group = np.arange(rows) if groups is None else np.repeat(np.arange(groups), rows // groups)
    effect, classes = 0.0 if groups is None else 1.5, CLASSES[kind]
    means = effect * rng.normal(size=(group.max() + 1, classes))[group]
    if kind == "regression":
        return group, means + rng.normal(size=(rows, classes))
    if kind == "multilabel":
        return group, (rng.random((rows, classes)) < expit(means - 1)) + 0.0
    below = softmax(means + np.linspace(0, 0.7, classes), axis=1).cumsum(axis=1)[:, :-1]
    return group, np.eye(classes)[(rng.random((rows, 1)) >= below).sum(axis=1)]


def models(
    features: np.ndarray, targets: np.ndarray, folds: np.ndarray, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Members' oof (M, N, C) and test (M, K, N_fresh, C) predictions."""
    rng = np.random.default_rng(0)
    waves = np.cos(
        features @ rng.normal(0, 0.5, (DIMENSIONS, 100)) + rng.uniform(0, 2 * np.pi, 100)
    )
    num_rows, oof, test = len(targets), [], []
    for predict in (
        lambda seen: ridge(features, seen, targets, 1.0),
        lambda seen: ridge(features, seen, targets, 300.0),
        lambda seen: ridge(waves, seen, targets, 3.0),
        lambda seen: neighbours(features, seen, targets),
    ):
        layers = [in_form(predict(np.flatnonzero(folds != k)), kind) for k in np.unique(folds)]
        oof.append(np.stack(layers)[folds, np.arange(num_rows)])
        test.append(np.stack(layers)[:, num_rows:])
    return np.stack(oof), np.stack(test)


def ridge(features: np.ndarray, seen: np.ndarray, targets: np.ndarray, alpha: float) -> np.ndarray:
    """Linear least squares, fitted on rows seen: (N + N_fresh, C)."""
    centre, mean = features[seen].mean(axis=0), targets[seen].mean(axis=0)
    inputs = features[seen] - centre
    gram = inputs.T @ inputs + alpha * np.eye(inputs.shape[1])
    return (features - centre) @ np.linalg.solve(gram, inputs.T @ (targets[seen] - mean)) + mean


def neighbours(features: np.ndarray, seen: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The mean of the nearest rows seen: (N + N_fresh, C)."""
    lengths = (features**2).sum(axis=1)
    distances = lengths[:, None] + lengths[seen] - 2 * features @ features[seen].T
    nearest = np.argpartition(distances, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    return targets[seen][nearest].mean(axis=1)


def in_form(values: np.ndarray, kind: str) -> np.ndarray:
    """As the task's predictions are."""
    if kind == "regression":
        return values
    values = values.clip(0.01, 0.99)
    return values if kind == "multilabel" else values / values.sum(axis=1, keepdims=True)


def measured(oof, test, targets, fresh, folds, group, metric, task, draw) -> dict[str, float]:
    """What the pipeline would have promised, and what came."""
    sign = 1 if metric.greater_is_better else -1
    fitting = BlendFitting(task, metric, draw, groups=group, calibrate="temperature")

    def optimism(values: np.ndarray, layers: np.ndarray) -> float:
        came = np.mean([metric.score(fresh, layer, task) for layer in layers])
        return sign * (metric.score(targets, values, task) - came)

    fits = {blend: cross_fit(blend, oof, test, targets, folds, fitting) for blend in BLENDS}
    chosen, _ = choose_by_fold(fits, targets, folds, metric, task, groups=group)
    by_metric, _ = choose_by_fold(fits, targets, folds, metric, task, choice="metric")
    gain = gain_of_averaging(chosen.test, chosen.oof, targets, metric, task, seed=draw)
    about = (metric, task, Resampling(draw, group))
    low, high = interval_of_test_score(
        targets, chosen.scored_oof, *about, test_rows=len(fresh), gain=gain
    )
    came = metric.score(fresh, chosen.test.mean(axis=0), task)
    return {
        "members": np.mean(
            [
                optimism(
                    at_one_level(one, folds, layers, task=task, metric=metric)
                    if metric.ranks
                    else one,
                    layers,
                )
                for one, layers in zip(oof, test, strict=True)
            ]
        ),
        **{name: optimism(fit.scored_oof, fit.test) for name, fit in fits.items()},
        "choice": optimism(chosen.scored_oof, chosen.test),
        "choice by metric": optimism(by_metric.scored_oof, by_metric.test),
        "holds": low <= came <= high,
        "width": high - low,
    }


def report(found: pd.DataFrame) -> None:
    """Optimism beyond the members', in its own standard errors; coverage of the interval."""
    names = [*BLENDS, "choice", "choice by metric"]
    print(f"{'':52} draws members  " + " ".join(f"{name:>16}" for name in names) + "  holds")
    for cell, rows in found.groupby(["kind", "metric", "rows", "groups", "folds"], sort=False):
        beyond = rows[names].sub(rows["members"], axis=0)
        errors = beyond.std() / len(rows) ** 0.5
        means = beyond.mean()
        cells = " ".join(
            f"{means[name]:+.4f} ({means[name] / max(errors[name], 1e-12):+5.1f})".rjust(16)
            for name in names
        )
        kind, metric, num_rows, groups, folds = cell
        what = f"{kind} {metric}, {num_rows} rows, groups {groups}, {folds} folds"
        holds = rows["holds"].astype(str).eq("True").mean()
        print(f"{what:52} {len(rows):5d} {rows['members'].mean():+.4f}  {cells}  {holds:.0%}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    kinds = sys.argv[3:] or list(METRICS)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100, kinds)
