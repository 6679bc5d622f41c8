"""Rows that are learnt from and never held out or scored: other CSVs, folders, and fold -1."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_project import CONFIG, load, run, submission, write_competition

from pipeline.config.load import load_config
from pipeline.config.schema import Data, Task
from pipeline.core.extra_ties import ExtraTies
from pipeline.core.read_competition import read_competition
from pipeline.errors import UserError
from pipeline.leaks.torn_scenes import compare_folds
from pipeline.members.fold_data import fold_data
from pipeline.project import open_project

TASK = Task(kind="multiclass", target="label")
EXTRA = {"extra": {"rows": "more.csv", "images": "more/{id}"}}
ROWS = ("x0.png", "x1.png", "x2.png", "x3.png")


def with_extra(root: Path, *, labels=("red", "green", "blue", "red"), **columns) -> Path:
    """Write a competition with four more rows; the first is a copy of a row of fold 1."""
    folder = write_competition(root)
    (folder / "more").mkdir()
    shutil.copyfile(folder / "train/004.png", folder / "more" / ROWS[0])
    for number, name in enumerate(ROWS[1:]):
        # Pixels of their own: of no training row.
        source = (
            write_competition(root / "other", num_train=60) / "train" / f"{50 + number:03d}.png"
        )
        shutil.copyfile(source, folder / "more" / name)
    table = pd.DataFrame({"id": ROWS, "label": labels, **columns})
    table.to_csv(folder / "more.csv", index=False)
    return folder


def opened(root: Path):
    return open_project(load_config(str(root / "tiny.yaml")), root)


def test_ties_say_which_rows_are_free():
    ties = ExtraTies(np.array([0, 2, 2]), np.array([1, 0, 1]))
    assert ties.free_of(np.array([False, True]), 4).tolist() == [1, 3]
    assert ties.free_of(np.array([True, False]), 4).tolist() == [0, 1, 3]
    groups = ties.groups(np.array(["a", "b"]), 4)
    assert groups.tolist() == ["b", "extra 1", "a", "extra 3"]


@pytest.mark.slow
def test_extra_rows_are_learnt_from_and_a_copy_of_a_held_out_row_is_not(tmp_path):
    """Another label of the copy changes nothing of the fold that holds its original out."""
    said, members = {}, {**CONFIG["members"], "net": NET}
    for label in ("red", "blue"):
        root = tmp_path / label
        with_extra(root, labels=(label, "green", "blue", "red"))
        run(root, "infer", data=EXTRA, members=members)
        said[label] = {name: load(root, name, "test").values for name in members}
        said[label]["oof"] = load(root, "linear", "oof")
    project = opened(root)
    assert (project.num_train, project.num_rows) == (30, 39)
    assert fold_data(project, "linear", 1).rows[-3:].tolist() == [40, 41, 42]
    assert fold_data(project, "linear", 0).rows[-4:].tolist() == [39, 40, 41, 42]
    assert len(said["red"]["oof"].ids) == 30
    trained_on = (root / "models/tiny/linear/fold0/trained_on.txt").read_text().split()
    assert len(trained_on) == 18  # nothing but training rows
    for name in members:
        red, blue = said["red"][name], said["blue"][name]
        np.testing.assert_array_equal(red[1], blue[1], err_msg=name)
        assert not np.allclose(red[0], blue[0]), name
        assert not np.allclose(red[2], blue[2]), name


NET = {"network": "small", "epochs": 1, "batch_size": 8, "augment": "light", "mixup": 0}


@pytest.mark.slow
def test_rows_of_a_held_out_group_are_not_learnt_from(tmp_path):
    folder = with_extra(tmp_path, person=["", "p2", "nobody", "p2"])
    table = pd.read_csv(folder / "train.csv", dtype=str)
    table["person"] = [f"p{fold}" for fold in table["given_fold"]]
    table.to_csv(folder / "train.csv", index=False)
    run(tmp_path, "folds", data=EXTRA | {"group": "person"})
    project = opened(tmp_path)
    learnt = {fold: fold_data(project, "linear", fold).rows for fold in (-1, 0, 1, 2)}
    extra = {fold: (rows[rows >= 39] - 39).tolist() for fold, rows in learnt.items()}
    assert extra == {-1: [0, 1, 2, 3], 0: [0, 1, 2, 3], 1: [1, 2, 3], 2: [0, 2]}


@pytest.mark.slow
def test_rows_of_fold_minus_1_are_such_rows(tmp_path):
    """They give what the same rows in a CSV of their own give."""
    with_extra(tmp_path / "a")
    run(tmp_path / "a", "ensemble", data=EXTRA)
    folder = with_extra(tmp_path / "b")
    more = pd.read_csv(folder / "more.csv", dtype=str).assign(given_fold="-1")
    for name in more["id"]:
        shutil.copyfile(folder / "more" / name, folder / "train" / name)
    rows = pd.read_csv(folder / "train.csv", dtype=str)
    pd.concat([more[:2], rows, more[2:]]).to_csv(folder / "train.csv", index=False)
    run(tmp_path / "b", "ensemble")
    assert submission(tmp_path / "b").read_text() == submission(tmp_path / "a").read_text()
    assert len(load(tmp_path / "b", "linear", "oof").ids) == 30


@pytest.mark.slow
def test_they_go_with_metadata_pseudo_labels_distillation_and_early_stopping(tmp_path):
    folder = with_extra(tmp_path, age=[1, 2, 3, 4])
    for split in ("train", "test"):
        table = pd.read_csv(folder / f"{split}.csv", dtype=str)
        table.assign(age=np.arange(len(table))).to_csv(folder / f"{split}.csv", index=False)
    members = {
        "linear": CONFIG["members"]["linear"],
        "student": {"extends": "linear", "pseudo": {"teacher": "linear", "threshold": 0.0}},
        "net": NET | {"epochs": 2, "patience": 1, "distill": {"teacher": "linear"}},
        "last": {"extends": "linear", "all_rows": True},
    }
    data = EXTRA | {"numeric": ["age"], "extra": EXTRA["extra"] | {"weight": 0.5}}
    run(tmp_path, "report", data=data, members=members, blends=["soft_vote"])
    run(tmp_path, "plan", data=data, members=members, blends=["soft_vote"])
    run(tmp_path, "audit", data=data, members=members, blends=["soft_vote"])
    written = pd.read_csv(submission(tmp_path), dtype={"id": str}).set_index("id")
    assert len(written) == 9
    np.testing.assert_allclose(written.sum(axis=1), 1, atol=1e-6)
    project = opened(tmp_path)
    scenes = np.arange(39) // 5 * 5  # torn by the folds
    assert compare_folds(project, "small", scenes) is not None
    data = fold_data(project, "student", 0)
    assert data.weights[18:22].tolist() == [0.5] * 4
    assert data.rows[18:22].tolist() == [39, 40, 41, 42]
    assert (data.rows[22:] < 39).all()
    assert len(data.rows) > 22


def test_a_folder_of_classes_may_be_extra(tmp_path):
    folder = write_competition(tmp_path)
    for label in ("red", "blue"):
        (folder / "web" / label).mkdir(parents=True)
        shutil.copyfile(folder / "test/030.png", folder / "web" / label / "1.png")
    data = Data(extra={"rows": "web", "images": "web/{id}", "weight": 2})
    competition = read_competition(folder, TASK, data)
    (extra,) = competition.extra
    named = dict(zip(extra.table["id"], extra.targets.tolist(), strict=True))
    assert named == {"red/1.png": [0, 0, 1], "blue/1.png": [1, 0, 0]}
    assert extra.weights.tolist() == [2, 2]
    assert competition.paths[-2:] == [f"web/{name}" for name in extra.table["id"]]
    assert any("2 rows of web are learnt from" in note for note in competition.notes)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"id": ["x0.png"], "label": ["pink"]}, r"labels that no training row has: \['pink'\]"),
        ({"id": ["x0.png"], "colour": ["red"]}, r"no column \['label'\] \(data\.extra\)"),
        ({"id": ["x9.png"], "label": ["red"]}, r"1 of 40 images are not there.*more/x9\.png"),
        (None, r"more\.csv: no such file \(data\.extra\)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, table, said):
    folder = with_extra(tmp_path)
    (folder / "more.csv").unlink()
    if table is not None:
        pd.DataFrame(table).to_csv(folder / "more.csv", index=False)
    with pytest.raises(UserError, match=said):
        read_competition(folder, TASK, Data(**EXTRA))


def test_members_that_predict_their_own_training_rows_are_refused(tmp_path):
    with_extra(tmp_path)
    stacked = {"learner": "extra_trees", "blocks": {"small": 1.0}, "stacks": ["linear"]}
    with pytest.raises(UserError, match=r"members\.stacked: `stacks` needs predictions of each"):
        run(tmp_path, "folds", data=EXTRA, members={**CONFIG["members"], "stacked": stacked})


@pytest.mark.slow
def test_unreadable_extra_rows_are_left_out(tmp_path):
    folder = with_extra(tmp_path)
    (folder / "more" / ROWS[2]).write_bytes(b"no image")
    run(tmp_path, "infer", data=EXTRA | {"unreadable": "skip"})
    project = opened(tmp_path)
    assert [len(source) for source in project.extra] == [3]
    assert project.extra[0].table["id"].tolist() == [ROWS[0], ROWS[1], ROWS[3]]
    assert "more/x2.png" in (tmp_path / "features/tiny/audit.json").read_text()
