"""Layouts in which a competition's files are easily misread, and those that must be asked about."""

import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from competition_layouts import LABELS, TEST, TRAIN, WORDS, Layout, csv, default, images, plain

ODD: dict[str, Layout] = {}  # as LAYOUTS: `make folds` takes what is written
# Name: writes files into a folder, returns what the config's comments say; `make folds` may refuse.
QUESTIONS: dict[str, Layout] = {}


def odd(write: Layout) -> Layout:
    ODD[write.__name__] = write
    return write


def question(write: Layout) -> Layout:
    QUESTIONS[write.__name__] = write
    return write


def sample(folder: Path) -> None:
    csv(folder, "sample_submission.csv", id=TEST, label="red")


@odd
def test_folder_that_no_csv_names(folder: Path) -> dict[str, Any]:
    images(folder / "train", TRAIN)
    images(folder / "test/unknown", TEST)
    csv(folder, "train.csv", id=TRAIN, label=LABELS)
    return {"data.test_csv": "test/unknown", "data.test_images": "test/unknown/{id}.png"}


@odd
def test_folder_in_an_archive(folder: Path) -> dict[str, Any]:
    images(folder / "train", TRAIN)
    images(folder / "held", TEST)
    shutil.make_archive(str(folder / "Test"), "zip", folder / "held")
    shutil.rmtree(folder / "held")
    csv(folder, "train.csv", id=[f"{name}.png" for name in TRAIN], label=LABELS)
    return {"data.test_csv": "Test.zip", "data.test_images": "Test.zip/{id}"}


@odd
def test_images_beside_training_images(folder: Path) -> dict[str, Any]:
    images(folder / "latest_images", [*TRAIN, *TEST])  # no folder of test images
    csv(folder, "train.csv", id=TRAIN, label=LABELS)
    return {"data.test_csv": "latest_images", "data.test_images": "latest_images/{id}.png"}


@odd
def folders_per_class_in_the_test_folder(folder: Path) -> dict[str, Any]:
    for label in WORDS:
        images(folder / "TRAIN" / label, [f"{label}{row}" for row in range(10)])
        images(folder / "TEST" / label, [f"t{label}{row}" for row in range(3)])
    return {"data.class_folders": "TRAIN", "data.test_images": "TEST/{id}"}


@odd
def folders_per_class_at_the_top(folder: Path) -> dict[str, Any]:
    for label in WORDS:
        images(folder / label, [f"{label}{row}" for row in range(10)])
    images(folder / "test", TEST)
    return {"data.class_folders": ".", "task.kind": "multiclass"}


@odd
def somebodys_submission(folder: Path) -> dict[str, Any]:
    default(folder)
    csv(folder, "my_submission.csv", id=[f"{name}.png" for name in TEST], label=LABELS[:8])
    csv(folder, "best_submission.csv", id=[f"{name}.png" for name in TEST], label="red")
    return {"data.sample_submission": "sample_submission.csv", "data.test_csv": "test.csv"}


@odd
def letters_in_two_parts(folder: Path) -> dict[str, Any]:
    names = [f"größe {row}" for row in range(30)]
    images(folder / "train", [unicodedata.normalize("NFD", name) for name in names])
    images(folder / "test", TEST)
    csv(folder, "train.csv", id=names, label=LABELS)
    sample(folder)
    return {"data.train_images": "train/{id}.png"}


@odd
def bars_between_few_labels(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, found=["A|B", "B", "No finding", "A|C", "C"] * 6)
    csv(folder, "sample_submission.csv", id=TEST, found="No finding")
    return {"task.kind": "multilabel", "task.separator": "|"}


@odd
def metadata_that_hardly_vary(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, label=LABELS, source="web")
    csv(folder, "test.csv", id=TEST, source="web")  # no sample
    return {"task.target": "label", "data.test_csv": "test.csv"}


@odd
def test_rows_with_labels(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, label=LABELS, age=range(30))
    csv(folder, "test.csv", id=TEST, label=LABELS[:8], age=range(8))
    return {"task.target": "label", "data.numeric": ["age"]}


@odd
def tables_that_are_none(folder: Path) -> dict[str, Any]:
    default(folder)
    (folder / "weights.csv").write_bytes(bytes(range(256)))
    (folder / "odd.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "README.txt").write_text("A text, with commas\nand, lines\n")
    (folder / "train" / "loop").symlink_to(folder)
    return {"data.train_csv": "train.csv"}


@odd
def several_images_in_a_row(folder: Path) -> dict[str, Any]:
    for split, ids in (("train", TRAIN), ("test", TEST)):
        eyes = {eye: [f"{row}_{eye}.png" for row in ids] for eye in ("left", "right")}
        images(folder / split, [*eyes["left"], *eyes["right"]], "")
        labels = {"label": LABELS} if split == "train" else {}
        csv(folder, f"{split}.csv", id=ids, **eyes, **labels)
    sample(folder)
    return {
        "data.id": "id",
        "data.train_images": ["train/{left}", "train/{right}"],
        "data.test_images": ["test/{left}", "test/{right}"],
    }


@odd
def an_answer_for_several_rows(folder: Path) -> dict[str, Any]:
    for split, ids in (("train", TRAIN), ("test", TEST)):
        people = np.repeat([f"p{split}{row}" for row in range(len(ids) // 2)], 2)
        files = [f"{name}{ending}" for name in ids for ending in ("", "x")]
        images(folder / split, files)
        labels = {"label": np.repeat(LABELS[:15], 4)} if split == "train" else {}
        people = np.repeat(people, 2)
        csv(folder, f"{split}.csv", image_id=files, patient_id=people, **labels)
    people = [f"ptest{row}" for row in range(4)]
    csv(folder, "sample_submission.csv", patient_id=people, label="red")
    return {
        "data.id": "patient_id",
        "data.rows": "file",
        "data.train_images": "train/{image_id}.png",
        "data.test_images": "test/{image_id}.png",
    }


@odd
def one_csv_with_a_split(folder: Path) -> dict[str, Any]:
    images(folder / "all", [*TRAIN, *TEST])
    parts = ["train"] * 20 + ["val"] * 10 + ["test"] * 8
    csv(folder, "data.csv", id=[*TRAIN, *TEST], split=parts, label=LABELS + [""] * 8)
    return {
        "data.train_csv": "data.csv",
        "data.split": {"column": "split", "train": ["train", "val"], "test": ["test"]},
        "task.target": "label",
    }


@question
def image_and_class_in_a_cell(folder: Path) -> str:
    plain(folder)
    ids = [f"{name}_{word}" for name in TRAIN for word in WORDS]
    csv(folder, "train.csv", ID=ids, ill=[row % 2 for row in range(90)])
    csv(folder, "sample_submission.csv", ID=[f"{n}_{w}" for n in TEST for w in WORDS], ill=0.5)
    return r"`ID` of train\.csv holds an image and a class, .*rows\.pivot\(index='id'"


@question
def header_that_no_template_holds(folder: Path) -> str:
    plain(folder)
    csv(folder, "train.csv", **{"image.name": TRAIN, "label": LABELS})
    return r"`image\.name` of train\.csv names images, but .*another header"


@odd
def paths_of_windows(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", path=[f"train\\{name}.png" for name in TRAIN], label=LABELS)
    csv(folder, "test.csv", path=[f"test\\{name}.png" for name in TEST])
    csv(folder, "sample_submission.csv", path=[f"test\\{name}.png" for name in TEST], label="red")
    return {"data.train_images": "{path}", "data.test_images": "{path}"}


@question
def images_in_several_folders(folder: Path) -> str:
    images(folder / "train_1", TRAIN[:15])
    images(folder / "train_2", TRAIN[15:])
    csv(folder, "train.csv", id=TRAIN, label=LABELS)
    return r"lie in 2 folders \(train_1, train_2\): .*\"\{folder\}/\{id\}\""


@question
def rows_without_a_header(folder: Path) -> str:
    plain(folder)
    table = pd.DataFrame({"id": TRAIN, "label": LABELS})
    table.to_csv(folder / "train.csv", header=False, index=False)
    return r"its first line, a00, red, is no header"


@question
def commas_for_points(folder: Path) -> str:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, size=[f"{row},{row % 7}" for row in range(30)])
    return r"kind: regression .*numbers with commas: save a copy with points"


@question
def commas_in_names_of_classes(folder: Path) -> str:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, label=["shirt, red", "shirt, blue", "shoe, red"] * 10)
    return r"kind: multiclass +# a guess.*multilabel, if ','"


@question
def test_rows_without_labels(folder: Path) -> str:
    images(folder / "all", [*TRAIN, *TEST])
    csv(folder, "all.csv", id=[*TRAIN, *TEST], label=LABELS + [""] * 8)
    return r"8 of 38 rows of all\.csv have no `label`: if they are the test rows"


@question
def an_id_twice(folder: Path) -> str:
    plain(folder)
    csv(folder, "train.csv", id=[*TRAIN[:-1], TRAIN[0]], label=LABELS)
    return r"1 ids stand more than once.*kind: multiclass"


@question
def several_measurements_of_an_image(folder: Path) -> str:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN * 2, size=[row / 7 for row in range(60)])
    return r"30 ids stand more than once.*kind: regression"


@question
def two_tables_of_training_rows(folder: Path) -> str:
    plain(folder)
    csv(folder, "train_new.csv", id=TRAIN, label=LABELS)
    csv(folder, "train_old.csv", id=TRAIN, label=LABELS[::-1])
    return r"train_csv: train_new\.csv +# likely: .*Or: train_old\.csv"


@question
def a_column_of_the_sample_that_train_lacks(folder: Path) -> str:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, a=[0, 1] * 15, b=[0, 0, 1] * 10)
    csv(folder, "sample_submission.csv", id=TEST, prediction=0)
    return r"target: b +# a guess: .*Or: a"


@odd
def ids_named_otherwise(folder: Path) -> dict[str, Any]:
    images(folder / "train", TRAIN)
    images(folder / "test", TEST)
    csv(folder, "train.csv", image=TRAIN, label=LABELS)
    sample(folder)
    return {"data.id": "image", "submission.id": "id"}


@question
def samples_of_two_stages(folder: Path) -> str:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, label=LABELS)
    csv(folder, "sample_stage1.csv", id=TEST[:4], label="red")
    csv(folder, "sample_stage2.csv", id=TEST[4:], label="red")
    return r"sample_submission: sample_stage1\.csv .*Or: sample_stage2\.csv"


@question
def no_test_images(folder: Path) -> str:
    for label in WORDS:
        images(folder / label, [f"{label}{row}" for row in range(10)])
    return r"no test images: put them into a folder test"
