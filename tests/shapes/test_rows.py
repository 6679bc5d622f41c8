"""Rows in one CSV with a split column, in CSVs to be joined, and with weights."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_project import CONFIG, load, run, submission, write_competition

from pipeline.config.schema import Data, Task
from pipeline.core.read_competition import read_competition
from pipeline.errors import UserError

TASK = Task(kind="multiclass", target="label")


def tables(folder) -> dict[str, pd.DataFrame]:
    names = ("train", "test", "sample_submission")
    return {name: pd.read_csv(folder / f"{name}.csv", dtype=str) for name in names}


def without_times(root) -> list[str]:
    return submission(root).read_text().splitlines()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    write_competition(root)
    run(root)
    return without_times(root)


def test_one_csv_with_a_split_column_gives_what_two_give(tmp_path, plain):
    folder = write_competition(tmp_path)
    two = tables(folder)
    parts = np.where(np.arange(30) % 2, "fit", "val")
    both = pd.concat([two["test"].assign(part="hidden"), two["train"].assign(part=parts)])
    both.to_csv(folder / "all.csv", index=False)
    for name in ("train", "test"):
        (folder / f"{name}.csv").unlink()
    split = {"column": "part", "train": ["fit", "val"], "test": "hidden"}
    run(tmp_path, data={"train_csv": "all.csv", "split": split})
    assert without_times(tmp_path) == plain


def test_joined_csvs_give_what_one_gives(tmp_path, plain):
    folder = write_competition(tmp_path)
    two = tables(folder)
    names = {"label": two["train"]["label"], "person": [f"p{row}" for row in range(30)]}
    (two["train"].drop(columns="label").assign(person=names["person"])).to_csv(
        folder / "train.csv", index=False
    )
    two["test"].assign(person="p0").to_csv(folder / "test.csv", index=False)
    labels = pd.DataFrame({"id": two["train"]["id"], "label": names["label"]})
    labels[::-1].to_csv(folder / "labels.csv", index=False)
    people = pd.DataFrame({"person": names["person"], "age": np.arange(30)})
    people.to_csv(folder / "people.csv", index=False)
    data = {"join": {"labels.csv": "id", "people.csv": "person"}}
    run(tmp_path, data=data)
    assert without_times(tmp_path) == plain
    competition = read_competition(folder, TASK, Data(**data, numeric=["age"]))
    assert competition.train["age"].tolist() == [str(row) for row in range(30)]
    assert competition.test["age"].tolist() == ["0"] * 9
    assert "label" not in competition.test


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"split": {"column": "set"}}, r"no column 'set' \(data\.split\)"),
        (
            {"split": {"column": "label", "train": ["red"], "test": "blue"}},
            r"'label' holds \['blue', 'green', 'red'\], but `data\.split` names",
        ),
        ({"join": {"more.csv": "id"}}, r"more\.csv: no such file, which data\.join names"),
        ({"join": {"people.csv": "who"}}, r"people\.csv: no column 'who' \(data\.join\)"),
        ({"join": {"people.csv": "person"}}, r"no column 'person', by which data\.join joins"),
        ({"join": {"few.csv": "id"}}, r"train\.csv: 29 rows have no row in .*few\.csv with their"),
        ({"join": {"twice.csv": "id"}}, r"1 values of 'id' stand more than once"),
        ({"join": {"same.csv": "id"}}, r"\['label'\] are columns of train\.csv, too"),
        ({"weight": "label"}, r"30 cells of 'label' are no numbers"),
        ({"weight": "low"}, r"weights in 'low' \(data\.weight\) are numbers of at least 0"),
        ({"weight": "none"}, r"not all 0; found 0 only"),
        ({"weight": "heavy"}, r"no column 'heavy' \(data\.weight\)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, data, said):
    folder = write_competition(tmp_path)
    train = pd.read_csv(folder / "train.csv", dtype=str)
    train.assign(low=np.arange(30) - 1, none=0).to_csv(folder / "train.csv", index=False)
    pd.DataFrame({"person": ["a"], "age": [1]}).to_csv(folder / "people.csv", index=False)
    train[:1][["id"]].assign(age=1).to_csv(folder / "few.csv", index=False)
    train[["id"]].iloc[[0, 0, 1]].assign(age=1).to_csv(folder / "twice.csv", index=False)
    train[["id", "label"]].to_csv(folder / "same.csv", index=False)
    with pytest.raises(UserError, match=said):
        read_competition(folder, TASK, Data(**data))


def test_keys_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="leave `test_csv` out"):
        Data(split={"column": "a"}, test_csv="b.csv")
    with pytest.raises(ValueError, match="`split` is of a CSV"):
        Data(split={"column": "a"}, class_folders="b")
    with pytest.raises(ValueError, match="stand in both"):
        Data(split={"column": "a", "train": "x", "test": ["x", "y"]})


MEMBERS = {
    **CONFIG["members"],
    "stacked": {"learner": "extra_trees", "blocks": {"small": 1.0}, "stacks": ["linear"]},
    "net": {"network": "small", "epochs": 1, "batch_size": 8, "augment": "none", "mixup": 0},
}


@pytest.mark.slow
def test_rows_of_weight_0_teach_nothing_and_are_scored(tmp_path):
    """Labels of rows without weight may be anything: learners and their stacks do not see them."""
    said = {}
    for planted in (False, True):
        root = tmp_path / str(planted)
        folder = write_competition(root)
        table = pd.read_csv(folder / "train.csv", dtype=str)
        table["sure"] = (np.arange(30) % 5 > 0).astype(float)
        if planted:
            table.loc[table["sure"] == 0, "label"] = "red"
        table.to_csv(folder / "train.csv", index=False)
        run(root, data={"weight": "sure"}, members=MEMBERS, blends=["soft_vote"])
        said[planted] = {name: load(root, name, "test").values for name in MEMBERS}
        scores = json.loads((root / "models/tiny/linear/meta.json").read_text())
        said[planted]["score"] = scores["oof_score"]
    for name in ("linear", "stacked"):
        np.testing.assert_allclose(said[False][name], said[True][name], atol=1e-6)
    assert said[False]["score"] != said[True]["score"]


def test_other_weights_are_other_models_and_none_are_the_old_ones(tmp_path):
    folder = write_competition(tmp_path)
    table = pd.read_csv(folder / "train.csv", dtype=str).assign(one=1.0, some=np.arange(30) + 1.0)
    table.to_csv(folder / "train.csv", index=False)
    digests = {
        name: read_competition(folder, TASK, Data(weight=name)).rows_digest
        for name in (None, "one", "some")
    }
    assert len({*digests.values()}) == 3
    run(tmp_path, "infer")
    unweighted = load(tmp_path, "linear", "oof").values
    run(tmp_path, "infer", data={"weight": "one"})
    np.testing.assert_array_equal(load(tmp_path, "linear", "oof").values, unweighted)
    run(tmp_path, "infer", data={"weight": "some"})
    assert not np.allclose(load(tmp_path, "linear", "oof").values, unweighted)
