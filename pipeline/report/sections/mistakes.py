"""Mistakes section: the worst of them as images, where a network looked, possible label errors."""

from typing import Any

import numpy as np
from PIL import Image

from pipeline.config.schema import Network
from pipeline.core.scale import to_scale
from pipeline.estimates.row_loss import row_losses
from pipeline.leaks.label_errors import LabelErrors
from pipeline.report.page import GALLERY, OPENED, Gallery, Part, Section, Table, Tile, data_uri
from pipeline.report.page_inputs import PageInputs
from pipeline.report.tables import decide, in_words

WORST = 12  # mistakes shown as images
LOOKED_AT = 8  # of one fold, with what a network looked at
PAIRS = 12  # of label and likely class, in the table of wrong labels


def mistakes_section(inputs: PageInputs, label_errors: LabelErrors) -> Section:
    """Return images of the worst mistakes, and labels that may be wrong."""
    order = _worst_first(inputs)
    parts = [_worst(inputs, order[:WORST]), *_attention(inputs, order)]
    parts += _label_errors(inputs, label_errors)
    look = "Out of fold, of the submitted blend. What do these images have in common?"
    return Section("Worst mistakes", look, parts)


def _worst_first(inputs: PageInputs) -> np.ndarray:
    """Return the positions of wrong rows, the largest loss first; of a regression, of all rows."""
    project, task = inputs.project, inputs.task
    values = to_scale(inputs.oof, project.competition.scale)
    losses = row_losses(values, project.competition.targets, task)
    order = np.argsort(-losses, kind="stable")
    if task.is_regression:
        return order
    wrong = (inputs.chosen(inputs.decided_oof) != (inputs.targets >= 0.5)).any(axis=1)
    return order[wrong[order]]


def _worst(inputs: PageInputs, rows: np.ndarray) -> Gallery:
    truth = in_words(inputs.targets[rows], inputs.classes, inputs.task)
    predicted = in_words(inputs.decided_oof[rows], inputs.classes, inputs.task)
    sure = _probabilities(inputs, rows)
    ids = inputs.project.competition.ids
    tiles = [
        inputs.tile(row, str(ids[row]), f"true {was}", f"predicted {said}{of}")
        for row, was, said, of in zip(rows, truth, predicted, sure, strict=True)
    ]
    if not tiles:
        return Gallery("Largest losses", "No training image is predicted wrongly.", [])
    look = "Predictions that are surest and wrong, the largest loss first."
    if inputs.task.is_regression:
        look = "Predictions that are farthest from the true value, on the metric's scale."
    return Gallery("Largest losses", look, [("", tiles)])


def _probabilities(inputs: PageInputs, rows: np.ndarray) -> list[str]:
    """Return the probability of what is predicted, as text; empty where there is no single one."""
    if not inputs.task.has_one_class_per_row:
        return [""] * len(rows)
    predicted = decide(inputs.decided_oof[rows], inputs.task)
    return [f" ({inputs.oof[row, c]:.2f})" for row, c in zip(rows, predicted, strict=True)]


def _attention(inputs: PageInputs, order: np.ndarray) -> list[Part]:
    """Return mistakes of one fold with what the best network looked at; empty where there is none.

    One fold, so that one model is loaded, and it has not seen these rows.
    """
    project, task = inputs.project, inputs.task
    networks = [
        entry.name
        for entry in sorted(
            (entry for entry in inputs.summary.contestants if entry.score is not None),
            key=lambda entry: -inputs.summary.sign * entry.score,
        )
        if isinstance(project.config.members.get(entry.name), Network)
    ]
    if not networks or not len(order) or task.is_ordinal or task.is_multilabel:
        return []
    # Torch takes seconds to import: a report without networks must not wait for it.
    from pipeline.members.attention import can_show_attention, images_with_attention

    name, folds = networks[0], project.folds.folds[order[:WORST]]
    fold = int(np.bincount(folds).argmax())
    if not can_show_attention(project, name, fold):
        return []
    rows = order[:WORST][folds == fold][:LOOKED_AT]
    columns = np.zeros(len(rows), dtype=int)
    if not task.is_regression:
        columns = decide(inputs.decided_oof[rows], task)
    images = images_with_attention(project, name, fold, rows=rows, columns=columns)
    tiles = []
    for row, column, image in zip(rows, columns, images, strict=False):
        small = Image.fromarray(image)
        small.thumbnail((OPENED, OPENED))
        lines = [str(project.competition.ids[row]), f"evidence for {inputs.classes[column]}"]
        tiles.append(Tile(project.competition.folder, lines, source=data_uri(small, "JPEG")))
    if not tiles:
        return []
    look = (
        f"Red: what speaks for the predicted {'value' if task.is_regression else 'class'} in "
        f"{name}'s model of fold {fold}, which did not see these images (Grad-CAM). Red on the "
        "background or a mark: the network may have learnt the wrong thing."
    )
    return [Gallery("What the network looked at", look, [("", tiles)])]


def _label_errors(inputs: PageInputs, label_errors: LabelErrors) -> list[Part]:
    """Return candidates as images, and how many labels of each class are estimated wrong."""
    listed = label_errors.listed
    tiles = [
        inputs.tile(cell.row, inputs.project.competition.ids[cell.row], *_label_and_likely(cell))
        for cell in listed.head(GALLERY).itertuples()
    ]
    if not tiles:
        look = "No out-of-fold prediction contradicts its label."
        if inputs.task.is_regression:
            look = "No residual is larger than the other residuals let expect."
        return [Gallery("Possible label errors", look, [])]
    what, order = "value", "residuals beyond what the others let expect, the largest first"
    if not inputs.task.is_regression:
        what = "label"
        order = "where another class gets as much probability as its own rows usually do"
    look = (
        f"Is the {what} wrong, or the model? Out of fold, {order}; "
        f"{len(listed):,} of {label_errors.found:,} are in suspicious_labels.csv."
    )
    parts: list[Part] = [Gallery("Possible label errors", look, [("", tiles)])]
    if len(label_errors.pairs):
        rows = [
            [pair.label, pair.likely, f"{pair.images:,}", f"{pair.wrong:.1f}", f"{pair.share:.1%}"]
            for pair in label_errors.pairs.head(PAIRS).itertuples()
        ]
        look = (
            f"Confident learning estimates that {label_errors.share:.1%} of labels are wrong. A "
            "model that confuses two classes counts its own errors as wrong labels, so look at the "
            "images first. All pairs are in wrong_labels.csv."
        )
        columns = ["label", "likely", "images with the label", "of them wrong", "share"]
        parts.append(Table("Estimated wrong labels", look, columns, rows, words=["likely"]))
    return parts


def _label_and_likely(cell: Any) -> tuple[str, str]:
    if hasattr(cell, "predicted"):  # of a regression
        return f"label {cell.label}", f"predicted {cell.predicted}"
    return (
        f"label {cell.label} ({cell.label_probability:.2f})",
        f"likely {cell.likely} ({cell.probability:.2f})",
    )
