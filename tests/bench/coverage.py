"""Coverage: how often does the 90% interval hold the score of rows that were held out?

And which rule of choosing among blends does best on them: regret is how much worse a rule scores on
them than the best blend, which nobody knows beforehand.

    PYTHONPATH=. python tests/bench/coverage.py clothing coverage.csv [SPLITS]

Needs the competition's blocks (make features CONFIG=clothing); its test set and answers are not
touched. Each split holds a random quarter of the training rows out (groups whole) as a private test
set; on the rest it makes folds, fits three cheap learners per fold, cross-fits the config's blends,
chooses among them, and predicts the quarter by the mean of the K models: all with the pipeline's
own functions. Blocks are reduced to their first principal axes once, without labels, so that a
split takes about two seconds. Rows of the CSV that are there are not computed again.
"""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.load import load_config
from pipeline.config.schema import Learner
from pipeline.core.runtime import stream, stream_seed
from pipeline.core.task import Task
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.choice import best_blend, choose_by_fold
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.estimates.averaging_gain import gain_of_averaging
from pipeline.estimates.interval import interval_of_score, interval_of_test_score
from pipeline.estimates.resampling import Resampling
from pipeline.learners.fit import fit_learner
from pipeline.metrics.find_metric import get_metric
from pipeline.project import Project, open_project
from pipeline.splitting.group_folds import merge_groups
from pipeline.splitting.schemes import assign_folds
from pipeline.workflow.plan import Plan

HELD_OUT = 0.25
KIND_OF = {"rmse": "regression"} | dict.fromkeys(
    ("accuracy", "log_loss", "average_precision"), "multiclass"
)
AXES = 64
LEARNERS = {  # on one block each, so that they err apart
    "logistic": {"learner": "logistic", "strength": [0.03]},
    "ridge": {"learner": "ridge", "strength": [1.0]},
    "knn": {"learner": "knn"},
}
METRICS = {  # others: accuracy and log loss
    **{"ordinal": ["rmse"], "regression": ["rmse"]},
    "multilabel": ["average_precision", "log_loss"],
}


def main(name: str, path: Path, splits: int) -> None:
    """Add what splits are missing, then print the table."""
    project = open_project(load_config(name), Path.cwd())
    blocks = reduced_blocks(project)
    done = set(pd.read_csv(path)["split"]) if path.exists() else set()
    for split in sorted(set(range(splits)) - done):
        rows = one_split(project, blocks, split)
        fresh = not path.exists()
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if fresh:
                writer.writeheader()
            writer.writerows(rows)
        print(f"split {split:3d} " + " ".join(
            f"{row['metric']} {row['estimate']:.4f} held out {row['held_out']:.4f}" for row in rows
        ), file=sys.stderr)  # fmt: skip
    report(pd.read_csv(path))


def reduced_blocks(project: Project) -> list[np.ndarray]:
    """Blocks (N, 1, AXES) of the training rows: mean of views, rooted, principal axes."""
    found = []
    for name in list(project.config.backbones)[: len(LEARNERS)]:
        job = Plan(project).block(name)
        block = np.load(job.folder / "features.npy", mmap_mode="r")
        features = block[: project.num_train].astype(np.float64).mean(axis=1)
        features = np.sign(features) * np.sqrt(np.abs(features))
        left, lengths, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
        found.append((left[:, :AXES] * lengths[:AXES])[:, None].astype(np.float32))
    return found


def one_split(project: Project, blocks: list[np.ndarray], split: int) -> list[dict]:
    """A CSV row per metric."""
    kind, targets = project.config.task.kind, project.competition.targets
    groups = merge_groups(project.folds.groups)
    order = stream(split, "held out").permutation(groups.max() + 1)
    size = np.cumsum(np.bincount(groups)[order])
    held_out = np.isin(groups, order[size <= HELD_OUT * len(groups)])
    kept, groups = ~held_out, groups[~held_out]
    folds = assign_folds(
        project.config.folds, targets[kept], task=Task(kind), seed=split, groups=groups
    ).folds
    oof, test = predictions(project, blocks, kept, folds, groups, split)
    names = METRICS.get(kind, ["accuracy", "log_loss"])
    return [
        {"split": split, "metric": name}
        | measured(project, name, oof, test, targets[kept], targets[held_out], folds, groups, split)
        for name in names
    ]


def predictions(project, blocks, kept, folds, groups, split) -> tuple[np.ndarray, np.ndarray]:
    """Members' oof (M, N, C) and held-out (M, K, N_out, C) predictions."""
    targets, levels = project.competition.targets[kept], project.competition.levels
    kind, num_folds = project.config.task.kind, int(folds.max()) + 1
    oof = np.empty((len(LEARNERS), *targets.shape))
    test = np.empty((len(LEARNERS), num_folds, np.sum(~kept), targets.shape[1]))
    for m, (name, settings) in enumerate(LEARNERS.items()):
        block = blocks[m % len(blocks)]
        learner = Learner(blocks={"b": 1.0}, transform="none", **settings)
        for fold in range(num_folds):
            rows = folds != fold
            fitted = fit_learner(
                learner,
                {"b": block[kept][rows]},
                targets[rows],
                Task(kind, levels),
                groups=groups[rows],
                seed=stream_seed(split, name, fold),
            )
            oof[m, ~rows] = fitted.predict({"b": block[kept][~rows]})
            test[m, fold] = fitted.predict({"b": block[~kept]})
    return oof, test


def measured(project, name, oof, test, targets, answers, folds, groups, split) -> dict[str, float]:
    """What the pipeline would have promised, and what came."""
    config, metric = project.config, get_metric(name, project.config.task.kind)
    task, blends = Task(config.task.kind, project.competition.levels), {}
    fitting = BlendFitting(
        task, metric, split, groups=groups, calibrate=config.calibrate, decisions=True
    )
    for blend in config.blends:
        blends[blend] = cross_fit(blend, oof, test, targets, folds, fitting)
    chosen, by_metric = (
        choose_by_fold(blends, targets, folds, metric, task, choice=choice, groups=groups)[0]
        for choice in ("loss", "metric")
    )
    rules = {**blends, "choice: loss": chosen, "choice: metric": by_metric}
    careless = replace(fitting, groups=None, cautious=False)
    naive = [
        metric.score(
            targets,
            fit_blend(b, oof, targets, folds, careless).apply(oof),
            task,
        )
        for b in config.blends
    ]
    best = blends[best_blend(blends, targets, metric, task)]
    gain = gain_of_averaging(chosen.test, chosen.oof, targets, metric, task, seed=split)
    draws = Resampling(split, groups)
    plain, by_class = (
        interval_of_test_score(
            *(targets, chosen.scored_oof, metric, task, drawn),
            test_rows=len(answers),
            gain=gain,
        )
        for drawn in (draws, replace(draws, stratified=True))
    )
    own = interval_of_score(targets, chosen.scored_oof, metric, task, draws)
    ends = ("low", "high", "low_by_class", "high_by_class", "own_low", "own_high")
    return {
        "estimate": metric.score(targets, chosen.scored_oof, task),
        "gain": gain,
        **dict(zip(ends, (*plain, *by_class, *own), strict=True)),
        "best_of": metric.score(targets, best.scored_oof, task),
        "naive": max(naive) if metric.greater_is_better else min(naive),
        "one_model": np.mean([metric.score(answers, layer, task) for layer in chosen.test]),
        "held_out": metric.score(answers, chosen.test.mean(0), task),
        **{
            f"held out, {rule}": metric.score(answers, fit.submitted_test.mean(0), task)
            for rule, fit in rules.items()
        },
    }


def report(found: pd.DataFrame) -> None:
    """Coverage and biases: the estimate less what came, and the standard error."""
    for name, rows in found.groupby("metric", sort=False):
        truth, gain = rows["held_out"], rows["gain"]
        print(f"{name}, {len(rows)} splits; held out {truth.mean():.4f}")
        for what, low, high in (
            ("the interval, as it is", rows["low"], rows["high"]),
            ("  test_split: stratified", rows["low_by_class"], rows["high_by_class"]),
            ("  without the gain of averaging", rows["low"] - gain, rows["high"] - gain),
            ("of the out-of-fold score alone", rows["own_low"], rows["own_high"]),
        ):
            above, below = np.mean(truth > high), np.mean(truth < low)
            print(
                f"  {what:36} holds {1 - above - below:.1%} ({above:.1%} above it, {below:.1%} "
                f"below), mean width {(high - low).mean():.4f}"
            )
        for what, estimates in (
            ("nested estimate", rows["estimate"]),
            ("  and the gain of averaging", rows["estimate"] + gain),
            ("best of blends, choice not counted", rows["best_of"]),
            ("naive: fitted and scored on one", rows["naive"]),
        ):
            bias = estimates - truth
            print(f"  {what:36} bias {bias.mean():+.4f} ± {bias.std() / len(bias) ** 0.5:.4f}")
        of_rules = rows.filter(like="held out, ")
        of_rules = of_rules.rename(columns=lambda name: name.removeprefix("held out, "))
        best = of_rules.drop(columns=["choice: loss", "choice: metric"])
        greater = get_metric(name, KIND_OF[name]).greater_is_better
        best = best.max(axis=1) if greater else best.min(axis=1)
        regrets = (of_rules.rsub(best, axis=0) * (1 if greater else -1)).mean().sort_values()
        print("  regret: " + ", ".join(f"{rule} {value:.4f}" for rule, value in regrets.items()))
        print(
            f"  averaging K models gained {np.mean(truth - rows['one_model']):+.4f}, "
            f"foretold {gain.mean():+.4f}"
        )


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 200)
