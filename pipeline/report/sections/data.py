"""Section on the data before any model saw it: classes, sizes, twins, samples."""

import json

import numpy as np

from pipeline.core.runtime import stream
from pipeline.report import figures
from pipeline.report.page import SMALL, Gallery, Part, Picture, Section, Table, Text
from pipeline.report.page_inputs import Findings
from pipeline.report.tables import (
    distribution_gap,
    image_properties,
    in_words,
    sample_positions,
)

SAMPLES = 100  # images in the grids of samples, all classes together
PAIRS = 4  # pairs of twins shown of each sort


def rows_and_images(found: Findings) -> Section:
    """The data before any model saw it."""
    look = (
        "Look for test images that are unlike training images, for classes with few rows, and for "
        "twins with different labels."
    )
    parts = [_class_counts(found), *_properties(found), *_twins(found), _samples(found)]
    return Section("The data", look, parts)


def _class_counts(found: Findings) -> Part:
    """Targets in train against what is predicted for test."""
    if found.kind == "regression":
        panels = {
            name: (found.targets[:, column], found.test[:, column])
            for column, name in list(enumerate(found.classes))[:6]
        }
        figure = figures.histograms(panels, ("train, true", "test, predicted"))
        look = "Predictions are narrower than truths; their centres should agree."
        return Picture("Targets", look, figure, "Histogram of targets")
    counts = found.targets.sum(axis=0).astype(int)[found.shown]
    predicted = found.chosen(found.decided_test).mean(axis=0)[found.shown]
    figure = figures.class_shares(found.shown_names, counts / len(found.targets), predicted, counts)
    more = len(found.classes) - len(found.shown)
    look = (
        "A class that is much rarer or more frequent among test predictions than in train is "
        "either really so, or poorly recognised."
        + (f" {more} rarer classes are not shown." if more else "")
    )
    alt = "Share of each class among training labels and test predictions"
    return Picture("Class counts", look, figure, alt)


def _properties(found: Findings) -> list[Part]:
    num_train = len(found.targets)
    train, test = {}, {}
    for name, numbers in image_properties(found.index).items():
        train[name], test[name] = numbers[:num_train], numbers[num_train:]
    chance = 1.63 * np.sqrt(1 / num_train + 1 / len(found.test))
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
            "where it is larger than chance: then training images stand less well for the test.",
            ["", "train, median", "test, median", "gap"],
            rows,
            marked=marked,
        )
    ]
    varying = [name for name in train if np.ptp(np.concatenate([train[name], test[name]])) > 0]
    if {"width, pixels", "height, pixels"} & set(varying):
        rng = stream(found.config.seed, "report", "sizes")
        points = [
            np.column_stack(list(properties.values())[:2])[
                sample_positions(len(numbers), figures.DOTS // 2, rng)
            ]
            for properties in (train, test)
            for numbers in [properties["width, pixels"]]
        ]
        look = "Sizes that occur only in test, or only in one class, may give a source away."
        picture = figures.sizes(*points)
        parts.append(Picture("Sizes", look, picture, "Width and height of images"))
    panels = {name: (train[name], test[name]) for name in varying if "pixels" not in name}
    if panels:
        look = "The two outlines should lie on each other."
        picture = figures.histograms(panels, ("train", "test"))
        parts.append(Picture("", look, picture, f"Histograms of {', '.join(panels)}"))
    return parts


def _twins(found: Findings) -> list[Part]:
    """Duplicates that the folds stage found, as pairs of pictures."""
    audit = json.loads(found.workspace.audit_json.read_text(encoding="utf-8"))
    sorts = {
        "with different labels": audit["contradicting"],
        "one in train, one in test": audit["train_test_twins"],
        "both in train": audit["duplicates"],
    }
    counts = "; ".join(f"{len(pairs)} {name}" for name, pairs in sorts.items())
    look = (
        f"Pairs of images with the same content: {counts}. Twins share a fold; twins with "
        "different labels are worth a correction."
    )
    if not any(sorts.values()):
        return [Text("Twins", "No image occurs twice, in train, in test or across.")]
    ids = [*found.competition.ids, *found.competition.test_ids]
    labels = in_words(found.targets, found.classes, **found.decision)
    labels += ["test"] * len(found.test)
    row_of = {name: row for row, name in enumerate(found.index.paths.tolist())}
    groups = []
    for name, pairs in sorts.items():
        tiles = [
            found.tile(row, str(ids[row]), labels[row], f"pair {number}")
            for number, pair in enumerate(pairs[:PAIRS], start=1)
            for row in (row_of[pair[0]], row_of[pair[1]])
        ]
        if tiles:
            groups.append((f"{name}: {len(pairs)} in all, side by side", tiles))
    return [Gallery("Twins", look, groups)]


def _samples(found: Findings) -> Gallery:
    """A few training images of each class; regression: of each fifth of the first target."""
    rng = stream(found.config.seed, "report", "samples")
    if found.kind == "regression":
        parts = np.array_split(np.argsort(found.targets[:, 0], kind="stable"), 5)
        values = found.targets[:, 0]
        rows_of = {
            f"{found.classes[0]} {values[rows[0]]:.4g} to {values[rows[-1]]:.4g}": rows
            for rows in parts
            if len(rows)
        }
    else:
        rows_of = {
            found.classes[column]: np.flatnonzero(found.targets[:, column] >= 0.5)
            for column in found.shown
        }
    each = int(np.clip(SAMPLES // len(rows_of), 2, 10))
    groups = [
        (
            f"{name} ({len(rows):,} images)",
            [found.tile(rows[i], side=SMALL) for i in sample_positions(len(rows), each, rng)],
        )
        for name, rows in rows_of.items()
    ]
    look = "Drawn at random: would you give them the same labels, at this size?"
    return Gallery("Samples", look, groups)
