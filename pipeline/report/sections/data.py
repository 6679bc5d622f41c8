"""Data section: classes, sizes, duplicates and samples."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.core.runtime import stream
from pipeline.report import figures
from pipeline.report.page import SMALL, Gallery, Part, Picture, Section, Table, Text
from pipeline.report.page_inputs import PageInputs
from pipeline.report.tables import (
    distribution_gap,
    image_properties,
    in_words,
    sample_positions,
)

SAMPLES = 100  # images in the grids of samples, all classes together
PAIRS = 4  # duplicates shown of each sort


def data_section(inputs: PageInputs) -> Section:
    """Return what the rows and images show before any model is trained."""
    look = (
        "Look for test images that are unlike training images, for classes with few rows, and for "
        "duplicates with different labels."
    )
    parts = [
        _class_counts(inputs),
        *_properties(inputs),
        _files(inputs),
        *_duplicates(inputs),
        _samples(inputs),
    ]
    return Section("Data", look, parts)


def _class_counts(inputs: PageInputs) -> Part:
    """Return the distribution of training targets and of test predictions."""
    if inputs.task.is_regression:
        panels = inputs.columns(inputs.targets, inputs.test)
        figure = figures.histograms(panels, ("train, true", "test, predicted"))
        look = "Predictions vary less than targets; their centres should agree."
        return Picture("Targets", look, figure, "Histogram of targets")
    counts = inputs.targets.sum(axis=0).astype(int)[inputs.shown]
    predicted = inputs.chosen(inputs.decided_test).mean(axis=0)[inputs.shown]
    figure = figures.class_shares(
        inputs.shown_names, counts / len(inputs.targets), predicted, counts
    )
    more = len(inputs.classes) - len(inputs.shown)
    look = (
        "If a class is much rarer or more frequent among test predictions than in train, the test "
        "set differs or the class is poorly recognised."
        + (f" {more} rarer classes are not shown." if more else "")
    )
    alt = "Share of each class among training labels and test predictions"
    return Picture("Class counts", look, figure, alt)


def _properties(inputs: PageInputs) -> list[Part]:
    num_train = len(inputs.targets)
    train, test = {}, {}
    for name, numbers in image_properties(inputs.project.index).items():
        train[name], test[name] = numbers[:num_train], numbers[num_train:]
    chance = 1.63 * np.sqrt(1 / num_train + 1 / len(inputs.test))
    rows, marked = [], []
    for name, numbers in train.items():
        gap = distribution_gap(numbers, test[name])
        if gap > max(0.1, chance):
            marked.append((len(rows), 3))
        middle = [f"{np.median(x):.4g}" for x in (numbers, test[name])]
        rows.append([name, *middle, f"{gap:.2f}"])
    parts: list[Part] = [
        Table(
            "Images, train against test",
            "The gap is the largest distance between the two cumulative shares, 0 to 1; marked "
            "where it is larger than chance: training images represent the test set less well.",
            ["", "train, median", "test, median", "gap"],
            rows,
            marked=marked,
        )
    ]
    varying = [name for name in train if np.ptp(np.concatenate([train[name], test[name]])) > 0]
    if {"width, pixels", "height, pixels"} & set(varying):
        rng = stream(inputs.project.config.seed, "report", "sizes")
        points = [
            np.column_stack(list(properties.values())[:2])[
                sample_positions(len(numbers), figures.DOTS // 2, rng)
            ]
            for properties in (train, test)
            for numbers in [properties["width, pixels"]]
        ]
        look = "Sizes that occur only in test, or only in one class, may reveal a source."
        picture = figures.sizes(*points)
        parts.append(Picture("Sizes", look, picture, "Width and height of images"))
    panels = {name: (train[name], test[name]) for name in varying if "pixels" not in name}
    if panels:
        look = "The two outlines should agree."
        picture = figures.histograms(panels, ("train", "test"))
        alt = f"Histograms of {', '.join(panels)}"
        parts.append(Picture("Aspect, brightness and contrast", look, picture, alt))
    return parts


def _files(inputs: PageInputs) -> Table:
    """Return how many images have which bit depth, ending, and remark of the decoder."""
    index, num_train = inputs.project.index, len(inputs.targets)
    endings = [Path(path).suffix.lower() or "no ending" for path in index.paths.tolist()]
    remarks = [remarks or "none" for remarks in index.remarks.tolist()]
    rows = []
    for what, kinds in (
        ("pixel type", index.depths.tolist()),
        ("file ending", endings),
        ("remark", remarks),
    ):
        train, test = Counter(kinds[:num_train]), Counter(kinds[num_train:])
        for kind in sorted({*kinds}):
            counts = train[kind], test[kind]
            shares = [
                f"{count:,} ({count / total:.0%})"
                for count, total in zip(counts, (num_train, len(kinds) - num_train), strict=True)
            ]
            rows.append([what, kind, *shares])
    look = "A kind of file that only train or only test has was made in another way."
    return Table("Files", look, ["", "value", "train", "test"], rows, words=["value"])


def _duplicates(inputs: PageInputs) -> list[Part]:
    """Return the duplicates that the folds stage found, as pairs of images."""
    audit = json.loads(inputs.project.workspace.audit_json.read_text(encoding="utf-8"))
    sorts = {
        "with different labels": audit["contradicting"],
        "one in train, one in test": audit["train_test_twins"],
        "both in train, with one label": [
            pair for pair in audit["duplicates"] if pair[:2] not in audit["contradicting"]
        ],
    }
    counts = "; ".join(f"{len(pairs)} {name}" for name, pairs in sorts.items())
    look = (
        f"Pairs of images with the same content: {counts}. Duplicates share a fold; "
        "correct the labels of those that differ."
    )
    if not any(sorts.values()):
        return [Text("Duplicates", "No image occurs twice, in train, in test or across.")]
    ids = [*inputs.project.competition.ids, *inputs.project.competition.test_ids]
    labels = in_words(inputs.targets, inputs.classes, inputs.task)
    labels += ["test"] * len(inputs.test)
    row_of = {name: row for row, name in enumerate(inputs.project.index.paths.tolist())}
    groups = []
    for name, pairs in sorts.items():
        tiles = [
            inputs.tile(row, str(ids[row]), labels[row], f"pair {number}")
            for number, pair in enumerate(pairs[:PAIRS], start=1)
            for row in (row_of[pair[0]], row_of[pair[1]])
        ]
        if tiles:
            groups.append((f"{name}: {len(pairs)} in all, side by side", tiles))
    return [Gallery("Duplicates", look, groups)]


def _samples(inputs: PageInputs) -> Gallery:
    """Return training images of each class; regression: of each fifth of the first target."""
    rng = stream(inputs.project.config.seed, "report", "samples")
    if inputs.task.is_regression:
        parts = np.array_split(np.argsort(inputs.targets[:, 0], kind="stable"), 5)
        values = inputs.targets[:, 0]
        rows_of = {
            f"{inputs.classes[0]} {values[rows[0]]:.4g} to {values[rows[-1]]:.4g}": rows
            for rows in parts
            if len(rows)
        }
    else:
        rows_of = {
            inputs.classes[column]: np.flatnonzero(inputs.targets[:, column] >= 0.5)
            for column in inputs.shown
        }
    each = int(np.clip(SAMPLES // len(rows_of), 2, 10))
    groups = [
        (
            f"{name} ({len(rows):,} images)",
            [inputs.tile(rows[i], side=SMALL) for i in sample_positions(len(rows), each, rng)],
        )
        for name, rows in rows_of.items()
    ]
    look = "Drawn at random. Would you give them the same labels at this size?"
    return Gallery("Samples", look, groups)
