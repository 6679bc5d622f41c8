"""Errors section: where the submitted blend is wrong, out of fold."""

from typing import Any

import numpy as np

from pipeline.core.runtime import stream
from pipeline.leaks.label_errors import LabelErrors
from pipeline.report import figures
from pipeline.report.page import GALLERY, Gallery, Part, Picture, Section, Table
from pipeline.report.page_inputs import PageInputs
from pipeline.report.tables import (
    calibration_error,
    confusion_matrix,
    decide,
    ranking_scores,
    regression_scores,
    reliability_bins,
    sample_positions,
)
from pipeline.report.wording import number_text

PAIRS = 12  # of label and likely class, in the table of wrong labels


def errors_section(inputs: PageInputs, label_errors: LabelErrors) -> Section:
    """Return confusions, scores per class or target, reliability and possible label errors."""
    parts: list[Part] = []
    if inputs.task.has_one_class_per_row:
        parts += _confusion(inputs)
    if inputs.task.is_regression or inputs.task.is_ordinal:
        parts.append(_scatter(inputs))
    parts.append(_scores_per_column(inputs))
    if not inputs.task.is_regression:
        parts.append(_reliability(inputs))
    parts += _label_errors(inputs, label_errors)
    look = "All numbers are out of fold, of the submitted blend."
    return Section("Errors", look, parts)


def _label_errors(inputs: PageInputs, label_errors: LabelErrors) -> list[Part]:
    """Return candidates as images, and how many labels of each class are estimated wrong."""
    listed = label_errors.listed
    tiles = [
        inputs.tile(cell.row, inputs.project.competition.ids[cell.row], *_label_and_likely(cell))
        for cell in listed.head(GALLERY).itertuples()
    ]
    if not tiles:
        look = "No out-of-fold prediction contradicts its label."
        return [Gallery("Possible label errors", look, [])]
    what, order = "value", "the largest residuals first"
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
    if np.isnan(cell.probability):
        return f"label {cell.label}", f"predicted {cell.likely}"
    return (
        f"label {cell.label} ({cell.label_probability:.2f})",
        f"likely {cell.likely} ({cell.probability:.2f})",
    )


def _confusion(inputs: PageInputs) -> list[Part]:
    labels, predicted = inputs.targets.argmax(axis=1), decide(inputs.decided_oof, inputs.task)
    matrix = confusion_matrix(labels, predicted, len(inputs.classes))
    picture = figures.confusion(matrix[np.ix_(inputs.shown, inputs.shown)], inputs.shown_names)
    look = "Rows are labels, columns predictions; dark cells off the diagonal are confusions."
    if inputs.task.is_ordinal:
        look += " Predicted is the level nearest to the expected one."
    parts: list[Part] = [Picture("Confusion matrix", look, picture, "Confusion matrix")]
    wrong = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    order = [cell for cell in np.argsort(-wrong, axis=None, kind="stable")[:8] if wrong.flat[cell]]
    if len(inputs.classes) > 2 and order:
        cells = [np.unravel_index(cell, matrix.shape) for cell in order]
        rows = [
            [
                inputs.classes[a],
                inputs.classes[b],
                str(matrix[a, b]),
                _share(matrix[a, b], matrix[a]),
            ]
            for a, b in cells
        ]
        look = "The most frequent pairs; compare images of both classes."
        columns = ["label", "predicted", "images", "share of the label"]
        parts.append(Table("Most frequent confusions", look, columns, rows, words=["predicted"]))
    return parts


def _share(part: int, whole: np.ndarray) -> str:
    return f"{part / max(1, whole.sum()):.0%}"


def _scatter(inputs: PageInputs) -> Part:
    """Return predicted against true values; ordinal: a box per level."""
    if inputs.task.is_ordinal:
        levels = inputs.project.competition.levels
        expected, labels = inputs.oof @ levels, inputs.targets.argmax(axis=1)
        groups = [expected[labels == column] for column in range(len(levels))]
        picture = figures.boxes(groups, inputs.classes, label="expected level", below="label")
        look = "Boxes should rise with the label and overlap little."
        return Picture("Predicted against true", look, picture, "Boxes per level")
    rng = stream(inputs.project.config.seed, "report", "scatter")
    rows = sample_positions(len(inputs.targets), figures.DOTS, rng)
    columns = {
        name: (inputs.targets[rows, column], inputs.oof[rows, column])
        for column, name in list(enumerate(inputs.classes))[:6]
    }
    look = "Dots should lie along the dashed line; a flatter slope means shrunk predictions."
    picture = figures.predicted_against_true(columns)
    return Picture("Predicted against true", look, picture, "Scatter plot per target")


def _scores_per_column(inputs: PageInputs) -> Table:
    """Return scores of each class (one against the rest), label column or target column."""
    if inputs.task.is_regression:
        columns = ["target", "RMSE", "MAE", "R²"]
        scores = [
            regression_scores(inputs.targets[:, column], inputs.oof[:, column])
            for column in range(len(inputs.classes))
        ]
        rows = [
            [name, *map(number_text, of_target)]
            for name, of_target in zip(inputs.classes, scores, strict=True)
        ]
        look = "R² near 0: the mean would score as well."
        return Table("Per target", look, columns, rows)
    truth, chosen = inputs.targets >= 0.5, inputs.chosen(inputs.decided_oof)
    columns = ["class", "rows", "precision", "recall", "AP", "AUC"]
    rows = []
    for column in inputs.shown:
        both = (truth[:, column] & chosen[:, column]).sum()
        scores = [
            both / chosen[:, column].sum() if chosen[:, column].any() else np.nan,
            both / truth[:, column].sum() if truth[:, column].any() else np.nan,
            *ranking_scores(truth[:, column], inputs.oof[:, column]),
        ]
        name, count = inputs.classes[column], int(truth[:, column].sum())
        rows.append([name, f"{count:,}", *(number_text(score, digits=3) for score in scores)])
    look = (
        "One class against all others. Low AUC: not recognised. High AUC with low recall: "
        "recognised, but rarely chosen. AP of a random guess is the share of the class."
    )
    return Table("Per class", look, columns, rows)


def _reliability(inputs: PageInputs) -> Picture:
    if inputs.task.is_multilabel:
        predicted, observed = inputs.oof.ravel(), (inputs.targets >= 0.5).ravel()
        what = "all labels of all images"
    elif inputs.task.is_binary:
        predicted, observed = inputs.oof[:, 1], inputs.targets[:, 1] >= 0.5
        what = f"the probability of {inputs.classes[1]}"
    else:
        predicted = inputs.oof.max(axis=1)
        observed = inputs.oof.argmax(axis=1) == inputs.targets.argmax(axis=1)
        what = "the probability of the likeliest class"
    bins = reliability_bins(predicted.clip(0, 1), observed.astype(float))
    look = (
        f"Of {what}. On the dashed line, a probability of 0.8 is right eight times in ten; below "
        f"it, the blend is overconfident. Mean distance: {calibration_error(bins):.3f}."
    )
    picture = figures.reliability(bins)
    return Picture("Reliability", look, picture, "Predicted probability against observed share")
