"""Competitions in the layouts that they come in, small, as files; and what must be found."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

TRAIN = [f"a{row:02d}" for row in range(30)]
TEST = [f"b{row:02d}" for row in range(8)]
WORDS = ["red", "green", "blue"]
LABELS = [WORDS[row % 3] for row in range(30)]
Layout = Callable[[Path], dict[str, Any]]
LAYOUTS: dict[str, Layout] = {}  # name: writes files into a folder, returns expected values by key


def layout(write: Layout) -> Layout:
    LAYOUTS[write.__name__] = write
    return write


def images(folder: Path, names: Iterable[str], ending: str = ".png", mode: str = "RGB") -> None:
    """Write small images of noise, each with its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([*path.as_posix()[-40:].encode()])
        if mode == "I;16":
            Image.fromarray(rng.integers(0, 4000, (20, 24)).astype(np.uint16)).save(path)
        else:
            pixels = rng.integers(0, 255, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).convert(mode).save(path)


def csv(folder: Path, name: str, **columns: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)


def plain(folder: Path, *, ending: str = "") -> None:
    """Images in train and test, test.csv; other files are the layout's own."""
    images(folder / "train", TRAIN)
    images(folder / "test", TEST)
    csv(folder, "test.csv", id=[f"{name}{ending}" for name in TEST])


@layout
def default(folder: Path) -> dict[str, Any]:
    plain(folder, ending=".png")
    csv(folder, "train.csv", id=[f"{name}.png" for name in TRAIN], label=LABELS)
    csv(folder, "sample_submission.csv", id=[f"{name}.png" for name in TEST], label="red")
    return {"task.kind": "multiclass", "task.target": "label", "data.train_images": "train/{id}"}


@layout
def other_names_separator_and_encoding(folder: Path) -> dict[str, Any]:
    images(folder / "pictures/training set", TRAIN, ".jpg")
    images(folder / "pictures/test set", TEST, ".jpg")
    labels = ["grün", "très bleu", "rouge"]
    table = pd.DataFrame({"Bild": TRAIN, "Farbe": [labels[row % 3] for row in range(30)]})
    table.to_csv(folder / "TrainLabels.csv", sep=";", encoding="cp1252", index=False)
    sample = pd.DataFrame({"Bild": TEST, "Farbe": "rouge"})
    sample.to_csv(folder / "SampleSubmission.csv", sep="\t", encoding="utf-16", index=False)
    return {
        "task.kind": "multiclass",
        "task.target": "Farbe",
        "data.id": "Bild",
        "data.train_csv": "TrainLabels.csv",
        "data.sample_submission": "SampleSubmission.csv",
        "data.train_images": "pictures/training set/{Bild}.jpg",
        "data.test_images": "pictures/test set/{Bild}.jpg",
    }


@layout
def column_per_class(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, colour=LABELS)
    csv(folder, "sample_submission.csv", id=TEST, blue=0.33, green=0.33, red=0.33)
    return {
        "task.kind": "multiclass",
        "task.target": "colour",
        "task.metric": "log_loss",
        "data.train_images": "train/{id}.png",
    }


@layout
def lists_of_labels(folder: Path) -> dict[str, Any]:
    plain(folder)
    lists = [" ".join(WORDS[: 1 + row % 3]) for row in range(27)] + ["green", "blue", "red blue"]
    csv(folder, "train.csv", id=TRAIN, tags=lists)
    csv(folder, "sample_submission.csv", id=TEST, tags="red blue")
    return {"task.kind": "multilabel", "task.target": "tags", "task.metric": "f1_samples"}


@layout
def lists_with_another_separator(folder: Path) -> dict[str, Any]:
    plain(folder)
    lists = ["|".join(WORDS[: 1 + row % 3]) for row in range(27)] + ["green", "blue", "red|blue"]
    csv(folder, "train.csv", id=TRAIN, findings=lists)
    csv(folder, "sample_submission.csv", id=TEST, blue=0.5, green=0.5, red=0.5)
    return {"task.kind": "multilabel", "task.target": "findings", "task.separator": "|"}


@layout
def guesses_in_order(folder: Path) -> dict[str, Any]:
    plain(folder)
    labels = [f"w_{row % 6}" for row in range(30)]
    csv(folder, "train.csv", Image=TRAIN, Id=labels)
    csv(folder, "sample_submission.csv", Image=TEST, Id="w_0 w_1 w_2 w_3 w_4")
    (folder / "test.csv").unlink()
    return {"task.kind": "multiclass", "task.target": "Id", "task.metric": "map_at_5"}


@layout
def flags(folder: Path) -> dict[str, Any]:
    plain(folder)
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(0, 2, 30) for name in ("cat", "dog", "owl")}
    csv(folder, "train.csv", id=TRAIN, **columns)
    csv(folder, "sample_submission.csv", id=TEST, cat=0, dog=0, owl=0)
    return {"task.kind": "multilabel", "task.target": ["cat", "dog", "owl"]}


@layout
def one_hot(folder: Path) -> dict[str, Any]:
    plain(folder)
    columns = {name: [int(label == name) for label in LABELS] for name in WORDS}
    csv(folder, "train.csv", id=TRAIN, **columns)
    csv(folder, "sample_submission.csv", id=TEST, red=0.3, green=0.3, blue=0.3)
    return {"task.kind": "multiclass", "task.target": ["red", "green", "blue"]}


@layout
def ordered_integers(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, severity=[row % 5 for row in range(30)])
    csv(folder, "sample_submission.csv", id=TEST, severity=0)
    return {"task.kind": "ordinal", "task.metric": "quadratic_weighted_kappa"}


@layout
def digits_as_labels(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, label=[row % 10 for row in range(30)])
    csv(folder, "sample_submission.csv", id=TEST, label=0)
    return {"task.kind": "multiclass", "task.target": "label"}


@layout
def regression_of_several_columns(folder: Path) -> dict[str, Any]:
    plain(folder)
    rng = np.random.default_rng(0)
    csv(folder, "train.csv", id=TRAIN, x=rng.normal(size=30), y=rng.normal(size=30), site="k")
    csv(folder, "sample_submission.csv", id=TEST, x=0, y=0)
    return {"task.kind": "regression", "task.target": ["x", "y"], "task.metric": "rmse"}


@layout
def regression_with_metadata(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    plain(folder)
    common = {
        "age": rng.integers(20, 80, 38),
        "sex": rng.choice(["m", "f"], 38),
        "patient": [f"P{row // 2}" for row in range(38)],
        "taken": [f"2021-03-{1 + row % 28:02d}" for row in range(38)],
    }
    train = {name: values[:30] for name, values in common.items()}
    test = {name: values[30:] for name, values in common.items()}
    csv(folder, "train.csv", id=TRAIN, **train, price=rng.lognormal(size=30), extra="k")
    csv(folder, "test.csv", id=TEST, **test)
    csv(folder, "sample_submission.csv", id=TEST, price=1.0)
    return {
        "task.kind": "regression",
        "task.target": "price",
        "data.group": "patient",
        "data.numeric": ["age"],
        "data.categorical": ["sex"],
        "data.dates": None,
    }


@layout
def numbers_as_ids(folder: Path) -> dict[str, Any]:
    """Ids without the zeros of the files' names, the same ids in both splits."""
    images(folder / "train", [f"img_{row:05d}" for row in range(30)], ".jpg")
    images(folder / "test", [f"img_{row:05d}" for row in range(8)], ".jpg")
    csv(folder, "train.csv", id=range(30), label=LABELS)
    csv(folder, "test.csv", id=range(8))
    csv(folder, "sample_submission.csv", id=range(8), label="red")
    return {
        "data.train_images": "train/img_{id:0>5}.jpg",
        "data.test_images": "test/img_{id:0>5}.jpg",
        "data.allow_shared_ids": True,
    }


@layout
def zeros_in_front(folder: Path) -> dict[str, Any]:
    names = [f"{row:04d}" for row in range(38)]
    images(folder / "images", names)
    csv(folder, "train.csv", image_id=names[:30], label=LABELS)
    csv(folder, "sample_submission.csv", image_id=names[30:], label="red")
    return {"data.id": "image_id", "data.train_images": "images/{image_id}.png"}


@layout
def mixed_endings_and_unicode(folder: Path) -> dict[str, Any]:
    train = [f"süß foto {row}" for row in range(30)]
    images(folder / "train", train[:15], ".jpg")
    images(folder / "train", train[15:], ".PNG")
    images(folder / "test", TEST, ".jpeg")
    images(folder / "train/.thumbs", train)
    images(folder / "__MACOSX/train", train)
    (folder / ".DS_Store").write_text("x")
    csv(folder, "train.csv", id=train, label=LABELS)
    csv(folder, "sample_submission.csv", id=TEST, label="red")
    return {"data.train_images": "train/{id}", "data.test_images": "test/{id}.jpeg"}


@layout
def folders_named_by_a_column(folder: Path) -> dict[str, Any]:
    for name, label in zip(TRAIN, LABELS, strict=True):
        images(folder / "photos" / label, [name])
    images(folder / "photos" / "unknown", TEST)
    csv(folder, "train.csv", id=TRAIN, label=LABELS)
    csv(folder, "sample_submission.csv", id=TEST, label="red")
    return {
        "data.train_images": "photos/{label}/{id}.png",
        "data.test_images": "photos/unknown/{id}.png",
    }


@layout
def paths_in_a_column(folder: Path) -> dict[str, Any]:
    images(folder / "data/img", [*TRAIN, *TEST])
    csv(folder, "train.csv", id=range(30), file=[f"img/{n}.png" for n in TRAIN], label=LABELS)
    csv(folder, "test.csv", id=range(30, 38), file=[f"img/{name}.png" for name in TEST])
    csv(folder, "sample_submission.csv", id=range(30, 38), label="red")
    return {"data.id": "id", "data.train_images": "data/{file}", "data.test_images": "data/{file}"}


@layout
def answers_and_other_tables(folder: Path) -> dict[str, Any]:
    plain(folder)
    csv(folder, "train.csv", id=TRAIN, label=LABELS)
    csv(folder, "train_meta.csv", id=TRAIN, camera="k")
    csv(folder, "solution.csv", id=TEST, label=LABELS[:8])
    csv(folder, "empty.csv", id=[], label=[])
    (folder / "nothing.csv").write_text("")
    csv(folder, "sample_submission.csv", id=TEST, label="red")
    return {"data.train_csv": "train.csv", "data.test_csv": "test.csv"}


@layout
def deep_grey_images(folder: Path) -> dict[str, Any]:
    images(folder / "train", TRAIN, mode="I;16")
    images(folder / "test", TEST, mode="I;16")
    csv(folder, "train.csv", id=TRAIN, ill=[row % 2 for row in range(30)])
    csv(folder, "sample_submission.csv", id=TEST, ill=0.5)
    return {"task.kind": "binary", "task.metric": "roc_auc", "data.pixel_range": None}


@layout
def folder_per_class(folder: Path) -> dict[str, Any]:
    for label in WORDS:
        images(folder / "train" / label, [f"{label}{row}" for row in range(10)])
    images(folder / "test", TEST)
    return {"task.kind": "multiclass", "data.class_folders": "train"}


@layout
def folder_per_class_and_sample(folder: Path) -> dict[str, Any]:
    for label in WORDS:
        images(folder / "train" / label, [f"{label}{row}" for row in range(10)])
    images(folder / "test", TEST)
    csv(folder, "sample_submission.csv", file=[f"{name}.png" for name in TEST], species="red")
    return {"task.target": "species", "data.id": "file", "data.class_folders": "train"}


@layout
def archives(folder: Path) -> dict[str, Any]:
    images(folder / "train", TRAIN)
    images(folder / "test", TEST)
    shutil.make_archive(str(folder / "train"), "zip", folder, "train")
    shutil.make_archive(str(folder / "test_images"), "gztar", folder, "test")
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "test")
    csv(folder, "tables/train.csv", id=TRAIN, label=LABELS)
    shutil.make_archive(str(folder / "tables"), "zip", folder / "tables")
    shutil.rmtree(folder / "tables")
    csv(folder, "sample_submission.csv", id=TEST, label="red")
    return {
        "data.train_csv": "tables.zip/train.csv",
        "data.train_images": "train.zip/train/{id}.png",
        "data.test_images": "test_images.tar.gz/test/{id}.png",
    }


@layout
def row_per_label(folder: Path) -> dict[str, Any]:
    plain(folder)
    pairs = [(name, label) for row, name in enumerate(TRAIN) for label in WORDS[: 1 + row % 3]]
    pairs[-1] = (pairs[-1][0], "blue")
    csv(folder, "train.csv", id=[p[0] for p in pairs], label=[p[1] for p in pairs])
    csv(folder, "sample_submission.csv", id=TEST, red=0.5, green=0.5, blue=0.5)
    return {"task.kind": "multilabel", "data.rows": "label"}


@layout
def long_sample(folder: Path) -> dict[str, Any]:
    plain(folder)
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(0, 2, 30) for name in WORDS}
    csv(folder, "train.csv", id=TRAIN, **columns)
    ids = [f"{name}_{word}" for name in TEST for word in WORDS]
    csv(folder, "sample_submission.csv", id=ids, probability=0.5)
    return {"task.kind": "multilabel", "task.target": WORDS}
