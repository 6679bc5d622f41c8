"""Shuffled targets: on targets unrelated to the images, no member and no blend may beat chance.

Scores are compared with those of the same predictions shuffled over the rows.
"""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from sklearn.linear_model import Ridge

from pipeline.config.learners import BUILT_IN as LEARNERS
from pipeline.config.load import load_config
from pipeline.config.members import STACKED
from pipeline.config.schema import (
    BLENDS_OF_PROBABILITIES,
    DEFAULT_METRICS,
    BlendKind,
    Kind,
    Learner,
)
from pipeline.core import predictions
from pipeline.core.numerics import clipped_log, clipped_logit
from pipeline.core.task import Task
from pipeline.ensembles import cross_fit as cross_fitting
from pipeline.ensembles.blends import Blend, fit_blend
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.learners.fit import fit_learner
from pipeline.members.fold_data import fold_data
from pipeline.members.outputs import read_member
from pipeline.members.stacking_features import nested_predictions
from pipeline.metrics.find_metric import get_metric
from pipeline.project import open_project
from pipeline.workflow import make

pytestmark = pytest.mark.slow
NUM_ROWS, NUM_FOLDS = 600, 3
FOLDS = np.arange(NUM_ROWS) % NUM_FOLDS
LEVELS = np.array([0.0, 1.0, 3.0])
METRICS = {**DEFAULT_METRICS, "binary": "f1"}
# Decisions hide what leaks below them; these do not.
SMOOTH = {
    **{"multiclass": "log_loss", "binary": "roc_auc", "multilabel": "average_precision"},
    **{"ordinal": "rmse", "regression": "rmse"},
}
NUM_SHUFFLES = 200
MAX_DEVIATIONS = 4.0
NUM_NOISE = 60  # members
QUICK = {
    "lightgbm": {"num_iterations": 30},
    "extra_trees": {"n_estimators": 40},
    "mlp": {"hidden": 64, "epochs": 40, "batch": 32, "dropout": 0.0},
}
ONLY_CLASSES = [name for name, entry in LEARNERS.items() if entry.only_classes]
CHOOSES_NOTHING = [name for name, entry in LEARNERS.items() if not entry.chooses]


def task_of(kind: Kind) -> Task:
    return Task(kind, LEVELS if kind == "ordinal" else None)


def fitting_of(kind: Kind, **changes) -> BlendFitting:
    return BlendFitting(task_of(kind), get_metric(METRICS[kind], kind), 0, **changes)


def gains(values: np.ndarray, targets: np.ndarray, kind: Kind) -> np.ndarray:
    """By how many standard deviations of chance predictions (N, C) are better, per metric."""
    rng = np.random.default_rng(0)
    shuffles = [rng.permutation(len(values)) for _ in range(NUM_SHUFFLES)]
    shuffles.insert(0, np.arange(len(values)))
    found = []
    for metric in (get_metric(names[kind], kind) for names in (METRICS, SMOOTH)):
        scores = np.array([metric.score(targets, values[rows], task_of(kind)) for rows in shuffles])
        gain = (scores[0] - scores[1:].mean()) * (1 if metric.greater_is_better else -1)
        found.append(gain / max(scores[1:].std(), 1e-12))
    return np.array(found)


def assert_at_chance(values: np.ndarray, targets: np.ndarray, kind: Kind) -> None:
    assert (np.abs(gains(values, targets, kind)) < MAX_DEVIATIONS).all()


@cache
def shuffled_targets(kind: Kind) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features, and targets (N, C) that know nothing of them."""
    rng = np.random.default_rng(7)
    blocks = {"b": rng.normal(size=(NUM_ROWS, 1, 40)).astype(np.float32)}
    if kind == "regression":
        return blocks, rng.normal(size=(NUM_ROWS, 1))
    if kind == "multilabel":
        return blocks, (rng.random((NUM_ROWS, 3)) < 0.4).astype(float)
    columns = 2 if kind == "binary" else 3
    return blocks, np.eye(columns)[rng.permutation(NUM_ROWS) % columns]


def skip_if_missing(learner: str) -> None:
    if not LEARNERS[learner].is_installed:
        pytest.skip(f"{learner} is not installed")


@cache
def oof_of(learner: str, kind: Kind, *, leaky: bool = False) -> np.ndarray:
    """Out-of-fold predictions (N, C) of a learner; leaky: it learns from all rows."""
    skip_if_missing(learner)
    blocks, targets = shuffled_targets(kind)
    settings = Learner(learner=learner, blocks={"b": 1.0}, params=QUICK.get(learner, {}), seed=1)
    oof = np.empty(targets.shape)
    for fold in range(NUM_FOLDS):
        held_out = fold == FOLDS
        rows = np.full(NUM_ROWS, True) if leaky else ~held_out
        fitted = fit_learner(
            settings, {"b": blocks["b"][rows]}, targets[rows], task_of(kind), seed=1
        )
        oof[held_out] = fitted.predict({"b": blocks["b"][held_out]})
    return oof


@cache
def members_of(kind: Kind) -> np.ndarray:
    """All learners' predictions, and noise that a blend must not learn by heart: (M, N, C)."""
    _, targets = shuffled_targets(kind)
    rng = np.random.default_rng(11)
    noise = rng.normal(size=(NUM_NOISE, *targets.shape))
    if kind != "regression":
        noise = np.exp(noise) / np.exp(noise).sum(axis=-1, keepdims=True)
    # Without optional learners, a blend's members are the same wherever the test runs.
    names = [name for name in learners_of(kind) if not LEARNERS[name].package]
    return np.concatenate([[oof_of(name, kind) for name in names], noise])


def learners_of(kind: Kind) -> list[str]:
    return [name for name in LEARNERS if kind != "regression" or name not in ONLY_CLASSES]


@pytest.mark.parametrize("kind", ["multiclass", "regression", "ordinal", "multilabel"])
@pytest.mark.parametrize("learner", LEARNERS)
def test_learners_are_at_chance(learner: str, kind: Kind) -> None:
    if learner not in learners_of(kind):
        pytest.skip("predicts classes only")
    _, targets = shuffled_targets(kind)
    assert_at_chance(oof_of(learner, kind), targets, kind)


@pytest.mark.parametrize("kind", ["multiclass", "regression", "ordinal", "binary"])
@pytest.mark.parametrize("blend", get_args(BlendKind))
def test_blends_are_at_chance(blend: BlendKind, kind: Kind) -> None:
    """Binary (F1) and ordinal (kappa) with fitted decisions."""
    if kind == "regression" and blend in BLENDS_OF_PROBABILITIES:
        pytest.skip("for probabilities")
    _, targets = shuffled_targets(kind)
    oof = members_of(kind)
    test = oof[:, None, :2].repeat(NUM_FOLDS, axis=1)
    fitting = fitting_of(kind, decisions=True)
    crossed = cross_fit(blend, oof, test, targets, FOLDS, fitting)
    assert_at_chance(crossed.oof, targets, kind)


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_test_fails_where_a_learner_saw_the_rows(learner: str) -> None:
    _, targets = shuffled_targets("multiclass")
    oof = oof_of(learner, "multiclass", leaky=True)
    assert (gains(oof, targets, "multiclass") > MAX_DEVIATIONS).all()


def stacked_oof(learner: str, kind: Kind, *, leaky: bool = False) -> np.ndarray:
    """Of a learner that sees a ridge beside features; leaky: its out-of-fold predictions."""
    skip_if_missing(learner)
    blocks, targets = shuffled_targets(kind)
    ridge = Learner(learner="ridge", blocks={"b": 1.0}, strength=0.001)
    params = QUICK.get(learner, {}) | ({"epochs": 150} if learner == "mlp" else {})
    settings = Learner(learner=learner, blocks={"b": 1.0}, stacks=["ridge"], params=params)

    def refit(fitted_on: np.ndarray, asked: np.ndarray) -> np.ndarray:
        fitted = fit_learner(
            ridge, {"b": blocks["b"][fitted_on]}, targets[fitted_on], task_of(kind), seed=1
        )
        return fitted.predict({"b": blocks["b"][asked]})

    oof, ridge_oof = np.empty(targets.shape), np.empty(targets.shape)
    for fold in range(NUM_FOLDS):
        held_out = fold == FOLDS
        ridge_oof[held_out] = refit(np.flatnonzero(~held_out), np.flatnonzero(held_out))
    for fold in range(NUM_FOLDS):
        held_out = fold == FOLDS
        said = ridge_oof if leaky else nested_predictions(FOLDS, fold, refit)
        said = np.where(held_out[:, None], ridge_oof, said)
        if kind != "regression":
            said = clipped_logit(said) if kind == "multilabel" else clipped_log(said)
        seen = blocks | {STACKED: said[:, None]}
        rows = {name: block[~held_out] for name, block in seen.items()}
        fitted = fit_learner(settings, rows, targets[~held_out], task_of(kind), seed=1)
        oof[held_out] = fitted.predict({name: block[held_out] for name, block in seen.items()})
    return oof


@pytest.mark.parametrize("kind", ["multiclass", "regression", "ordinal", "multilabel"])
@pytest.mark.parametrize("learner", CHOOSES_NOTHING)
def test_learners_that_stack_are_at_chance(learner: str, kind: Kind) -> None:
    assert_at_chance(stacked_oof(learner, kind), shuffled_targets(kind)[1], kind)


@pytest.mark.parametrize("kind", ["multiclass", "regression", "multilabel"])
def test_the_test_fails_where_a_learner_stacks_out_of_fold_predictions(kind: Kind) -> None:
    oof = stacked_oof("mlp", kind, leaky=True)
    assert (gains(oof, shuffled_targets(kind)[1], kind) > MAX_DEVIATIONS).all()


@pytest.mark.parametrize(
    ("blend", "kind"),
    [
        ("weighted", "multiclass"),
        ("class_weighted", "ordinal"),
        ("stack", "binary"),
        ("stack_lightgbm", "regression"),
    ],
)
def test_the_test_fails_where_a_blend_was_fitted_on_all_rows(
    monkeypatch: pytest.MonkeyPatch, blend: BlendKind, kind: Kind
) -> None:
    _, targets = shuffled_targets(kind)
    oof = members_of(kind)

    def on_all_rows(blend: BlendKind, *given: object) -> Blend:
        fitting = replace(given[-1], groups=None, cautious=False)
        return fit_blend(blend, oof, targets, FOLDS, fitting)

    monkeypatch.setattr(cross_fitting, "fit_blend", on_all_rows)
    test = oof[:, None, :2].repeat(NUM_FOLDS, axis=1)
    crossed = cross_fit(blend, oof, test, targets, FOLDS, fitting_of(kind))
    assert gains(crossed.oof, targets, kind)[1] > MAX_DEVIATIONS


# In a chain of files: networks, and who learns from whom. They learn by heart what they can.
SMALL = {"arch": "test_efficientnet", "weights": "random", "image_size": 32}
NETWORK = {
    "network": "small",
    "epochs": 3,
    "batch_size": 16,
    "lr": 0.003,
    "backbone_lr": 1.0,
    "augment": "none",
}
RIDGE = {"learner": "ridge", "blocks": {"small": 1.0}, "strength": 0.1}
TAUGHT = {
    "student_of_member": RIDGE | {"pseudo": {"teacher": "ridge", "threshold": 0.0}},
    "student_of_blend": RIDGE | {"pseudo": {"teacher": "stack", "threshold": 0.0}},
    "net_student": NETWORK | {"pseudo": {"teacher": "ridge", "labels": "soft"}},
    "distilled": NETWORK | {"distill": {"teacher": "ridge", "weight": 0.9}},
    "distilled_of_blend": NETWORK | {"distill": {"teacher": "soft_vote", "weight": 0.9}},
}
MEMBERS = {
    "ridge": RIDGE,
    "neighbours": {"learner": "knn", "blocks": {"small": 1.0}},
    "stacked": {"learner": "mlp", "blocks": {"small": 1.0}, "stacks": ["ridge", "neighbours"]},
    "net": NETWORK,
    **TAUGHT,
}
DISTILLED = ("distilled", "distilled_of_blend")
QUICK_MEMBERS = ("ridge", "neighbours", "stacked", "student_of_member", "student_of_blend")
GIVEN = {"scheme": "column", "column": "given_fold"}


def infer_on_noise(
    root: Path, kind: Kind, members: dict[str, dict], *, of: str = "", folds: dict = GIVEN
) -> Path:
    """A competition of noise whose labels were dealt out, after `make infer MEMBER=of`."""
    folder, rng = root / "input" / "noise", np.random.default_rng(3)
    ids = [f"{row:03d}.png" for row in range(360)]
    for row, name in enumerate(ids):
        path = folder / ("train" if row < 240 else "test") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((36, 36), Image.Resampling.BILINEAR).save(path)
    names = LEVELS.astype(int) if kind == "ordinal" else np.array(list("abc"))
    labels = rng.normal(size=360) if kind == "regression" else names[rng.permutation(360) % 3]
    table = pd.DataFrame({"id": ids, "label": labels})
    table["given_fold"] = np.arange(360) % NUM_FOLDS
    table[:240].to_csv(folder / "train.csv", index=False)
    table[240:][["id"]].to_csv(folder / "test.csv", index=False)
    config = {
        "competition": "noise",
        "task": {"kind": kind, "target": "label", "metric": SMOOTH[kind]},
        "folds": folds,
        "backbones": {"small": SMALL},
        "members": members,
        "blends": ["soft_vote", "stack"],
        "tta": {"views": ["original"]},
        "runtime": {"device": "cpu", "workers": 0},
    }
    (root / "noise.yaml").write_text(yaml.safe_dump(config))
    before = Path.cwd()
    os.chdir(root)
    try:
        make.run("infer", "noise.yaml", [], members=of)
    finally:
        os.chdir(before)
    return root


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All members, on classes."""
    return infer_on_noise(tmp_path_factory.mktemp("shuffled"), "multiclass", MEMBERS)


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows held out twice, with members that take seconds."""
    quick = {name: MEMBERS[name] for name in QUICK_MEMBERS}
    twice = {"n": NUM_FOLDS, "repeats": 2}
    return infer_on_noise(tmp_path_factory.mktemp("repeated"), "multiclass", quick, folds=twice)


@pytest.fixture(scope="module", params=["multiclass", "ordinal", "regression"])
def with_teachers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those that networks distil from; of numbers, nothing else."""
    if request.param == "multiclass":
        return request.getfixturevalue("chained")
    # Linear ones only, for a ridge cannot learn by heart what nearest neighbours say.
    teachers = {"ridge": RIDGE | {"strength": 1.0}, "stiff": RIDGE | {"strength": 10.0}}
    members = teachers | {name: TAUGHT[name] for name in DISTILLED}
    root = tmp_path_factory.mktemp(request.param)
    return infer_on_noise(root, request.param, members, of=",".join(teachers))


@pytest.mark.parametrize("member", MEMBERS)
def test_members_and_their_students_are_at_chance(chained: Path, member: str) -> None:
    assert_member_at_chance(chained, member)


@pytest.mark.parametrize("member", QUICK_MEMBERS)
def test_the_mean_of_repeats_is_at_chance(repeated: Path, member: str) -> None:
    assert_member_at_chance(repeated, member)


def test_what_blends_make_of_repeats_is_at_chance(repeated: Path) -> None:
    """Blends are fitted by the first repeat's folds on means over all repeats."""
    project = open_project(load_config(str(repeated / "noise.yaml")), repeated)
    oof, test = (
        np.stack([said.values for said in part])
        for part in zip(*(read_member(project, name) for name in QUICK_MEMBERS), strict=True)
    )
    assert project.folds.num_repeats == 2
    for blend in ("soft_vote", "weighted", "stack", "stack_lightgbm"):
        fitting = BlendFitting(project.task, project.metric, project.config.seed)
        fitting = replace(fitting, groups=project.folds.groups, calibrate="temperature")
        folds, targets = project.folds.repeats[0], project.competition.targets
        blended = cross_fit(blend, oof, test, targets, folds, fitting).oof
        assert_at_chance(blended, project.competition.targets, "multiclass")


def assert_member_at_chance(root: Path, member: str) -> None:
    oof = predictions.load(root / "models" / "noise" / member / "oof.npz")
    table = pd.read_csv(root / "input" / "noise" / "train.csv").set_index("id")
    targets = np.eye(3)[["abc".index(label) for label in table.loc[oof.ids, "label"]]]
    assert_at_chance(oof.values, targets, "multiclass")


@pytest.mark.parametrize("student", DISTILLED)
def test_a_teacher_tells_a_student_nothing_of_the_rows_that_it_is_scored_on(
    with_teachers: Path, student: str
) -> None:
    """A ridge in the network's place learns its teacher's words by heart, as a good one would."""
    project = open_project(load_config(str(with_teachers / "noise.yaml")), with_teachers)
    kind = project.config.task.kind
    features = project.block("small").mean(axis=1)
    targets, oof = project.competition.targets, np.empty(project.competition.targets.shape)
    for fold in range(NUM_FOLDS):
        rows = fold_data(project, student, fold)
        ideal = Ridge(1e-3).fit(features[rows.rows], rows.teacher[rows.rows])
        oof[rows.held_out] = ideal.predict(features[rows.held_out]).reshape(-1, oof.shape[1])
    said = oof if kind == "regression" else np.exp(oof) / np.exp(oof).sum(axis=1, keepdims=True)
    assert_at_chance(said, targets, kind)
