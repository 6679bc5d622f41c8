"""A small competition of photographs with nothing wrong, and leaks to plant into it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.config.schema import Data, Task
from pipeline.core.competition import Competition
from pipeline.core.folds import FoldTable
from pipeline.core.read_competition import read_competition
from pipeline.images.index import ImageIndex
from pipeline.images.refresh_index import refresh_index

CLASSES = ("cat", "dog", "owl")
MULTICLASS = {"kind": "multiclass", "target": "label"}
NUM_TRAIN, NUM_TEST = 160, 60
Plant = Callable[[pd.DataFrame, list[np.ndarray]], None]


def write_competition(
    root: Path,
    *,
    seed: int = 0,
    plant: Plant | None = None,
    exif: Callable[[dict], Image.Exif] | None = None,
    scene_of: Callable[[int], int] | None = None,
) -> Path:
    """Write input/planted: rows in random order, each image a scene of its own.

    Args:
        plant: changes the table of all rows (id, split, label, value) and their images in place.
        exif: a row -> its tags.
        scene_of: row -> number of its scene; rows of one scene look nearly alike.
    """
    rng = np.random.default_rng(seed)
    count = NUM_TRAIN + NUM_TEST
    numbers = rng.permutation(10_000)[:count]
    table = pd.DataFrame(
        {
            "id": [f"{number:05d}.jpg" for number in numbers],
            "split": ["train"] * NUM_TRAIN + ["test"] * NUM_TEST,
            "label": rng.choice(CLASSES, count),
            "value": rng.normal(size=count),
        }
    )
    scenes = {}
    images = []
    for row in range(count):
        scene = row if scene_of is None else scene_of(row)
        scenes.setdefault(scene, rng.integers(60, 200, (9, 9, 3)).astype(np.uint8))
        picture = Image.fromarray(scenes[scene]).resize((56, 48), Image.Resampling.BILINEAR)
        noise = rng.integers(-12, 13, (48, 56, 3))
        images.append((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))
    if plant is not None:
        plant(table, images)
    folder = root / "input" / "planted"
    for row, image in zip(table.to_dict("records"), images, strict=True):
        path = folder / row["split"] / row["id"]
        path.parent.mkdir(parents=True, exist_ok=True)
        tags = {} if exif is None else {"exif": exif(row)}
        Image.fromarray(image).save(path, format="JPEG", quality=92, **tags)
    is_train = table["split"] == "train"
    table[is_train].drop(columns="split").to_csv(folder / "train.csv", index=False)
    table[~is_train][["id"]].to_csv(folder / "test.csv", index=False)
    table[~is_train][["id"]].assign(label="cat").to_csv(
        folder / "sample_submission.csv", index=False
    )
    return folder


def open_planted(
    root: Path, *, seed: int = 0, task: dict | None = None
) -> tuple[Competition, ImageIndex, FoldTable]:
    """What the audit looks at; folds are drawn row by row."""
    folder = root / "input" / "planted"
    competition = read_competition(folder, Task(**(task or MULTICLASS)), Data())
    index = refresh_index(root / "index.npz", folder, competition.paths)
    rng = np.random.default_rng([seed, 1])
    folds = rng.permutation(len(competition.ids)) % 5
    return competition, index, FoldTable(folds[None], competition.ids, ("digest",))


def by_number(table: pd.DataFrame, images: list) -> None:
    """Files were numbered class by class; the CSV is shuffled, as it came."""
    ranks = table["label"].rank(method="first").astype(int)
    table["id"] = [f"{rank:05d}.jpg" for rank in ranks]


def by_border(table: pd.DataFrame, images: list) -> None:
    """A line of two pixels on one side, of a grey per class."""
    for label, image in zip(table["label"], images, strict=True):
        image[:2] = 60 + 60 * CLASSES.index(label)


def by_camera(row: dict) -> Image.Exif:
    """Each class was photographed with another camera."""
    tags = Image.Exif()
    tags[271], tags[272] = "Canon", f"model {CLASSES.index(row['label'])}"
    return tags


def with_twins(table: pd.DataFrame, images: list) -> None:
    """Three test images are training images; two training images are the same, labels are not."""
    for row in range(3):
        images[NUM_TRAIN + row] = images[row]
    images[10] = images[11]
    table.loc[10:11, "label"] = ["cat", "dog"]


def by_person(row: int) -> int:
    """Ten photos of each of 16 persons; test persons, three photos each, are others."""
    return row // 10 if row < NUM_TRAIN else row // 3 + 99
