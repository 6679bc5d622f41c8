"""Stacking with features: who may say what of which row, by hand; and that it is worth its cost."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tiny_project import CONFIG, Killed, check_fold_0_is_blind_to, load, run, write_competition

from pipeline.config.load import load_config
from pipeline.config.members import STACKED
from pipeline.config.schema import Learner
from pipeline.core import artifacts
from pipeline.core.folds import ALL_ROWS, FoldTable
from pipeline.core.runtime import stream_seed
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.learners import fit as learners
from pipeline.learners.concatenation import fit_concatenation
from pipeline.learners.fit import fit_learner
from pipeline.members.learner import stacked_block
from pipeline.members.stacking_features import nested_predictions, stacked_training_block
from pipeline.project import Project, open_project
from pipeline.workflow.plan import Plan

FOLDS = np.array([0, 1, 2, 0, 1, 2, 2])
MLP = {"learner": "mlp", "blocks": {"small": 1.0}, "params": {"hidden": 16, "epochs": 40}}
MEMBERS = CONFIG["members"] | {"stacked": MLP | {"stacks": ["linear"]}}
TWO_VIEWS = {"views": ["original", "mirrored"]}


def opened(root: Path) -> Project:
    return open_project(load_config(str(root / "tiny.yaml")), root)


@pytest.fixture(scope="module")
def stacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after `make infer` of a learner and of one that stacks it, also on all rows."""
    root = tmp_path_factory.mktemp("stacked")
    write_competition(root)
    members = MEMBERS | {"stacked": MEMBERS["stacked"] | {"all_rows": True}}
    run(root, "infer", members=members, tta=TWO_VIEWS)
    return root


def test_each_row_is_predicted_once_by_who_saw_neither_fold() -> None:
    seen = []

    def refit(fitted_on: np.ndarray, asked: np.ndarray) -> np.ndarray:
        seen.append((fitted_on.tolist(), asked.tolist()))
        return np.stack([asked, asked + 100], axis=1)

    values = nested_predictions(FOLDS, 1, refit)
    assert seen == [([2, 5, 6], [0, 3]), ([0, 3], [2, 5, 6])]
    assert values[[0, 2, 3, 5, 6]].tolist() == [[r, r + 100] for r in (0, 2, 3, 5, 6)]
    assert np.isnan(values[[1, 4]]).all()


def test_where_nothing_is_held_out_a_row_is_predicted_without_its_own_fold() -> None:
    seen = []

    def refit(fitted_on: np.ndarray, asked: np.ndarray) -> np.ndarray:
        seen.append((fitted_on.tolist(), asked.tolist()))
        return np.zeros((len(asked), 1))

    assert np.isfinite(nested_predictions(FOLDS, ALL_ROWS, refit)).all()
    assert seen[0] == ([1, 2, 4, 5, 6], [0, 3])
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("multiclass", [np.log(0.5), np.log(1e-6), np.log(0.25), 0.0]),
        ("multilabel", [0.0, np.log(1e-6 / (1 - 1e-6)), np.log(1 / 3), np.log((1 - 1e-6) / 1e-6)]),
        ("regression", [0.5, 0.0, 0.25, 1.0]),
    ],
)
def test_what_is_stacked_stands_beside_each_view(kind: str, columns: list[float]) -> None:
    config = SimpleNamespace(tta=SimpleNamespace(views=["original", "mirrored"]))
    said = [np.array([[0.5, 0.0]]), np.array([[0.25, 1.0]])]
    block = stacked_block(SimpleNamespace(config=config, task=Task(kind)), said)
    np.testing.assert_allclose(block, [[columns, columns]])


def test_columns_are_a_block_of_weight_1_that_trees_do_not_rotate() -> None:
    rng = np.random.default_rng(0)
    blocks = {"b": rng.normal(size=(50, 2, 6)), STACKED: rng.normal(5, 3, size=(50, 1, 4))}
    blocks[STACKED] = blocks[STACKED].repeat(2, axis=1)
    metadata, targets = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    for views, repeats in (("rows", 2), ("mean", 1)):
        settings = Learner(learner="lightgbm", blocks={"b": 2.0}, stacks=["x"], views=views)
        joined = fit_concatenation(settings, blocks, weights=np.ones(50), metadata=metadata)
        columns = joined(blocks, metadata)[:, 6:10]
        raw = blocks[STACKED][:, :repeats].reshape(-1, 4)
        np.testing.assert_allclose(columns, (raw - raw.mean(0)) / raw.std(0) / 2, atol=1e-5)
    fitted = fit_learner(settings, blocks, targets, Task("regression"), metadata=metadata, seed=0)
    np.testing.assert_array_equal(fitted.model.axes[6:, -7:], np.eye(7))
    assert not fitted.model.axes[6:, :-7].any()


def by_hand(project: Project, fold: int, other: int) -> np.ndarray:
    """What the stacked learner says of a fold's rows, both ways of seeing them, fitted without."""
    folds, targets = project.folds.folds, project.competition.targets
    block = project.block("small")
    rows = np.flatnonzero((folds != fold) & (folds != other))
    fitted = fit_learner(
        project.member("linear"),
        {"small": block[rows]},
        targets[rows],
        Task("multiclass"),
        seed=stream_seed(42, "learner", "linear", *sorted({fold, other} - {ALL_ROWS})),
    )
    return fitted.predict({"small": block[np.flatnonzero(folds == other)]})


@pytest.mark.slow
def test_training_columns_are_those_of_a_refit_without_both_folds(stacked: Path) -> None:
    project = opened(stacked)
    block = stacked_training_block(project, "stacked", 1)
    for other in (0, 2):
        columns = np.log(np.maximum(by_hand(project, 1, other), 1e-6))
        rows = np.flatnonzero(project.folds.folds == other)
        for view in range(2):
            np.testing.assert_allclose(block[rows, view], columns, atol=1e-6)
    assert not np.allclose(
        block[project.folds.folds == 0, 0],
        np.log(load(stacked, "linear", "oof").values[project.folds.folds == 0]),
        atol=1e-3,
    )


@pytest.mark.slow
def test_in_another_repeat_its_own_folds_are_left_out(stacked: Path) -> None:
    project = opened(stacked)
    folds = project.folds.folds
    table = FoldTable(np.stack([folds, np.roll(folds, 5)]), project.folds.groups, ("", ""))
    vars(project)["folds"] = table  # as if read from folds.csv
    block = stacked_training_block(project, "stacked", 3 + 1)
    np.testing.assert_array_equal(np.isnan(block[:, 0, 0]), table.repeats[1] == 1)
    vars(project)["folds"] = replace(table, repeats=table.repeats[1:])
    np.testing.assert_array_equal(stacked_training_block(project, "stacked", 1), block)


@pytest.mark.slow
def test_a_fold_s_model_was_fitted_on_these_and_says_what_the_stacked_one_says(
    stacked: Path,
) -> None:
    """Refitted by hand; then it sees, of held-out and test rows, the stacked learner's files."""
    project = opened(stacked)
    folds, block = project.folds.folds, project.block("small")
    train = np.flatnonzero(folds != 1)
    blocks = {"small": block[train]}
    blocks[STACKED] = stacked_training_block(project, "stacked", 1)[train]
    seed = stream_seed(42, "learner", "stacked", 1)
    targets, settings = project.competition.targets[train], project.member("stacked")
    fitted = fit_learner(settings, blocks, targets, Task("multiclass"), seed=seed)
    oof, said = load(stacked, "stacked", "oof"), load(stacked, "linear", "oof")
    mine, test = oof.folds == 1, load(stacked, "linear", "test").values[1]
    for rows, columns, expected in (
        (np.flatnonzero(mine), said.values[mine], oof.values[mine]),
        (np.arange(30, 39), test, load(stacked, "stacked", "test").values[1]),
    ):
        columns = np.log(np.maximum(columns, 1e-6))[:, None].repeat(2, axis=1)
        values = fitted.predict({"small": block[rows], STACKED: columns})
        np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.slow
def test_a_model_of_all_rows_learns_from_out_of_fold_predictions(stacked: Path) -> None:
    project = opened(stacked)
    block = stacked_training_block(project, "stacked", ALL_ROWS)
    oof = load(stacked, "linear", "oof").values
    np.testing.assert_allclose(block[:, 1], np.log(np.maximum(oof, 1e-6)), atol=1e-6)
    folder = Plan(project).train("stacked", ALL_ROWS).folder
    whole = learners.load(Plan(project).train("linear", ALL_ROWS).folder)
    test = np.arange(30, 39)
    own = project.block("small")[test]
    blocks = {"small": own, STACKED: stacked_block(project, [whole.predict({"small": own})])}
    values = learners.load(folder).predict(blocks)
    np.testing.assert_allclose(load(stacked, "stacked", "test_all_rows").values, values, atol=1e-6)


@pytest.mark.slow
def test_laws_3_and_4_a_fold_s_labels_reach_neither_a_stack_nor_its_pupil(tmp_path: Path) -> None:
    members = MEMBERS | {
        "trees": {"learner": "extra_trees", "blocks": {"small": 1.0}, "stacks": ["stone"]},
        "stone": {"learner": "knn", "blocks": {"small": 1.0}},
        "pupil": MLP | {"pseudo": {"teacher": "stacked", "labels": "soft"}},
    }

    def roll_labels(table: pd.DataFrame) -> None:
        in_fold = table["given_fold"] == 0
        table.loc[in_fold, "label"] = np.roll(table.loc[in_fold, "label"], 1)

    check_fold_0_is_blind_to(roll_labels, tmp_path, members=members, names=members)


@pytest.mark.slow
def test_killed_and_run_again_it_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    original = artifacts.finish

    def finish_or_die(folder: Path, *args, **meta) -> None:
        if folder.parts[-2:] == ("stacked", "fold1"):
            raise Killed
        original(folder, *args, **meta)

    for root in (straight, killed):
        write_competition(root)
    run(straight, "infer", members=MEMBERS)
    monkeypatch.setattr(artifacts, "finish", finish_or_die)
    with pytest.raises(Killed):
        run(killed, "infer", members=MEMBERS)
    monkeypatch.setattr(artifacts, "finish", original)
    run(killed, "infer", members=MEMBERS)
    for file in ("oof.npz", "test.npz"):
        one, other = (r / "models" / "tiny" / "stacked" / file for r in (straight, killed))
        assert one.read_bytes() == other.read_bytes()


def fingerprints(root: Path, **changes) -> dict[str, str]:
    members = MEMBERS | {"stacked": MEMBERS["stacked"] | changes.pop("stacked", {})}
    members |= {"linear": members["linear"] | changes.pop("linear", {})}
    run(root, "folds", members=members, **changes)
    plan = Plan(opened(root))
    return {name: plan.train(name, 1).fingerprint for name in members}


@pytest.mark.slow
def test_it_is_made_anew_when_what_it_stacks_is(tmp_path: Path) -> None:
    write_competition(tmp_path)
    before = fingerprints(tmp_path)
    for changes, changed in (
        ({}, set()),
        ({"linear": {"strength": 0.5}}, {"linear", "stacked"}),
        ({"stacked": {"stacks": []}}, {"stacked"}),
        ({"tta": {"average": "logits"}}, {"stacked"}),
    ):
        after = fingerprints(tmp_path, **changes)
        assert {name for name in after if after[name] != before[name]} == changed


@pytest.mark.slow
def test_predicting_anew_needs_what_is_stacked_and_its_blocks(tmp_path: Path) -> None:
    write_competition(tmp_path)
    backbones = CONFIG["backbones"] | {"large": CONFIG["backbones"]["small"] | {"image_size": 48}}
    members = MEMBERS | {"linear": MEMBERS["linear"] | {"blocks": {"large": 1.0}}}
    run(tmp_path, "folds", members=members, backbones=backbones)
    needs = [job.name for job in Plan(opened(tmp_path)).predict("stacked", 1).needs]
    models = ["train stacked fold 1", "train linear fold 1"]
    assert sorted(needs) == sorted([*models, "features small", "features large"])


@pytest.mark.slow
def test_two_folds_are_too_few(tmp_path: Path) -> None:
    folder = write_competition(tmp_path)
    table = pd.read_csv(folder / "train.csv")
    table.assign(given_fold=table["given_fold"] % 2).to_csv(folder / "train.csv", index=False)
    with pytest.raises(UserError, match=r"members\.stacked: stacks needs rows outside two folds"):
        run(tmp_path, "train", members=MEMBERS)


def test_it_gains_where_features_tell_what_the_stacked_one_cannot_say() -> None:
    """A slope along forty dimensions, which trees lack; a hump of one, which lines lack."""
    rng = np.random.default_rng(0)
    folds = np.arange(900) % 3
    x = rng.normal(size=(900, 41))
    y = x[:, :40].sum(axis=1) / 4 + 3 * (np.abs(x[:, 40]) > 0.7) + rng.normal(0, 0.3, 900)
    blocks, metadata, targets = {"b": x[:, None, :40]}, x[:, 40:], y[:, None]
    linear = Learner(learner="ridge", blocks={"b": 1.0}, transform="none")
    trees = Learner(learner="lightgbm", blocks={"b": 1.0}, transform="none")
    stacker = trees.model_copy(update={"stacks": ["linear"]})

    def refit(fitted_on: np.ndarray, asked: np.ndarray, settings: Learner = linear, more=blocks):
        some = {name: block[fitted_on] for name, block in more.items()}
        how = {"metadata": metadata[fitted_on], "seed": 0}
        fitted = fit_learner(settings, some, targets[fitted_on], Task("regression"), **how)
        some = {name: block[asked] for name, block in more.items()}
        return fitted.predict(some, metadata=metadata[asked])

    errors = {"linear": [], "trees": [], "stacked": []}
    for fold in range(3):
        rows, mine = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        columns = nested_predictions(folds, fold, refit)
        columns[mine] = refit(rows, mine)
        seen = blocks | {STACKED: columns[:, None]}
        said = {
            "linear": columns[mine],
            "trees": refit(rows, mine, trees),
            "stacked": refit(rows, mine, stacker, seen),
        }
        for name, values in said.items():
            errors[name].append(np.mean((values - targets[mine]) ** 2))
    linear_error, trees_error, stacked_error = (np.mean(e) for e in errors.values())
    assert stacked_error < 0.5 * min(linear_error, trees_error)
