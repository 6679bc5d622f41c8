"""Shift: does the interval hold the score of test rows that differ from training rows?

    PYTHONPATH=. python tests/bench/shift_coverage.py signdigits clusters shift.csv [SPLITS]

Needs the competition's blocks (make features CONFIG=signdigits); its test set and answers are not
touched. `elpv:regression` reads ordinal targets as numbers. Each split holds training rows out as a
hidden test set, as the setting says; on the rest it makes folds, fits three cheap learners per
fold, blends them by a soft vote and predicts the test rows by the mean of the K models. Then: what
the out-of-fold score and its interval promise, what is estimated without labels, what came.

Settings:
    random: a quarter of the rows, groups whole. No shift: how often is one seen?
    clusters: whole k-means clusters of the frozen features, about 30% of the rows.
    sites: of each class, the quarter that lies furthest along a random direction of the features.
    torn: a quarter, groups whole, but folds tear groups (competitions with groups).
    copies: a quarter; half of the other rows have near copies that folds tear.
    noise, scaled: a quarter, with noise on features, or drawn towards a point off the middle.
    priors: rows of some classes more often than of others.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from coverage import LEARNERS, reduced_blocks
from sklearn.cluster import KMeans

from pipeline.config.load import load_config
from pipeline.config.schema import Learner
from pipeline.core.runtime import stream, stream_seed
from pipeline.core.task import Task
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.estimates.evidence import Evidence
from pipeline.estimates.interval import interval_of_test_score
from pipeline.estimates.label_free import judge_test_rows
from pipeline.estimates.resampling import Resampling
from pipeline.learners.fit import fit_learner
from pipeline.metrics.find_metric import get_metric
from pipeline.project import Project, open_project
from pipeline.splitting.group_folds import merge_groups
from pipeline.splitting.schemes import assign_folds

HELD_OUT = 0.25
METRICS = {
    "multiclass": ["accuracy", "log_loss", "f1_macro"],
    "multilabel": ["average_precision", "log_loss", "roc_auc"],
    "ordinal": ["rmse", "accuracy", "log_loss", "quadratic_weighted_kappa"],
    "regression": ["rmse", "mae"],
}


@dataclass(frozen=True)
class Rows:
    """Rows of a split: blocks (each (N, 1, D)), targets (N, C), groups (N,) or None."""

    blocks: list[np.ndarray]
    targets: np.ndarray
    groups: np.ndarray | None

    def take(self, rows: np.ndarray) -> "Rows":
        """The rows at these positions."""
        groups = None if self.groups is None else self.groups[rows]
        return Rows([block[rows] for block in self.blocks], self.targets[rows], groups)

    def replace(self, **changes) -> "Rows":
        """The same rows with other blocks or groups."""
        return Rows(**{**vars(self), **changes})


def main(name: str, setting: str, path: Path, splits: int) -> None:
    """Add what splits are missing, then print the table."""
    name, _, kind = name.partition(":")
    project = open_project(load_config(name), Path.cwd())
    rows, levels = all_rows(project, kind)
    kind = kind or project.config.task.kind
    done = set(pd.read_csv(path)["split"]) if path.exists() else set()
    for split in sorted(set(range(splits)) - done):
        found = one_split(project, rows, split, setting=setting, kind=kind, levels=levels)
        fresh = not path.exists()
        with open(path, "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(found[0]))
            if fresh:
                writer.writeheader()
            writer.writerows(found)
    report(pd.read_csv(path), f"{name} {setting}")


def all_rows(project: Project, kind: str) -> tuple[Rows, np.ndarray | None]:
    """The training rows, and the levels of an ordinal target that is not read as a number."""
    targets, levels = project.competition.targets, project.competition.levels
    if kind == "regression" and levels is not None:
        targets, levels = (targets @ levels)[:, None], None
    return Rows(reduced_blocks(project), targets, merge_groups(project.folds.groups)), levels


def parted(rows: Rows, setting: str, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Training rows and test rows as the setting says."""
    spread = [block.std() for block in rows.blocks]
    held_out = held_out_rows(rows, setting, rng)
    train, test = rows.take(~held_out), rows.take(held_out)
    if setting == "torn":
        train = train.replace(groups=None)
    if setting == "copies":
        copied = np.repeat(np.flatnonzero(rng.random(len(train.targets)) < 0.5), 3)
        distance = rng.uniform(0.1, 0.5)
        near = [
            (block[copied] + distance * s * rng.normal(size=block[copied].shape)).astype("f4")
            for block, s in zip(train.blocks, spread, strict=True)
        ]
        both = [np.concatenate(pair) for pair in zip(train.blocks, near, strict=True)]
        train = Rows(both, np.concatenate([train.targets, train.targets[copied]]), None)
    if setting == "noise":
        strength = rng.uniform(0.2, 2.0)
        noisy = [
            (block + strength * s * rng.normal(size=block.shape)).astype("f4")
            for block, s in zip(test.blocks, spread, strict=True)
        ]
        test = test.replace(blocks=noisy)
    if setting == "scaled":
        share = rng.uniform(0.3, 0.9)
        points = [rng.normal(size=b.shape[-1]) * b.std(axis=(0, 1)) for b in rows.blocks]
        moved = [
            (share * block + (1 - share) * point).astype("f4")
            for block, point in zip(test.blocks, points, strict=True)
        ]
        test = test.replace(blocks=moved)
    return train, test


def held_out_rows(rows: Rows, setting: str, rng: np.random.Generator) -> np.ndarray:
    """Which rows (N,) are hidden."""
    targets, num_rows = rows.targets, len(rows.targets)
    seed = int(rng.integers(2**31))
    features = np.concatenate([block[:, 0, :32] / block.std() for block in rows.blocks], axis=1)
    if setting == "clusters":
        number = int(rng.integers(6, 15))
        cluster = KMeans(number, n_init=1, random_state=seed).fit_predict(features)
        order = rng.permutation(number)
        size = np.cumsum(np.bincount(cluster, minlength=number)[order])
        return np.isin(cluster, order[: max(1, np.searchsorted(size, 0.3 * num_rows))])
    if setting == "sites":
        label = (
            targets.argmax(axis=1) if targets.shape[1] > 1 else np.digitize(targets[:, 0], [0.5])
        )
        held_out = np.zeros(num_rows, dtype=bool)
        place = features @ rng.normal(size=features.shape[1])
        for one in np.unique(label):
            of_class = label == one
            held_out[of_class] = place[of_class] > np.quantile(place[of_class], 1 - HELD_OUT)
        return held_out
    if setting == "priors":
        if targets.shape[1] > 1:
            chance = targets @ (rng.dirichlet(np.ones(targets.shape[1])) + 1e-4)
        else:
            chance = np.exp(targets[:, 0] * rng.choice([-2, 2]) / targets.std())
        number = int(0.15 * num_rows)
        chance = (chance + 1e-9) / (chance + 1e-9).sum()
        return np.isin(np.arange(num_rows), rng.choice(num_rows, number, False, chance))
    groups = rows.groups
    order = rng.permutation(groups.max() + 1)
    size = np.cumsum(np.bincount(groups)[order])
    return np.isin(groups, order[size <= HELD_OUT * num_rows])


def one_split(
    project: Project, rows: Rows, split: int, *, setting: str, kind: str, levels: np.ndarray | None
) -> list[dict]:
    """A CSV row per metric."""
    train, test = parted(rows, setting, stream(split, setting))
    folds = assign_folds(
        project.config.folds, train.targets, task=Task(kind), seed=split, groups=train.groups
    ).folds
    oof, layers = predictions(train, test, folds, split, kind=kind, levels=levels)
    pairs = zip(train.blocks, test.blocks, strict=True)
    evidence = {
        "members_oof": oof,
        "members_test": layers,
        "features": np.concatenate([np.concatenate(pair) for pair in pairs], axis=2),
        "groups": train.groups,
    }
    found = []
    for name in METRICS[kind]:
        metric, task = get_metric(name, kind), Task(kind, levels)
        fitting = BlendFitting(task, metric, split, calibrate=project.config.calibrate)
        blend = cross_fit("soft_vote", oof, layers, train.targets, folds, fitting)
        gain = gain_of_averaging(blend.test, blend.oof, train.targets, metric, task, seed=split)
        about = (metric, task, Resampling(split, train.groups))
        ends = [
            interval_of_test_score(
                train.targets, blend.oof, *about, test_rows=len(test.targets), gain=g
            )
            for g in (gain, 0.0)
        ]
        judged = judge_test_rows(
            Evidence(blend.oof, train.targets, blend.test, folds, metric, task, **evidence),
            gain=gain,
            seed=split,
        )
        found.append(
            {
                "split": split,
                "metric": name,
                "oof": metric.score(train.targets, blend.oof, task),
                "gain": gain,
                "gain_left": judged.gain,
                "low_oof": ends[0][0],
                "high_oof": ends[0][1],
                "low_no_gain": ends[1][0],
                "high_no_gain": ends[1][1],
                "differs": judged.differs,
                "expected": judged.expected,
                "low": judged.low,
                "high": judged.high,
                "one_model": np.mean(
                    [metric.score(test.targets, layer, task) for layer in blend.test]
                ),
                "hidden": metric.score(test.targets, blend.test.mean(0), task),
                **{f"p of {signal.name}": signal.p_value for signal in judged.signals},
                **{
                    way: judged.by_way.get(way, np.nan)
                    for way in (
                        "difference of confidences",
                        "average thresholded confidence",
                        "residuals by disagreement",
                        "agreement of members",
                        "importance weights",
                    )
                },
            }
        )
    return found


def predictions(
    train: Rows, test: Rows, folds: np.ndarray, split: int, *, kind: str, levels: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Members' oof (M, N, C) and test (M, K, N_test, C) predictions."""
    num_folds, columns = int(folds.max()) + 1, train.targets.shape[1]
    oof = np.empty((len(LEARNERS), len(folds), columns))
    layers = np.empty((len(LEARNERS), num_folds, len(test.targets), columns))
    for m, (name, settings) in enumerate(LEARNERS.items()):
        block, of_test = (part.blocks[m % len(part.blocks)] for part in (train, test))
        if kind == "regression" and settings["learner"] == "logistic":
            settings = {"learner": "ridge", "strength": [30.0]}
        for fold in range(num_folds):
            rows = folds != fold
            fitted = fit_learner(
                Learner(blocks={"b": 1.0}, transform="none", **settings),
                {"b": block[rows]},
                train.targets[rows],
                Task(kind, levels),
                groups=None if train.groups is None else train.groups[rows],
                seed=stream_seed(split, name, fold),
            )
            oof[m, ~rows] = fitted.predict({"b": block[~rows]})
            layers[m, fold] = fitted.predict({"b": of_test})
    return oof, layers


def report(found: pd.DataFrame, title: str) -> None:
    """Coverage, widths and errors: by out-of-fold scores alone, and with test rows looked at."""
    for name, rows in found.groupby("metric", sort=False):
        truth, differs = rows["hidden"], rows["differs"].astype(bool)
        oof = rows["oof"] + rows["gain"]
        left = rows["gain_left"]
        both = {
            "low": rows["low"].where(differs, rows["low_no_gain"] + left),
            "high": rows["high"].where(differs, rows["high_no_gain"] + left),
        }
        expected = rows["expected"].where(differs, rows["oof"] + left)
        print(
            f"{title} {name}, {len(rows)} splits; said to differ {differs.mean():.0%}; "
            f"out of fold {rows['oof'].mean():.4f}, hidden {truth.mean():.4f}"
        )
        for what, score, low, high in (
            ("out of fold and gain", oof, rows["low_oof"], rows["high_oof"]),
            ("test rows looked at", expected, both["low"], both["high"]),
            ("  label-free always", rows["expected"], rows["low"], rows["high"]),
        ):
            print(
                f"  {what:24} holds {np.mean((truth >= low) & (truth <= high)):.1%}, width "
                f"{(high - low).mean():.4f}; bias {(score - truth).mean():+.4f}, error "
                f"{(score - truth).abs().mean():.4f}"
            )
        ways = rows.columns[rows.columns.get_loc("hidden") + 1 :]
        print("  error of " + ", ".join(
            f"{way} {(rows[way] - rows['one_model']).abs().mean():.4f} "
            f"({(rows[way] - rows['one_model']).mean():+.4f})"
            for way in ways if not way.startswith("p of") and rows[way].notna().any()
        ))  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:3], Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 100)
