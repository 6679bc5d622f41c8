"""Target leaks: each planted leak is named, and a clean competition has quiet findings only."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from planted import (
    CLASSES,
    NUM_TRAIN,
    by_border,
    by_camera,
    by_number,
    by_person,
    open_planted,
    write_competition,
)

from pipeline.core.finding import Finding, notes_of
from pipeline.core.task import Task
from pipeline.estimates.association import Outcome, associate, holm, outcome_of
from pipeline.leaks import target_leaks
from pipeline.leaks.target_leaks import find_target_leaks
from pipeline.leaks.train_test_shift import find_shift
from pipeline.splitting.scene_finder import find_scenes, thumbnail_features
from pipeline.splitting.scenes import find_torn_columns, find_torn_scenes


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    """As sure of these leaks, and three times as fast."""
    monkeypatch.setattr(target_leaks, "NUM_TREES", 12)


def graded(findings: list[Finding], *grades: str) -> list[str]:
    return sorted(finding.name for finding in findings if finding.grade in grades)


def look(root, *, seed: int = 0, task: dict | None = None) -> list[Finding]:
    """All looks of the folds stage."""
    competition, index, table = open_planted(root, seed=seed, task=task)
    pixels = index.thumbnails.reshape(len(index.paths), -1).astype(np.float32)
    return [
        *find_target_leaks(competition, index, table, seed=seed),
        *find_torn_columns(competition, table),
        find_torn_scenes(find_scenes(thumbnail_features(index.thumbnails)), index, table),
        find_shift(pixels, table.folds, index.paths, what="thumbnails", seed=seed),
    ]


def by_row(table: pd.DataFrame, images: list) -> None:
    """The CSV is sorted by class; names say nothing."""
    table.loc[: NUM_TRAIN - 1, "label"] = np.sort(table["label"][:NUM_TRAIN])


def by_prefix(table: pd.DataFrame, images: list) -> None:
    table["id"] = [
        f"{'xyz'[CLASSES.index(label)]}{row_id}"
        for label, row_id in zip(table["label"], table["id"], strict=True)
    ]


def by_size(table: pd.DataFrame, images: list) -> None:
    for row, label in enumerate(table["label"]):
        extra = CLASSES.index(label)
        images[row] = images[row][: 48 - extra]


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (by_number, ["file name", "file number"]),
        (by_row, ["row order"]),
        (by_prefix, ["file name"]),
        (by_border, ["border pixels"]),
        (by_size, ["file size", "image dimensions"]),
    ],
)
def test_a_planted_leak_is_named_and_nothing_else(tmp_path, plant, found):
    write_competition(tmp_path, plant=plant)
    findings = look(tmp_path)
    assert graded(findings, "suspicious") == found
    finding = next(finding for finding in findings if finding.name == found[0])
    assert finding.score > 0.9
    assert finding.advice
    assert len(finding.examples) == 3
    ((_, images),) = finding.images
    assert [path for path, _ in images] == finding.examples


def test_a_camera_per_class_is_named(tmp_path):
    write_competition(tmp_path, exif=by_camera)
    assert graded(look(tmp_path), "suspicious") == ["EXIF camera"]


def test_a_day_per_class_is_named(tmp_path):
    def exif(row: dict) -> Image.Exif:
        tags = Image.Exif()
        tags.get_ifd(0x8769)[36867] = f"2024:05:0{1 + CLASSES.index(row['label'])} 10:00:00"
        return tags

    write_competition(tmp_path, exif=exif)
    assert graded(look(tmp_path), "suspicious") == ["EXIF time"]


@pytest.mark.parametrize("seed", range(4))
def test_a_clean_competition_has_no_notes(tmp_path, seed):
    write_competition(tmp_path, seed=seed)
    assert notes_of(look(tmp_path, seed=seed)) == []


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "regression", "target": "value"},
        {"kind": "ordinal", "target": "level"},
        {"kind": "multilabel", "target": ["first", "second"]},
    ],
)
def test_every_task_is_looked_at(tmp_path, task):
    """Rows are sorted by the value; two labels and four levels are made of it."""

    def plant(table: pd.DataFrame, images: list) -> None:
        table.loc[: NUM_TRAIN - 1, "value"] = np.sort(table["value"][:NUM_TRAIN])
        table["first"] = (table["value"] > 0) + 0
        table["second"] = (table["value"] > 1) + 0
        table["level"] = np.digitize(table["value"], [-1, 0, 1])

    write_competition(tmp_path, plant=plant)
    findings = look(tmp_path, task=task)
    assert graded(findings, "suspicious") == ["row order"]


def test_an_honest_background_is_quiet(tmp_path):
    """All of the picture tells the class, its border no more than the rest."""

    def plant(table: pd.DataFrame, images: list) -> None:
        for row, label in enumerate(table["label"]):
            brighter = images[row] + 25.0 * CLASSES.index(label)
            images[row] = brighter.clip(0, 255).astype(np.uint8)

    write_competition(tmp_path, plant=plant)
    findings = look(tmp_path)
    border = next(finding for finding in findings if finding.name == "border pixels")
    assert border.grade == "quiet"
    assert border.score > 0.7
    assert "not more than pixels further inside" in border.seen
    assert border.images == []


def test_a_person_across_folds_is_named(tmp_path):
    """Ten photos of each of 16 persons; test persons, three photos each, are others."""
    write_competition(tmp_path, scene_of=by_person)
    findings = look(tmp_path)
    assert graded(findings, "suspicious") == [
        "scenes across folds",
        "test against train on thumbnails",
    ]
    seen = next(finding for finding in findings if finding.name == "scenes across folds")
    assert seen.seen.startswith("160 of 160 training images")
    assert seen.seen.endswith("0 of 60 test images have one in train")
    assert len(seen.examples) == 5
    assert "(10 in all)" in seen.examples[0]
    title, shown = seen.images[0]
    assert title == "scene of 10 images"
    assert len({fold for _, fold in shown}) == len(shown) > 1


def test_persons_on_both_sides_of_the_split_are_a_note(tmp_path):
    write_competition(tmp_path, scene_of=lambda row: row % 30)
    assert graded(look(tmp_path), "suspicious") == []
    assert "scenes across folds" in graded(look(tmp_path), "note")


def test_a_column_of_persons_that_no_group_names_is_named(tmp_path):
    def plant(table: pd.DataFrame, images: list) -> None:
        table["person"] = [f"p{row // 8}" for row in range(len(table))]
        table["sex"] = [str(row % 2) for row in range(len(table))]
        table["source"] = [f"made by hand {row}" for row in range(len(table))]

    write_competition(tmp_path, plant=plant)
    findings = look(tmp_path)
    assert graded(findings, "suspicious") == ["column 'person'"]
    assert "data.group: person" in next(a.advice for a in findings if a.name == "column 'person'")


def test_other_test_images_are_named(tmp_path):
    def plant(table: pd.DataFrame, images: list) -> None:
        for row in range(NUM_TRAIN, len(images)):
            images[row][:, :28] //= 2

    write_competition(tmp_path, plant=plant)
    findings = look(tmp_path)
    assert graded(findings, "suspicious") == ["test against train on thumbnails"]
    assert len(findings[-1].examples) == 6
    strangest, test_like = (images for _, images in findings[-1].images)
    assert all(path.startswith("test/") for path, _ in strangest)
    assert all(path.startswith("train/") for path, _ in test_like)
    assert strangest[0][1] > "of test: 0.8"


@pytest.mark.parametrize(
    "folds", [np.arange(60) % 40, np.arange(60) // 59, np.arange(60) // 2], ids=["40", "59:1", "30"]
)
def test_folds_of_few_rows_are_told_from_each_other_together(folds):
    features = np.random.default_rng(0).normal(size=(90, 40))
    paths = np.array([f"{row}.png" for row in range(90)])
    finding = find_shift(features, folds, paths, what="thumbnails", seed=0)
    assert finding.grade == "quiet"
    assert 0.3 < finding.score < 0.7
    features[60:] += 1  # now the test set differs
    finding = find_shift(features, folds, paths, what="thumbnails", seed=0)
    assert finding.grade == "suspicious"


def test_few_rows_are_told_as_few():
    """9 rows told perfectly by luck must not count; 200 must."""
    for number, sure in ((9, False), (200, True)):
        labels = np.arange(number) % 3
        outcome = outcome_of(np.eye(3)[labels], CLASSES, Task("multiclass"))
        found = associate(np.eye(3)[labels], outcome, np.arange(number))
        assert found.score == 1
        assert (found.p_value < 1e-4) == sure


def test_chance_gives_the_p_values_that_it_should():
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        labels = np.eye(4)[rng.integers(0, 4, 120)]
        outcome = outcome_of(labels, tuple("abcd"), Task("multiclass"))
        p_values.append(associate(rng.random((120, 4)), outcome, np.arange(120)).p_value)
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_rows_of_a_group_count_as_one():
    """Both differ between persons only: 30 rows of each are not 30 looks."""
    rng = np.random.default_rng(1)
    persons, found = np.repeat(np.arange(12), 30), []
    for _ in range(200):
        truth, values = rng.random((12, 1))[persons], rng.random((12, 1))[persons]
        outcome = Outcome(truth, ("x",), "rank correlation")
        found.append([associate(values, outcome, g).p_value for g in (persons, np.arange(360))])
    grouped, alone = (np.array(found) < 0.01).mean(axis=0)
    assert grouped < 0.04
    assert alone > 0.2


def test_several_looks_are_paid_for():
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == [0.03, 0.06, 0.06]
    assert holm(np.full(200, 0.02)).min() == 1
