"""Our blend against its best member, equal soft voting, scikit-learn's stacking and AutoGluon.

    PYTHONPATH=. python tests/bench/rivals.py ANSWERS_FOLDER clothing signdigits chula elpv
        --autogluon PYTHON

Ours is what `make ensemble` left: each competition's newest submission and its members. Rivals get
the same blocks (the mean over views, side by side), rows and folds. Prints a Markdown table: the
out-of-fold estimate, the test score, and the seconds of fitting and predicting.

Stacking has the kinds of learners that our presets have; its last estimator is cross-fitted on
out-of-fold predictions, as our blends are. AutoGluon's best quality preset has the first principal
axes (--axes) and the time that ours took (--seconds for another); PYTHON is of an environment of
its own, see rivals_autogluon.py. Its estimate is of rows that its models did not see, but the
weights of its ensemble did. Neither knows several labels or levels: both get one column after the
other, and levels as numbers.

Run it on an idle machine. On a busy one AutoGluon's threads wait for each other, and each of a
model's folds is stopped wherever its share of the time ends.

ANSWERS_FOLDER/<competition>.csv is read last, for the test score alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
from scores import newest, values_of_file
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.config.schema import Learner
from pipeline.core import predictions
from pipeline.core.levels import interpolate_levels
from pipeline.learners import trees
from pipeline.members.outputs import read_member
from pipeline.project import Project, open_project

# Of features in their standard deviations; our learners' strengths are of rows of length 1.
LOGISTIC_C = 0.01
RIDGE_ALPHAS = np.logspace(2, 5, 7)
AUTOGLUON_METRICS = {"mae": "mean_absolute_error", "rmse": "root_mean_squared_error"}


@dataclass(frozen=True)
class Rival:
    """What one of them says, oof (N, C) and test (N_test, C), and the seconds that it took."""

    name: str
    oof: np.ndarray
    test: np.ndarray
    seconds: float


def main(options: argparse.Namespace) -> None:
    """Print one row per competition and rival."""
    print("| competition | metric | | out of fold | test | seconds |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in options.competitions:
        config, summary = newest(name)
        project = open_project(config, Path.cwd())
        rivals = [*ours(project, summary), stacking(project)]
        if options.autogluon and Path(options.autogluon).exists():
            seconds = options.seconds or rivals[0].seconds
            rivals.append(autogluon(project, options.autogluon, axes=options.axes, seconds=seconds))
        else:
            print(f"no AutoGluon at {options.autogluon}; it is left out", file=sys.stderr)
        truth = values_of_file(options.answers / f"{name}.csv", project.competition, project.metric)
        for rival in rivals:
            test = project.metric.score(truth, rival.test, project.task)
            print(
                f"| {name} | {project.metric.name} | {rival.name} | {project.score(rival.oof):.4f} "
                f"| {test:.4f} | {rival.seconds:.0f} |",
                flush=True,
            )


def ours(project: Project, summary: dict) -> list[Rival]:
    """The submitted blend, its best member, and the plain mean of all members."""
    members = {
        name: [said.values for said in read_member(project, name, for_submission=True)]
        for name in project.config.members
    }
    took = {name: seconds_of(project.workspace.member(name)) for name in members}
    blended = finished(project.workspace.submissions)
    blending = blended - max(finished(project.workspace.member(name)) for name in members)
    csv, best = project.workspace.root / summary["submission"], summary["best_single"]
    blend = predictions.load(csv.with_suffix(".npz")).in_order_of(project.competition.ids)
    oof, test = (np.mean([said[part] for said in members.values()], axis=0) for part in (0, 1))
    return [
        Rival(
            f"ours: {summary['estimate']['name']}",
            blend.values,
            values_of_file(csv, project.competition, project.metric),
            sum(took.values()) + blending,
        ),
        Rival(f"best member: {best}", members[best][0], members[best][1].mean(0), took[best]),
        Rival("equal soft vote", oof, test.mean(0), sum(took.values())),
    ]


def seconds_of(folder: Path) -> float:
    """How long the jobs below a folder took: from its first file to its last."""
    return sum(finished(begun.parent) - begun.stat().st_mtime for begun in folder.rglob(".begun"))


def finished(folder: Path) -> float:
    """When an artifact was complete."""
    return (folder / "meta.json").stat().st_mtime


def side_by_side(project: Project) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of all learners, the mean over views, concatenated: (N, D) and (N_test, D)."""
    blocks: dict[str, np.ndarray] = {}
    for name, member in project.config.members.items():
        if isinstance(member, Learner):
            blocks |= project.blocks(name)
    features = np.concatenate([block.mean(axis=1) for block in blocks.values()], axis=1)
    return features[: project.num_train], features[project.num_train :]


def columns_of(project: Project) -> tuple[list[np.ndarray], bool]:
    """What is to be learnt, each (N,), and whether it is numbers and not classes."""
    targets, kind = project.competition.targets, project.config.task.kind
    if kind == "ordinal":
        return [targets @ project.competition.levels], True
    if kind in ("multilabel", "regression"):
        return list(targets.T), kind == "regression"
    return [targets.argmax(axis=1)], False


def values_of_columns(project: Project, columns: list[np.ndarray]) -> np.ndarray:
    """What is said of each of `columns_of`, (N,) or (N, classes), as the task's (N, C)."""
    kind = project.config.task.kind
    if kind == "ordinal":
        return interpolate_levels(columns[0], project.competition.levels)
    if kind == "regression":
        return np.stack(columns, axis=1)
    return np.stack([said[:, 1] for said in columns], 1) if kind == "multilabel" else columns[0]


def stacking(project: Project) -> Rival:
    """Scikit-learn's, with each fold's learners predicting it for the last estimator."""
    started = time.monotonic()
    train, test = side_by_side(project)
    folds = project.folds.folds
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in np.unique(folds)]
    columns, numbers = columns_of(project)
    said = [stack_column(train, y, test, splits, numbers=numbers) for y in columns]
    oof, of_test = (values_of_columns(project, list(part)) for part in zip(*said, strict=True))
    return Rival("scikit-learn's stacking", oof, of_test, time.monotonic() - started)


def stack_column(
    train: np.ndarray, y: np.ndarray, test: np.ndarray, splits: list, *, numbers: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold and test predictions of one column, (N,) or (N, classes)."""
    parameters = trees.DEFAULTS | {"n_jobs": 1, "random_state": 0}
    few = PCA(trees.AXES, svd_solver="randomized", random_state=0)
    if numbers:
        learners = [RidgeCV(RIDGE_ALPHAS), make_pipeline(few, lightgbm.LGBMRegressor(**parameters))]
        stack, last = StackingRegressor, RidgeCV()
    else:
        logistic = LogisticRegression(C=LOGISTIC_C, max_iter=1000)
        forest = make_pipeline(few, lightgbm.LGBMClassifier(**parameters))
        learners = [logistic, RidgeClassifierCV(RIDGE_ALPHAS), forest]
        stack, last = StackingClassifier, LogisticRegression(max_iter=1000)
    method = "predict" if numbers else "predict_proba"
    named = [
        (str(n), make_pipeline(StandardScaler(), learner)) for n, learner in enumerate(learners)
    ]
    try:
        fitted = stack(named, remembering(last), cv=splits).fit(train, y)
    except ValueError:  # a label too rare to be in each fold's training rows
        share = np.array([1 - y.mean(), y.mean()])
        return np.tile(share, (len(train), 1)), np.tile(share, (len(test), 1))
    seen = fitted.final_estimator_.seen_
    return cross_val_predict(clone(last), seen, y, cv=splits, method=method), getattr(
        fitted, method
    )(test)


def remembering(last: LogisticRegression | RidgeCV) -> LogisticRegression | RidgeCV:
    """The same estimator, which keeps the out-of-fold predictions that it is fitted on."""

    class Remembering(type(last)):
        def fit(self, X, y, sample_weight=None):
            self.seen_ = X
            return super().fit(X, y, sample_weight)

    return Remembering(**last.get_params())


def autogluon(project: Project, python: str, *, axes: int, seconds: float) -> Rival:
    """AutoGluon's best quality preset, in its own process and environment."""
    started = time.monotonic()
    train, test = side_by_side(project)
    rotate = make_pipeline(StandardScaler(), PCA(min(axes, *train.shape), random_state=0))
    rotated = rotate.fit_transform(train)
    columns, numbers = columns_of(project)
    several, metric = project.config.task.kind == "multiclass", project.metric.name
    task = {
        "problem": "regression" if numbers else "multiclass" if several else "binary",
        "metric": AUTOGLUON_METRICS.get(metric, metric),
        "seconds": seconds - (time.monotonic() - started),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = {"train": rotated, "test": rotate.transform(test), "folds": project.folds.folds}
        np.savez(folder / "rows.npz", targets=np.stack(columns, axis=1), **rows)
        (folder / "task.json").write_text(json.dumps(task))
        script = Path(__file__).with_name("rivals_autogluon.py")
        subprocess.run([python, script, folder], check=True, stdout=sys.stderr)
        said = [np.load(folder / f"said_{n}.npz") for n in range(len(columns))]
        oof, of_test = (
            values_of_columns(project, [one[part] for one in said]) for part in ("oof", "test")
        )
    return Rival(f"AutoGluon in {seconds:.0f}s", oof, of_test, time.monotonic() - started)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("answers", type=Path)
    parser.add_argument("competitions", nargs="+")
    parser.add_argument("--autogluon", metavar="PYTHON")
    parser.add_argument("--seconds", type=float, help="of AutoGluon; default: what ours took")
    parser.add_argument("--axes", type=int, default=256, help="principal axes that AutoGluon sees")
    main(parser.parse_args())
