"""Competitions: every kind of bad input has its message, and targets are what they should be."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import TEST, TRAIN

from pipeline.config.schema import Data, Task
from pipeline.core.competition import Competition
from pipeline.core.read_competition import read_competition
from pipeline.errors import UserError

MULTICLASS = Task(kind="multiclass", target="label")


def error_of(folder: Path, task: Task = MULTICLASS, **data) -> str:
    with pytest.raises(UserError) as caught:
        read_competition(folder, task, Data(**data))
    return str(caught.value)


def train(cells, column="label", **more) -> pd.DataFrame:
    return pd.DataFrame({"id": TRAIN[: len(cells)], column: cells, **more})


def encoded(make_competition, cells, **task):
    """Class names and targets of a train.csv with these cells in its column `y`."""
    folder = make_competition(train=train(cells, "y"))
    competition = read_competition(folder, Task(target="y", **task), Data())
    return competition.classes, competition.targets.tolist()


# Targets, by hand.


def test_words_are_sorted_by_alphabet(make_competition):
    classes, targets = encoded(make_competition, ["red", "blue", "red"], kind="multiclass")
    assert classes == ("blue", "red")
    assert targets == [[0, 1], [1, 0], [0, 1]]


def test_numbers_are_sorted_by_value(make_competition):
    classes, targets = encoded(make_competition, ["10", "9", "-1"], kind="multiclass")
    assert classes == ("-1", "9", "10")
    assert targets == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_words_that_float_would_take_are_words(make_competition):
    classes, _ = encoded(make_competition, ["nan", "1", "inf", "3"], kind="multiclass")
    assert classes == ("1", "3", "inf", "nan")


def test_the_config_may_order_the_classes(make_competition):
    classes, targets = encoded(
        make_competition, ["no", "yes"], kind="binary", classes=["yes", "no"]
    )
    assert classes == ("yes", "no")
    assert targets == [[0, 1], [1, 0]]


def test_a_class_without_training_rows_has_a_column(make_competition):
    _, targets = encoded(make_competition, ["a", "b"], kind="multiclass", classes=["a", "x", "b"])
    assert targets == [[1, 0, 0], [0, 0, 1]]


def test_the_positive_class_of_a_binary_task_is_last(make_competition):
    classes, targets = encoded(make_competition, ["1", "0", "1"], kind="binary")
    assert classes == ("0", "1")
    assert targets == [[0, 1], [1, 0], [0, 1]]


def test_levels_ascend_as_numbers(make_competition):
    folder = make_competition(train=train(["10", "0.5", "2"]))
    competition = read_competition(folder, Task(kind="ordinal", target="label"), Data())
    assert competition.classes == ("0.5", "2", "10")
    assert competition.levels.tolist() == [0.5, 2, 10]
    assert competition.targets.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_one_cell_holds_several_labels_or_none(make_competition):
    classes, targets = encoded(make_competition, ["b a", "", "c", "a a "], kind="multilabel")
    assert classes == ("a", "b", "c")
    assert targets == [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_the_separator_is_the_configs(make_competition):
    classes, targets = encoded(
        make_competition, ["big dog,cat", "cat"], kind="multilabel", separator=","
    )
    assert classes == ("big dog", "cat")
    assert targets == [[1, 1], [0, 1]]


def test_multilabel_columns_keep_their_order(make_competition):
    folder = make_competition(train=train(["0", "1"], "z", a=["1", "1.0"]))
    competition = read_competition(folder, Task(kind="multilabel", target=["z", "a"]), Data())
    assert competition.classes == ("z", "a")
    assert competition.targets.tolist() == [[0, 1], [1, 1]]


def test_regression_targets_are_values(make_competition):
    folder = make_competition(train=train(["1.5", "-2"], "z", a=["1e3", "0"]))
    competition = read_competition(folder, Task(kind="regression", target=["z", "a"]), Data())
    assert competition.classes == ("z", "a")
    assert competition.targets.tolist() == [[1.5, 1000], [-2, 0]]


def test_cells_stay_the_text_that_they_were(make_competition):
    classes, _ = encoded(make_competition, ["007", "NA", "None"], kind="multiclass")
    assert classes == ("007", "NA", "None")


# Rows and paths.


def test_rows_and_paths_are_in_file_order(competition_folder):
    competition = read_competition(competition_folder, MULTICLASS, Data())
    assert competition.ids.tolist() == TRAIN
    assert competition.test_ids.tolist() == TEST
    assert competition.paths == [f"train/{n}" for n in TRAIN] + [f"test/{n}" for n in TEST]
    assert competition.groups is None
    assert competition.levels is None


def test_without_test_csv_the_samples_ids_are_taken(make_competition):
    competition = read_competition(make_competition(test=None), MULTICLASS, Data())
    assert competition.test_ids.tolist() == TEST[::-1]
    assert competition.paths[-1] == f"test/{TEST[0]}"


def test_without_a_sample_there_is_none(make_competition):
    folder = make_competition(sample_submission=None)
    assert read_competition(folder, MULTICLASS, Data()).sample is None


def test_any_column_may_stand_in_the_template(make_competition):
    table = pd.DataFrame({"id": ["1", "2"], "label": ["a", "b"], "stem": ["a1", "a2"]})
    folder = make_competition(train=table)
    data = Data(train_images="{where}/{stem}.png", test_images="test/{id}")
    said = "train.csv: no column 'where', but data.train_images names {where}; it has ['id'"
    assert said in error_of(folder, **data.model_dump())
    data = Data(train_images="train/{stem}.png", test_images="test/{id}")
    competition = read_competition(folder, MULTICLASS, data)
    assert competition.paths[:2] == ["train/a1.png", "train/a2.png"]


def many_rows(targets: np.ndarray, kind: str) -> Competition:
    """Rows 0, 1, ... with these targets (N, C), without files."""
    table = pd.DataFrame({"id": [f"{row}" for row in range(len(targets))]})
    names = tuple(f"c{column}" for column in range(targets.shape[1]))
    task = Task(kind=kind, target="y")
    return Competition(Path("none"), task, Data(), table, table[:3], None, names, targets)


@pytest.mark.parametrize("template", ["train/{stem}", "train/{stem}.jpg"])
def test_images_are_found_with_the_endings_that_they_have(make_competition, template):
    names = ["p.jpg", "q.JPG", "r.png", "s.1.2.PNG"]
    stems = [name.rpartition(".")[0] for name in names]
    table = pd.DataFrame({"id": stems, "stem": stems, "label": list("xyxy")})
    folder = make_competition(train=table)
    for name in names:
        (folder / "train" / name).touch()
    competition = read_competition(folder, MULTICLASS, Data(train_images=template))
    assert competition.paths[:4] == [f"train/{name}" for name in names]
    (note,) = competition.notes
    said = "images have another name or ending than the template says"
    assert re.match(rf"{4 if template.endswith('}') else 3} {said} \(.*1 \.JPG", note)
    part = competition.subset(0.5, rng=np.random.default_rng(0))
    assert set(part.paths) <= set(competition.paths)


def test_an_image_that_is_another_rows_stands_for_none(make_competition):
    table = pd.DataFrame({"id": ["a1.jpg", "a1.png"], "label": ["x", "y"]})
    assert "1 of 6 images are not there" in error_of(make_competition(train=table))


def test_one_class_per_row_may_be_given_as_columns(make_competition):
    table = train(["1", "0", "0.0", "1.0"], "p", q=["0", "1", "1", "0"], r=["0", "0", "0", "0"])
    task = Task(kind="multiclass", target=["r", "p", "q"])
    competition = read_competition(make_competition(train=table), task, Data())
    assert competition.classes == ("r", "p", "q")
    assert competition.targets.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("cells", "task", "said"),
    [
        (
            ["Red", "red", "1", "1.0"],
            {"kind": "multiclass"},
            ["['1', '1.0'] differ in", "'red'] d"],
        ),
        (["a", "b", "a b", "a b"], {"kind": "multiclass"}, ["taken as classes of their own"]),
        (["a", "b", "a b", "a b"], {"kind": "multiclass", "classes": ["a", "b", "a b"]}, []),
        (["a", "b", "a b", "a b"], {"kind": "multilabel"}, []),
        (["a|b", "a", "b", "a"], {"kind": "multilabel", "classes": ["a|b", "a", "b"]}, []),
        (["big dog", "big cat", "dog"], {"kind": "multiclass"}, []),
    ],
)
def test_labels_that_may_be_meant_otherwise_are_noted(make_competition, cells, task, said):
    folder = make_competition(train=train(cells))
    notes = read_competition(folder, Task(target="label", **task), Data()).notes
    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))


def test_a_sample_named_otherwise_is_offered_and_taken_when_it_is_named(make_competition):
    folder = make_competition(sample_submission=None)
    pd.DataFrame({"id": TEST, "label": "red"}).to_csv(folder / "SampleSubmission.csv", index=False)
    competition = read_competition(folder, MULTICLASS, Data())
    assert competition.sample is None
    (note,) = competition.notes
    assert "There is SampleSubmission.csv: say `data.sample_submission: Samp" in note
    named = Data(sample_submission="SampleSubmission.csv")
    competition = read_competition(folder, MULTICLASS, named)
    assert competition.sample["id"].tolist() == TEST
    assert competition.notes == ()


def test_how_files_are_read_is_noted(make_competition):
    folder = make_competition()
    for name in ("train", "sample_submission"):
        text = (folder / f"{name}.csv").read_text().replace(",", ";")
        (folder / f"{name}.csv").write_text(text, encoding="utf-16")
    competition = read_competition(folder, MULTICLASS, Data())
    assert competition.separator == ";"
    assert competition.classes == ("blue", "green", "red")
    assert [note.partition(" ")[0] for note in competition.notes] == [
        "train.csv",
        "sample_submission.csv",
        "the",
    ]
    assert (
        competition.notes[-1] == "the submission is written in UTF-8, sample_submission.csv is not"
    )


def test_columns_of_one_name_are_noted(make_competition):
    folder = make_competition(train=f"id,label,label\n{TRAIN[0]},a,b\n{TRAIN[1]},b,b\n")
    competition = read_competition(folder, MULTICLASS, Data())
    assert competition.classes == ("a", "b")
    (note,) = competition.notes
    assert note == "train.csv has columns of one name: the later ones are called ['label.1']"


@pytest.mark.parametrize(
    ("ids", "data"),
    [
        ([name[:-4] for name in TEST], {"test_images": "test/{id}.png"}),
        ([*TEST, "more.png"], {}),
    ],
)
def test_the_samples_own_rows_are_taken_as_the_messages_advise(make_competition, ids, data):
    folder = make_competition(sample_submission=pd.DataFrame({"id": ids, "label": "red"}))
    (folder / "test" / "more.png").touch()
    assert "`data.test_csv: sample_submission.csv`" in error_of(folder)
    advised = Data(test_csv="sample_submission.csv", **data)
    competition = read_competition(folder, MULTICLASS, advised)
    assert competition.test_ids.tolist() == ids


def test_truth_values_in_columns_of_labels_are_read(make_competition):
    folder = make_competition(train=train(["True", "False", "0"], "p", q=["true", "1.0", "FALSE"]))
    competition = read_competition(folder, Task(kind="multilabel", target=["p", "q"]), Data())
    assert competition.targets.tolist() == [[1, 1], [0, 1], [0, 0]]


def test_a_subset_keeps_shares_order_and_test_rows():
    labels = np.random.default_rng(0).permutation([0] * 60 + [1] * 30 + [2] * 10)
    whole = many_rows(np.eye(3)[labels], "multiclass")
    part = whole.subset(0.1, rng=np.random.default_rng(1))
    assert part.targets.sum(0).tolist() == [6, 3, 1]
    rows = part.ids.astype(int)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(part.targets, whole.targets[rows])
    assert part.test_ids.tolist() == whole.test_ids.tolist()
    other = whole.subset(0.1, rng=np.random.default_rng(2))
    assert other.ids.tolist() != part.ids.tolist()
    assert other.targets.sum(0).tolist() == [6, 3, 1]


def test_a_subset_of_values_has_some_from_each_tenth():
    values = np.random.default_rng(0).permutation(100.0 + np.arange(100))[:, None]
    part = many_rows(values, "regression").subset(0.1, rng=np.random.default_rng(1))
    assert sorted((part.targets[:, 0] - 100) // 10) == list(range(10))


def test_a_blank_group_is_a_group_of_its_own(make_competition):
    folder = make_competition(train=train(["a", "b", "a", "b"], who=["x", "", "x", " "]))
    competition = read_competition(folder, MULTICLASS, Data(group="who"))
    assert competition.groups.tolist() == ["x", TRAIN[1], "x", TRAIN[3]]


def test_a_blank_number_is_allowed_in_metadata(make_competition):
    folder = make_competition(train=train(["a", "b"], age=["", "3"]))
    assert read_competition(folder, MULTICLASS, Data(numeric=["age"]))


# Digests.


def test_the_rows_digest_follows_targets_ids_and_metadata(make_competition):
    def digest(cells, age=("1", "2"), **data):
        table = train(cells, age=age, other=["x", "y"])
        competition = read_competition(make_competition(train=table), MULTICLASS, Data(**data))
        return competition.rows_digest

    same = digest(["a", "b"])
    assert digest(["a", "b"], age=("1", "3")) == same  # a column that nobody learns from
    assert digest(["b", "a"]) != same
    assert digest(["a", "b"], numeric=["age"]) != same
    assert digest(["a", "b"], ("1", "3"), numeric=["age"]) != digest(["a", "b"], numeric=["age"])


# Bad input: what stands in the files, how they are read, what is said of it.
Y = {"kind": "multiclass", "target": "label"}
WRONG = {
    "no column": (
        {"train": train(["a", "b"], "lable")},
        Y,
        {},
        r"train\.csv: no column 'label' \(task\.target\); it has \['id', 'lable'\]; did you mean "
        r"`lable`\?",
    ),
    "no id column": (
        {},
        Y,
        {"id": "image_id"},
        r"train\.csv: no column 'image_id' \(data\.id\).*test\.csv: no.*sample_submission\.csv: no",
    ),
    "no metadata column in test": (
        {"test": pd.DataFrame({"id": TEST})},
        Y,
        {"numeric": ["age"]},
        r"/test\.csv: no column 'age' \(data\.numeric\)",
    ),
    "no metadata column in the sample that stands for test": (
        {"test": None},
        Y,
        {"numeric": ["age"]},
        r"/sample_submission\.csv: no column 'age'",
    ),
    "no group column": (
        {},
        Y,
        {"group": "signer"},
        r"train\.csv: no column 'signer' \(data\.group\)",
    ),
    "no image": (
        {},
        Y,
        {"train_images": "train/x{id}"},
        r"9 of 13 images are not there, e\.g\. \['train/xa0\.jpg', .*, \.\.\.\]\. `data.train_im",
    ),
    "no folder of that name": (
        {},
        Y,
        {"train_images": "images/{id}"},
        r"9 of 13 images .* There is no folder images; there are \['test', 'train'\]\.",
    ),
    "id like a glob pattern": (
        {"train": pd.DataFrame({"id": ["a**[", "a?"], "label": ["x", "y"]})},
        Y,
        {},
        r"2 of 6 images",
    ),
    "id twice": (
        {"train": pd.DataFrame({"id": ["a1.png", "a1.png"], "label": ["x", "y"]})},
        Y,
        {},
        r"train\.csv: 1 ids stand more than once, e\.g\. \['a1\.png'\]",
    ),
    "blank id": (
        {"train": pd.DataFrame({"id": ["a1.png", " "], "label": ["x", "y"]})},
        Y,
        {},
        r"train\.csv: 1 rows have no 'id', e\.g\. row 2 below the header",
    ),
    "blank label": (
        {"train": train(["a", "", "b"])},
        Y,
        {},
        rf"train\.csv: 1 rows have no 'label': those of ids \['{TRAIN[1]}'\]\. Leave them out of a "
        r"copy beside it, and name that in `data\.train_csv`",
    ),
    "label with spaces": (
        {"train": train(["a", " b", "a"])},
        Y,
        {},
        r"labels with spaces around them: \[' b'\]",
    ),
    "spaces after the separator": (
        {"train": train(["a, b", "b"])},
        {"kind": "multilabel", "target": "label", "separator": ","},
        {},
        r"labels with spaces around them: \[' b'\]",
    ),
    "one class": ({"train": train(["a", "a"])}, Y, {}, r"'label' has one value only, \['a'\]"),
    "no class at all": (
        {"train": train(["", ""])},
        {"kind": "multilabel", "target": "label"},
        {},
        r"'label' has no values",
    ),
    "binary with three": (
        {"train": train(["a", "b", "c"])},
        {"kind": "binary", "target": "label"},
        {},
        r"a binary target has two values, 'label' has 3: \['a', 'b', 'c'\]",
    ),
    "level as a word": (
        {"train": train(["1", "low"])},
        {"kind": "ordinal", "target": "label"},
        {},
        r"ordinal levels must be ascending numbers, found \['1', 'low'\]",
    ),
    "levels out of order": (
        {"train": train(["1", "2"])},
        {"kind": "ordinal", "target": "label", "classes": ["2", "1"]},
        {},
        r"ordinal levels must be ascending numbers, found \['2', '1'\]",
    ),
    "one level in two writings": (
        {"train": train(["1", "1.0", "2"])},
        {"kind": "ordinal", "target": "label"},
        {},
        r"ordinal levels must be ascending numbers, found \['1', '1\.0', '2'\]",
    ),
    "class that the config lacks": (
        {"train": train(["a", "b"])},
        {**Y, "classes": ["a", "c"]},
        {},
        r"labels that task\.classes does not have: \['b'\]; it has \['a', 'c'\]",
    ),
    "neither 0 nor 1": (
        {"train": train(["0", "2"], "z", a=["1", "yes"])},
        {"kind": "multilabel", "target": ["z", "a"]},
        {},
        r"multilabel columns hold 0 or 1, found \['2', 'yes'\]",
    ),
    "no number": (
        {"train": train(["1", "1,5", "", "nan"])},
        {"kind": "regression", "target": "label"},
        {},
        r"train\.csv: 3 cells of 'label' are no numbers, e\.g\. \['1,5', '', 'nan'\]",
    ),
    "no number in metadata": (
        {"test": pd.DataFrame({"id": TEST, "age": ["1", "2", "old", ""]})},
        Y,
        {"numeric": ["age"]},
        r"test\.csv: 1 cells of 'age' are no numbers, e\.g\. \['old'\]",
    ),
    "empty file": ({"train": ""}, Y, {}, r"train\.csv: not readable as CSV"),
    "header only": ({"train": "id,label\n"}, Y, {}, r"train\.csv: no rows below the header"),
    "no file": ({"train": None}, Y, {}, r"train\.csv: no such file\. The config's `data` section"),
    "neither test nor sample": (
        {"test": None, "sample_submission": None},
        Y,
        {},
        r"test\.csv: no such file",
    ),
    "cells beyond the header": (
        {"train": "id,label\na1.png,x,1\na2.png,y,2\n"},
        Y,
        {},
        r"train\.csv: not readable as CSV: line 2 has 3 in place of 2 cells",
    ),
    "ids in both": (
        {"test": pd.DataFrame({"id": [TRAIN[0], *TEST]}), "sample_submission": None},
        Y,
        {},
        r"1 ids are both in train\.csv and test\.csv, e\.g\. \['a0\.jpg'\].*allow_shared_ids: true",
    ),
    "other ids in the sample": (
        {"sample_submission": pd.DataFrame({"id": ["b0.png", "b0.png", "q"], "label": "x"})},
        Y,
        {},
        r"sample_submission\.csv: its ids are not those of test\.csv: "
        r"3 missing \['b1\.png', 'b2\.png', 'b3\.png'\], 1 unknown \['q'\], 1 repeated",
    ),
    "an image with several endings": (
        {"train": pd.DataFrame({"id": ["both", "a1.png"], "label": ["x", "y"]})},
        Y,
        {},
        r"1 of 6 images .* There are both\.jpg and both\.png: say the ending in the template",
    ),
    "images in folders below": (
        {"train": pd.DataFrame({"id": ["deep.png", "a1.png"], "label": ["x", "y"]})},
        Y,
        {},
        r"1 of 6 images .* There is train/red/deep\.png: a column of the CSV may name the folder",
    ),
    "a sample that is not there": (
        {},
        Y,
        {"sample_submission": "nope.csv"},
        r"nope\.csv: no such file\..* The folder has sample_submission\.csv, test\.csv, train\.csv",
    ),
    "a test that is not there": (
        {"tests": pd.DataFrame({"id": TEST})},
        Y,
        {"test_csv": "tests_.csv"},
        r"tests_\.csv: no such file\..* There is test\.csv: say `data\.test_csv: test\.csv` \(or",
    ),
    "train named otherwise": (
        {"train": None, "train_labels": train(["a", "b"])},
        Y,
        {},
        r"train\.csv: no such file\..* There is train_labels\.csv: say `data\.train_csv: train_l",
    ),
    "ids named otherwise": (
        {"sample_submission": pd.DataFrame({"image": TEST, "label": "x"})},
        Y,
        {},
        r"no column 'id' \(data\.id\); it has \['image', 'label'\]\. 'image' seems to be it: say "
        r"`submission: \{id: image\}`",
    ),
    "ids in capitals in train": (
        {"train": pd.DataFrame({"ID": TRAIN, "label": "x"})},
        Y,
        {},
        r"train\.csv: no column 'id'.* 'ID' seems to be it.*`data\.train_csv: train\.renamed\.csv`",
    ),
    "ids that every CSV names otherwise": (
        {
            "train": pd.DataFrame({"image": TRAIN, "row": TRAIN, "label": "a"}),
            "test": pd.DataFrame({"row": TEST}),
            "sample_submission": pd.DataFrame({"row": TEST, "label": "a"}),
        },
        Y,
        {"id": "image"},
        r"test\.csv: no column 'image'.* Every CSV has 'row'.*: say `data\.id: row`",
    ),
    "a sample in place of test.csv that names ids otherwise": (
        {"test": None, "sample_submission": pd.DataFrame({"image": TEST, "label": "x"})},
        Y,
        {},
        r"'image' seems to be it: say `submission: \{id: image\}`",
    ),
    "ids repeated in the sample": (
        {"sample_submission": pd.DataFrame({"id": [*TEST, TEST[0]], "label": "x"})},
        Y,
        {},
        r"1 repeated\. Save a copy without the repeated rows and name it in",
    ),
    "long form with repeated ids": (
        {"sample_submission": pd.DataFrame({"id": np.repeat(TEST, 3), "label": 0})},
        Y,
        {},
        r"8 repeated\. It looks like a long form",
    ),
    "long form under another name": (
        {
            "sample_submission": pd.DataFrame(
                {"ID": [f"{name[:-4]}_{label}" for name in TEST for label in "xy"], "p": 0}
            )
        },
        Y,
        {},
        r"no column 'id'.* It looks like a long form",
    ),
    "part of the test rows": (
        {"sample_submission": pd.DataFrame({"id": TEST[:2], "label": "x"})},
        Y,
        {},
        r"It has 2 of 4 test rows\..* `submission: \{rows: sample\}`.*`submission: \{rows: test\}`",
    ),
    "more than the test rows": (
        {"sample_submission": pd.DataFrame({"id": [*TEST, "b9.png"], "label": "x"})},
        Y,
        {},
        r"It has more rows than test\.csv: `data\.test_csv: sample_submission\.csv` takes",
    ),
    "ids without endings in the sample": (
        {"sample_submission": pd.DataFrame({"id": [name[:-4] for name in TEST], "label": "x"})},
        Y,
        {},
        r"those of test\.csv without \.png: `data\.test_csv: sample_submission\.csv` takes the "
        r'sample\'s, and `data\.test_images: "test/\{id\}\.png"` finds',
    ),
    "zeros in front of ids": (
        {
            "test": pd.DataFrame({"id": ["7", "10"]}),
            "sample_submission": pd.DataFrame({"id": ["007", "010"], "label": "x"}),
        },
        Y,
        {},
        r"They differ in capitals, spaces or zeros in front only: `data\.test_csv: sample_sub",
    ),
    "commas in numbers": (
        {"train": train(["1,5", "2,25"])},
        {"kind": "regression", "target": "label"},
        {},
        r"2 cells of 'label' are no numbers.* Write points for commas in a copy",
    ),
    "one answer for several images": (
        {
            "test": pd.DataFrame({"id": TEST, "who": ["p", "p", "q", "q"]}),
            "sample_submission": pd.DataFrame({"who": ["p", "q"], "label": "x"}),
        },
        Y,
        {},
        r"test\.csv has 'who' too, several rows of each.*`data: \{id: who, rows: file\}`",
    ),
    "rows of boxes": (
        {
            "train": pd.DataFrame({"id": TRAIN[:2] * 2, "box": range(4), "label": list("xyxy")}),
            "test": pd.DataFrame({"id": TEST, "box": range(4, 8)}),
        },
        Y,
        {},
        r"2 ids stand .* 'box' differs in every row: say `data\.id: box`, and `data\.g",
    ),
    "rows of boxes that test.csv lacks": (
        {"train": pd.DataFrame({"id": TRAIN[:2] * 2, "box": range(4), "label": list("xyxy")})},
        Y,
        {},
        r"2 ids stand more than once.*`data\.rows: file`.* are not read: write a CSV with one row",
    ),
    "rows of several readers": (
        {"train": pd.DataFrame({"id": TRAIN[:2] * 2, "label": list("xyxy")})},
        Y,
        {},
        r"2 ids stand more than once.*`data\.rows: file`.* are not read: write a CSV with one row",
    ),
    "another separator of labels": (
        {"train": train(["a", "b", "a|b", "b|c"], "label")},
        {"kind": "multilabel", "target": "label"},
        {},
        r"to be joined by '\|', not by ' ': \['a\|b', 'b\|c'\]\. Say `task\.separator: \"\|\"`",
    ),
    "classes of another writing": (
        {"train": train(["0.0", "1.0"])},
        {**Y, "classes": ["0", "1"]},
        {},
        r"task\.classes does not have: \['0\.0', '1\.0'\].* Write them so: `task\.classes: \["
        r'"0\.0", "1\.0"\]`',
    ),
    "columns that are not one class": (
        {"train": train(["1", "1", "0"], "p", q=["0", "1", "0"])},
        {"kind": "multiclass", "target": ["p", "q"]},
        {},
        rf"2 rows have no 1 in \['p', 'q'\], or several: those of ids \['{TRAIN[1]}', '",
    ),
}


@pytest.mark.parametrize(("tables", "task", "data", "said"), WRONG.values(), ids=WRONG)
def test_bad_input_has_its_message(make_competition, tables, task, data, said):
    folder = make_competition(**tables)
    (folder / "train" / "red").mkdir()
    for name in ("both.jpg", "both.png", "red/deep.png"):
        (folder / "train" / name).touch()
    assert re.search(said, error_of(folder, Task(**task), **data), re.DOTALL)


def test_all_problems_are_said_at_once(make_competition):
    folder = make_competition(
        train=pd.DataFrame({"id": ["a1.png", "a1.png", ""], "label": ["x ", "", "x"]}),
        test=pd.DataFrame({"id": ["a1.png", "b9.png"]}),
    )
    lines = error_of(folder).splitlines()
    assert len(lines) == 7, lines
    for part in (
        "rows have no 'id'",
        "stand more than once",
        "are both in",
        "sample_submission.csv: its ids",
        "rows have no 'label'",
        "spaces around",
        "images are not there",
    ):
        assert sum(part in line for line in lines) == 1


def test_a_repeated_id_is_said_once_where_the_sample_stands_for_test(make_competition):
    sample = pd.DataFrame({"id": [TEST[0], TEST[0]], "label": "x"})
    lines = error_of(make_competition(test=None, sample_submission=sample)).splitlines()
    assert len(lines) == 1
    assert "sample_submission.csv: 1 ids stand more than once" in lines[0]


def test_shared_ids_may_be_declared(make_competition):
    folder = make_competition(test=pd.DataFrame({"id": [TRAIN[1]]}), sample_submission=None)
    data = Data(allow_shared_ids=True, test_images="train/{id}")
    assert read_competition(folder, MULTICLASS, data).test_ids.tolist() == [TRAIN[1]]


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "sample_submission.csv"])
def test_a_csv_that_is_a_folder_is_refused(competition_folder, name):
    (competition_folder / name).unlink()
    (competition_folder / name).mkdir()
    with pytest.raises(UserError, match=rf"{name}: not readable: Is a directory"):
        read_competition(competition_folder, MULTICLASS, Data())


def test_no_folder_says_how_to_link_it(tmp_path):
    assert re.search(r"no such folder.*`ln -s /path/to/x .*x`", error_of(tmp_path / "x"))


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {str(path): path.stat() for path in [folder, *folder.rglob("*")]}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def test_nothing_under_input_is_written_and_it_may_be_read_only(competition_folder):
    before = listing(competition_folder)
    folders = [competition_folder, *competition_folder.rglob("*")]
    for path in folders:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        competition = read_competition(competition_folder, MULTICLASS, Data())
    finally:
        for path in folders:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert len(competition.ids) == 9
    assert listing(competition_folder) == before


def test_input_may_be_a_link(competition_folder, tmp_path):
    os.symlink(competition_folder, tmp_path / "link")
    linked = read_competition(tmp_path / "link", MULTICLASS, Data())
    direct = read_competition(competition_folder, MULTICLASS, Data())
    assert linked.rows_digest == direct.rows_digest
    assert np.array_equal(linked.targets, direct.targets)


def test_cells_that_a_spreadsheet_would_run_are_named_and_numbers_are_not(make_competition):
    cells = ["=1+1", "-0.5", "@x", "1e-3"] * 2
    folder = make_competition(train=train(cells[: len(TRAIN)]))
    notes = " ".join(read_competition(folder, MULTICLASS, Data()).notes)
    assert "2 classes begin like a formula, e.g." in notes
    assert "'=1+1'" in notes
    assert "'@x'" in notes
    assert "-0.5" not in notes
    assert "ids begin like a formula" not in notes
