"""Rows with several images: columns, joined rows of a study, a folder of slices."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_project import CLASSES, load, run, submission, write_competition

import pipeline
from pipeline.config.load import load_config
from pipeline.config.schema import Data, Task
from pipeline.core.read_competition import read_competition
from pipeline.core.row_images import RowImages, paths_of_rows
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.members.get_member import get_member
from pipeline.project import open_project
from pipeline.serving.kernel import predict_test_set
from pipeline.splitting.draw import find_copies
from pipeline.stages import kernel as stage
from pipeline.submission.check_file import check_file

TASK = Task(kind="multiclass", target="label")
EYES = {
    "train_images": ["train/{id}", "train/{other}"],
    "test_images": ["test/{id}", "test/{other}"],
}
FILES = {
    "id": "study",
    "rows": "file",
    "train_images": "train/{file}",
    "test_images": "test/{file}",
}
ROWS = RowImages(np.array([2, 1, 3]))


def test_images_of_rows_are_counted_in_their_order():
    images, owners = ROWS.of(np.array([2, 0]))
    assert images.tolist() == [3, 4, 5, 0, 1]
    assert owners.tolist() == [0, 0, 0, 1, 1]
    assert ROWS.any_of(np.array([0, 1, 0, 0, 0, 0], bool)).tolist() == [True, False, False]
    assert ROWS.rows_of_images().tolist() == [0, 0, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[2, 3], [7, 8], [4, 5]]),
        ("max", [[4, 5], [7, 8], [6, 7]]),
        ("mean_max", [[2, 3, 4, 5], [7, 8, 7, 8], [4, 5, 6, 7]]),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2**26])
def test_features_of_a_row_are_pooled(monkeypatch, how, expected, at_once):
    monkeypatch.setattr("pipeline.core.row_images.CELLS_AT_ONCE", at_once)
    features = np.array([[0, 1], [4, 5], [7, 8], [6, 7], [2, 3], [4, 5]], np.float16)[:, None]
    pooled = ROWS.pool(features, how)
    assert pooled.dtype == np.float16
    assert pooled[:, 0].tolist() == expected
    twice = ROWS.pool(np.concatenate([features, 2 * features], axis=1), how)  # two views
    np.testing.assert_array_equal(twice, np.stack([pooled[:, 0], 2 * pooled[:, 0]], axis=1))


def test_features_of_as_many_images_are_joined_view_by_view():
    features = np.arange(8).reshape(4, 2, 1)  # images 0..3, each with views 2 * i, 2 * i + 1
    joined = RowImages(np.array([2, 2])).pool(features, "concat")
    assert joined.tolist() == [[[0, 2], [1, 3]], [[4, 6], [5, 7]]]


def test_a_folder_of_slices_is_in_the_order_of_its_numbers(tmp_path):
    for name in ("a/10.png", "a/2.png", "a/notes.txt", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rows = pd.DataFrame({"id": ["b", "a"]})
    paths, counts = paths_of_rows(rows, ["{id}/*"], folder=tmp_path, joined=False)
    assert paths == ["b/1.png", "a/2.png", "a/10.png"]
    assert counts.tolist() == [1, 2]


def with_pairs(folder: Path) -> None:
    """Give each row the image of a row of its class beside its own; a third row has one only."""
    for split in ("train", "test"):
        table = pd.read_csv(folder / f"{split}.csv", dtype=str)
        other = np.roll(table["id"], 3)
        others = [f"other_{name}" if row % 3 else "" for row, name in enumerate(table["id"])]
        for name, source in zip(others, other, strict=True):
            if name:
                shutil.copyfile(folder / split / source, folder / split / name)
        table.assign(other=others).to_csv(folder / f"{split}.csv", index=False)


def with_studies(folder: Path) -> pd.DataFrame:
    """Name rows of one class and fold, 2 by 2, as a study; the sample asks for studies."""
    labels = {}
    for split in ("train", "test"):
        table = pd.read_csv(folder / f"{split}.csv", dtype=str)
        numbers = np.arange(len(table)) // 9 * 3 + np.arange(len(table)) % 3
        table = table.rename(columns={"id": "file"}).assign(
            study=[f"s_{n}_{split}" for n in numbers]
        )
        table.sample(frac=1, random_state=0).to_csv(folder / f"{split}.csv", index=False)
        labels[split] = table
    ids = labels["test"]["study"].unique()
    sample = pd.DataFrame({"study": ids[::-1], **dict.fromkeys(CLASSES, 0.5)})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return labels["train"]


MEMBERS = {
    "linear": {"learner": "logistic", "blocks": {"small": 1.0}},
    "most": {"extends": "linear", "pool_images": "mean_max"},
    "net": {"network": "small", "epochs": 1, "batch_size": 8, "augment": "light"},
}


@pytest.fixture(scope="module")
def eyes(tmp_path_factory):
    root = tmp_path_factory.mktemp("eyes")
    with_pairs(write_competition(root))
    run(root, "report", data=EYES, members=MEMBERS, blends=["soft_vote"])
    return root


@pytest.mark.slow
def test_two_columns_of_images_go_to_a_submission(eyes):
    project = open_project(load_config(str(eyes / "tiny.yaml")), eyes)
    counts = project.row_images.counts
    assert counts[:30].tolist() == [1, 2, 2] * 10
    assert len(project.all_images.paths) == counts.sum() > len(project.index.paths) == 39
    features = project.image_features("small")
    block = project.block("small")
    assert len(features) == counts.sum()
    np.testing.assert_array_equal(block[0], features[0])
    np.testing.assert_allclose(block[1], features[1:3].mean(axis=0), atol=1e-3)
    assert project.blocks("most")["small"].shape[2] == 2 * features.shape[2]
    assert check_file(submission(eyes), project.competition, project.metric) == 9
    for name in MEMBERS:
        assert load(eyes, name, "oof").values.shape == (30, 3)
    assert (eyes / "submissions/tiny/report.html").exists()


@pytest.mark.slow
def test_a_networks_prediction_is_the_mean_of_its_images(eyes):
    """The same network, asked for each image as a row of its own."""
    project = open_project(load_config(str(eyes / "tiny.yaml")), eyes)
    rows = np.array([4, 0])
    values, views = get_member(project, "net").predict(0, rows)
    assert values.shape == (2, 3)
    assert views.shape == (2, 2, 3)
    positions, _ = project.row_images.of(rows)
    every = open_project(load_config(str(eyes / "tiny.yaml")), eyes)
    object.__setattr__(
        every.competition, "row_images", RowImages(np.ones(len(positions) + 99, int))
    )
    alone, _ = get_member(every, "net").predict(0, positions)
    np.testing.assert_allclose(values[0], alone[:2].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(values[1], alone[2], atol=1e-5)


@pytest.mark.slow
def test_new_rows_are_predicted_as_test_rows_are(eyes, monkeypatch):
    monkeypatch.chdir(eyes)
    table = pd.read_csv(eyes / "input/tiny/test.csv", dtype=str, keep_default_na=False)
    written = pd.read_csv(submission(eyes), dtype={"id": str}).set_index("id")
    ours = pipeline.load("tiny").predict(table[:4])
    np.testing.assert_allclose(ours, written.loc[table["id"][:4], list(CLASSES)], atol=2e-3)


@pytest.mark.slow
def test_a_kernel_predicts_rows_of_several_images(eyes, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "PYTHONS", ())  # no wheels
    monkeypatch.chdir(eyes)
    folder = stage.make_kernel(str(eyes / "tiny.yaml"), Workspace(eyes, "tiny"))
    out = predict_test_set(folder, eyes / "input/tiny", out=tmp_path / "written.csv", hours=1.0)
    ours, theirs = (pd.read_csv(path, dtype={"id": str}) for path in (submission(eyes), out))
    assert ours["id"].tolist() == theirs["id"].tolist()
    np.testing.assert_allclose(ours[[*CLASSES]], theirs[[*CLASSES]], atol=2e-3)


@pytest.mark.slow
def test_a_study_of_several_rows_gets_one_answer(tmp_path):
    rows = with_studies(write_competition(tmp_path))
    config = {"data": FILES, "members": {"linear": MEMBERS["linear"]}, "folds": {"n": 3}}
    run(tmp_path, "ensemble", **config, blends=["soft_vote"])
    oof = load(tmp_path, "linear", "oof")
    assert sorted(oof.ids) == sorted(rows["study"].unique())
    folds = pd.read_csv(tmp_path / "features/tiny/folds.csv", dtype=str)
    assert sorted(folds["id"]) == sorted(oof.ids)
    written = pd.read_csv(submission(tmp_path), dtype=str)
    sample = pd.read_csv(tmp_path / "input/tiny/sample_submission.csv", dtype=str)
    assert written["study"].tolist() == sample["study"].tolist()
    project = open_project(load_config(str(tmp_path / "tiny.yaml")), tmp_path)
    assert project.row_images.counts.sum() == 39
    first = project.competition.ids[0]
    files = rows[rows["study"] == first]["file"]
    images, _ = project.row_images.of(np.array([0]))
    assert sorted(project.all_images.paths[images]) == sorted(f"train/{name}" for name in files)


def test_copies_among_any_images_of_two_rows_join_them(tmp_path):
    folder = write_competition(tmp_path)
    with_pairs(folder)
    shutil.copyfile(folder / "train/020.png", folder / "train/other_004.png")
    run(tmp_path, "folds", data=EYES, folds={"n": 3})
    project = open_project(load_config(str(tmp_path / "tiny.yaml")), tmp_path)
    pairs = find_copies(project)
    assert [4, 20] in pairs[["a", "b"]].to_numpy().tolist()
    assert (pairs["a"] < pairs["b"]).all()
    assert project.folds.folds[4] == project.folds.folds[20]


def test_what_does_not_fit_is_refused(tmp_path):
    folder = write_competition(tmp_path)
    with_pairs(folder)
    concat = {"linear": MEMBERS["linear"] | {"pool_images": "concat"}}
    with pytest.raises(UserError, match=r"`pool_images: concat` needs as many.* have 1 to 2\. Use"):
        run(tmp_path, "folds", data=EYES, members=concat)
    only = {"train_images": ["train/{other}", "train/{other}"], "test_images": "test/{id}"}
    with pytest.raises(UserError, match=r"10 of 30 rows have no image, e\.g\. those of ids \['000"):
        read_competition(folder, TASK, Data(**only))
    none = {"train_images": "train/{id}/*", "test_images": "test/{id}"}
    with pytest.raises(UserError, match=r"30 of 30 rows have no image.*\['train/\{id\}/\*'\] lead"):
        read_competition(folder, TASK, Data(**none))
    with pytest.raises(ValueError, match="it names no path"):
        Data(train_images=[])
    rows = with_studies(write_competition(tmp_path))
    rows.loc[0, "label"] = "red"
    rows.to_csv(folder / "train.csv", index=False)
    said = r"images of one 'study' one answer, but 'label' differs within 1 of them.*s_0_train"
    with pytest.raises(UserError, match=said):
        read_competition(folder, TASK, Data(**FILES))


@pytest.mark.slow
def test_one_image_in_a_list_of_templates_is_the_plain_shape(tmp_path):
    write_competition(tmp_path)
    run(tmp_path, "ensemble")
    before = submission(tmp_path).read_bytes()
    project = open_project(load_config(str(tmp_path / "tiny.yaml")), tmp_path)
    assert project.every_image is None
    assert project.digest_of_images == project.index.digest
    run(tmp_path, "ensemble", data={"train_images": ["train/{id}"], "test_images": ["test/{id}"]})
    assert submission(tmp_path).read_bytes() == before
