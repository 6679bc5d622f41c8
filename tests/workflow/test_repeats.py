"""Repeated k-fold through the whole chain: R * K models of a member, each blind to its own rows."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_project import (
    CONFIG,
    NETWORK,
    SEARCHED,
    listing,
    load,
    run,
    submission,
    write_competition,
)

from pipeline.config.load import load_config
from pipeline.core import artifacts, predictions
from pipeline.core.predictions import Predictions
from pipeline.ensembles.base_rates import model_levels, move_to_level_of
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.members.fold_data import fold_data
from pipeline.members.get_member import get_member
from pipeline.members.network import training_data
from pipeline.project import open_project
from pipeline.workflow import make

pytestmark = pytest.mark.slow
RIDGE = {"learner": "ridge", "blocks": {"small": 1.0}}
LINEAR = CONFIG["members"]["linear"]
DRAWN = {"scheme": "stratified", "n": 3}
BY_HAND = np.array([np.arange(30) // 3 % 3, np.arange(30) // 9 % 3])  # all classes in each fold


def replace_folds(root: Path) -> None:
    """Two repeats by hand, which labels do not move."""
    ids = [f"{row:03d}.png" for row in range(30)]
    (root / "features" / "tiny").mkdir(parents=True)
    table = pd.DataFrame({"id": ids, "fold": BY_HAND[0], "fold_2": BY_HAND[1]})
    table.to_csv(root / "features" / "tiny" / "folds.csv", index=False)


def part(root: Path, member: str, model: int, name: str) -> Predictions:
    """Return one model's predictions: of the rows that it held out (oof) or of test rows."""
    folder = root / "models" / "tiny" / member / f"fold{model}"
    return predictions.load(folder / "predictions" / f"{name}.npz")


def oof_of_repeat(root: Path, member: str, repeat: int) -> np.ndarray:
    """(N, C) of three models, in the order of train.csv."""
    oof = np.full((30, 3), np.nan)
    for model in range(3 * repeat, 3 * repeat + 3):
        said = part(root, member, model, "oof")
        oof[[int(name[:3]) for name in said.ids]] = said.values
    return oof


def test_more_repeats_train_new_models_only(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("VERBOSE", "1")
    members = {
        "linear": LINEAR | {"all_rows": True},
        "net": NETWORK | {"all_rows": True, "patience": 1, "epochs": 2},
        "student": RIDGE | {"pseudo": {"teacher": "linear"}, "all_rows": True},
        "student_of_blend": RIDGE | {"pseudo": {"teacher": "stack", "rounds": 2}},
    }
    write_competition(tmp_path)
    run(tmp_path, members=members, folds=DRAWN)
    models = tmp_path / "models" / "tiny"
    before = {path: listing(path) for path in [*models.glob("*/fold?"), *models.glob("*/all_rows")]}
    assert len(before) == 5 * 3 + 3
    folds_csv = tmp_path / "features" / "tiny" / "folds.csv"
    folds = pd.read_csv(folds_csv)
    said = load(tmp_path, "linear", "test")
    (tmp_path / "elsewhere").mkdir()
    for name, values in (("oof", load(tmp_path, "linear", "oof").values), ("test", said.values[0])):
        ids = load(tmp_path, "linear", name).ids
        table = pd.DataFrame(values, columns=said.classes).assign(id=ids)
        if name == "oof":
            table["fold"] = folds["fold"]
        table.to_csv(tmp_path / "elsewhere" / f"{name}.csv", index=False)
    with_external = members | {"mine": {"external": "elsewhere"}}
    run(tmp_path, "report", members=with_external, folds=DRAWN | {"repeats": 2})
    assert len(list(models.glob("*/fold?"))) == 5 * 6
    assert all(listing(path) == entry for path, entry in before.items())
    repeated = pd.read_csv(folds_csv)
    assert repeated.drop(columns="fold_2").equals(folds)
    assert len((models / "student" / "all_rows" / "trained_on.txt").read_text().split()) == 30
    summary = json.loads(submission(tmp_path).with_suffix(".json").read_text())
    assert (summary["folds"], summary["repeats"]) == (3, 2)
    assert len(summary["choice"]["by_fold"]) == len(summary["estimate"]["fold_scores"]) == 3
    assert summary["better_than_last"]["refused"] == "its folds differ"
    assert "3 folds, 2 repeats" in " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "submissions" / "tiny" / "report.html").read_text()
    assert "3, 2 repeats" in page
    run(tmp_path, members=members, folds=DRAWN)
    assert pd.read_csv(folds_csv).equals(folds)
    assert all(listing(path) == entry for path, entry in before.items())


def test_oof_and_each_test_layer_are_means_over_repeats(tmp_path: Path) -> None:
    write_competition(tmp_path)
    run(tmp_path, "infer", members={"linear": LINEAR}, folds=DRAWN | {"repeats": 3})
    oof, test = load(tmp_path, "linear", "oof"), load(tmp_path, "linear", "test")
    repeats = np.stack([oof_of_repeat(tmp_path, "linear", repeat) for repeat in range(3)])
    rows = [int(name[:3]) for name in oof.ids]
    np.testing.assert_allclose(oof.values, repeats.mean(axis=0)[rows])
    said = np.stack([part(tmp_path, "linear", model, "test").values for model in range(9)])
    assert test.values.shape == (3, 9, 3)
    for k in range(3):
        np.testing.assert_allclose(test.values[k], (said[k] + said[k + 3] + said[k + 6]) / 3)
    table = pd.read_csv(tmp_path / "features" / "tiny" / "folds.csv").set_index("id").loc[oof.ids]
    assert oof.folds.tolist() == table["fold"].tolist()
    for model in range(9):
        column = ("fold", "fold_2", "fold_3")[model // 3]
        held_out = set(table.index[table[column] == model % 3])
        folder = tmp_path / "models" / "tiny" / "linear" / f"fold{model}"
        assert set(part(tmp_path, "linear", model, "oof").ids) == held_out
        assert set((folder / "trained_on.txt").read_text().split()) == set(oof.ids) - held_out


def test_laws_3_and_4_hold_for_the_models_of_a_later_repeat(tmp_path: Path) -> None:
    """Other labels in the rows of model 4 change nothing that it says, whoever teaches it."""
    model, members = 4, {"linear": LINEAR, "net": NETWORK, "searched": SEARCHED}
    for teacher in ("linear", "soft_vote"):
        pseudo = {"teacher": teacher, "threshold": 0.35, "agreement": 0.5, "balance": True}
        members |= {
            f"student_of_{teacher}": LINEAR | {"pseudo": pseudo | {"rounds": 2}},
            f"net_of_{teacher}": NETWORK | {"pseudo": pseudo | {"labels": "soft"}},
            f"distilled_of_{teacher}": NETWORK | {"distill": {"teacher": teacher}},
        }
    members["net_again"] = NETWORK | {"start": {"member": "net_of_linear"}}
    for planted in ("clean", "planted"):
        folder = write_competition(tmp_path / planted)
        replace_folds(tmp_path / planted)
        if planted == "planted":
            table, held_out = pd.read_csv(folder / "train.csv"), BY_HAND[1] == 1
            table.loc[held_out, "label"] = np.roll(table.loc[held_out, "label"], 1)
            table.to_csv(folder / "train.csv", index=False)
        run(tmp_path / planted, "infer", members=members)
    names = sorted(path.name for path in (tmp_path / "clean" / "models" / "tiny").iterdir())
    assert len(names) == len(members) + 2
    for name in names:
        for of in ("oof", "test"):
            clean, leaked = (part(tmp_path / p, name, model, of) for p in ("clean", "planted"))
            assert np.array_equal(clean.values, leaked.values), (name, of)
        # Model 1 has the same number in the first repeat, and learnt from some of these rows.
        clean, leaked = (part(tmp_path / p, name, 1, "test") for p in ("clean", "planted"))
        assert not np.array_equal(clean.values, leaked.values), name


def test_a_blend_that_teaches_is_fitted_on_the_models_of_the_same_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few rows make it a soft vote, which is the same whatever it was fitted on.
    monkeypatch.setattr("pipeline.ensembles.blends._gains", lambda *_, **__: True)
    write_competition(tmp_path)
    replace_folds(tmp_path)
    pseudo = {"teacher": "stack", "threshold": 0.0, "labels": "soft"}
    members = {
        "linear": LINEAR,
        "voter": {"learner": "knn", "blocks": {"small": 1.0}},
        "student": RIDGE | {"pseudo": pseudo},
        "distilled": NETWORK | {"distill": {"teacher": "stack"}},
    }
    run(tmp_path, "infer", members=members)
    project = open_project(load_config(str(tmp_path / "tiny.yaml")), tmp_path)
    targets, names = project.competition.targets, ("linear", "voter")
    fitting = BlendFitting(project.task, project.metric, project.config.seed, prune=False)
    fitting = replace(fitting, groups=project.folds.groups)

    def said_of_fold_1(of_oof: int, of_test: int, of_folds: int) -> np.ndarray:
        """Return the blend's predictions of test rows, joined from parts of these repeats."""
        oof = np.stack([oof_of_repeat(tmp_path, name, of_oof) for name in names])
        layers = [3 * of_test + k for k in range(3)]
        test = np.array([[part(tmp_path, n, k, "test").values for k in layers] for n in names])
        folds = BY_HAND[of_folds]
        return cross_fit("stack", oof, test, targets, folds, fitting).test[1]

    for repeat in (0, 1):
        said = fold_data(project, "student", 3 * repeat + 1).pseudo_labels.targets
        np.testing.assert_allclose(said, said_of_fold_1(repeat, repeat, repeat), rtol=1e-5)
    for other in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        assert np.abs(said - said_of_fold_1(*other)).max() > 1e-4
    oof = np.stack([oof_of_repeat(tmp_path, name, 1) for name in names])
    rows = fold_data(project, "distilled", 4)
    told = training_data(project, "distilled", rows).teacher
    seen = BY_HAND[1] != 1
    test = np.stack([[part(tmp_path, n, k, "test").values for k in (3, 4, 5)] for n in names])
    task, folds = project.task, BY_HAND[1][seen]
    known = move_to_level_of(1, oof[:, seen], folds, model_levels(test, task=task), task=task)
    stack = fit_blend("stack", known, targets[seen], folds, fitting.take(seen))
    said = np.stack([get_member(project, name).predict(4, rows.rows)[0] for name in names])
    # Single precision: the learners saw other numbers of rows at once.
    np.testing.assert_allclose(told, stack.apply(said), rtol=1e-5)


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_a_part_then_a_kill_then_the_rest_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {
        "linear": LINEAR,
        "student": RIDGE | {"pseudo": {"teacher": "linear"}},
        "student_of_blend": RIDGE | {"pseudo": {"teacher": "stack"}},
    }
    config = CONFIG | {"members": members, "folds": DRAWN | {"repeats": 2}}
    for name in ("straight", "parts"):
        write_competition(tmp_path / name)
        (tmp_path / name / "tiny.yaml").write_text(yaml.safe_dump(config))
    finish = artifacts.finish

    def finish_or_die(folder: Path, *args, **meta) -> None:
        if folder.parts[-2:] == ("student", "fold4"):
            raise Killed
        finish(folder, *args, **meta)

    before = Path.cwd()
    try:
        os.chdir(tmp_path / "straight")
        make.run("infer", "tiny.yaml", [])
        os.chdir(tmp_path / "parts")
        make.run("train", "tiny.yaml", [], folds="3")
        done = {str(path.parent) for path in Path("models/tiny").glob("*/fold?/meta.json")}
        teachers = {f"linear/fold{model}" for model in (3, 4, 5)}  # the blend's: its repeat's
        students = {"student/fold3", "student_of_blend/fold3"}
        assert done == {f"models/tiny/{name}" for name in teachers | students}
        monkeypatch.setattr(artifacts, "finish", finish_or_die)
        with pytest.raises(Killed):
            make.run("infer", "tiny.yaml", [])
        monkeypatch.setattr(artifacts, "finish", finish)
        make.run("infer", "tiny.yaml", [])
        with pytest.raises(Exception, match=r"FOLD=6: no \['6'\]; there are \['0', .*'5'\]"):
            make.run("train", "tiny.yaml", [], folds="6")
    finally:
        os.chdir(before)
    for name in members:
        for of in ("oof", "test"):
            path = Path("models", "tiny", name, f"{of}.npz")
            straight, parts = (tmp_path / root / path for root in ("straight", "parts"))
            assert straight.read_bytes() == parts.read_bytes()
