"""Section on errors: where the submitted blend is wrong, out of fold."""

from typing import Any

import numpy as np

from pipeline.core.runtime import stream
from pipeline.leaks.label_errors import LabelErrors
from pipeline.report import figures
from pipeline.report.page import GALLERY, Gallery, Part, Picture, Section, Table, number_text
from pipeline.report.page_inputs import Findings
from pipeline.report.tables import (
    calibration_error,
    confusion_matrix,
    decide,
    ranking_scores,
    regression_scores,
    reliability_bins,
    sample_positions,
)

PAIRS = 12  # of label and likely class, in the table of wrong labels


def errors(found: Findings, label_errors: LabelErrors) -> Section:
    """Where the submitted blend is wrong, out of fold."""
    parts: list[Part] = []
    if found.kind not in ("regression", "multilabel"):
        parts += _confusion(found)
    if found.kind in ("regression", "ordinal"):
        parts.append(_scatter(found))
    parts.append(_scores_per_column(found))
    if found.kind != "regression":
        parts.append(_reliability(found))
    parts += _suspicious_labels(found, label_errors)
    look = "All numbers here are out of fold, of the blend that is submitted."
    return Section("Errors", look, parts)


def _suspicious_labels(found: Findings, label_errors: LabelErrors) -> list[Part]:
    """Candidates as pictures, and how many labels of which kind are estimated to be wrong."""
    listed = label_errors.listed
    tiles = [
        found.tile(cell.row, found.competition.ids[cell.row], *_label_and_likely(cell))
        for cell in listed.head(GALLERY).itertuples()
    ]
    if not tiles:
        look = "No out-of-fold prediction contradicts its label."
        return [Gallery("Suspicious labels", look, [])]
    what, how = ("value", "the largest residuals first")
    if found.kind != "regression":
        what = "label"
        how = "where another class gets as much as rows of that class usually do"
    look = (
        f"Is it the {what} that is wrong, or the model? Out of fold, {how}; "
        f"{len(listed):,} of {label_errors.found:,} are in suspicious_labels.csv."
    )
    parts: list[Part] = [Gallery("Suspicious labels", look, [("", tiles)])]
    if len(label_errors.pairs):
        rows = [
            [pair.label, pair.likely, f"{pair.images:,}", f"{pair.wrong:.1f}", f"{pair.share:.1%}"]
            for pair in label_errors.pairs.head(PAIRS).itertuples()
        ]
        look = (
            f"By confident learning {label_errors.share:.1%} of labels are wrong. That is right "
            "for a good model; one that confuses two classes counts its own errors as wrong "
            "labels, so look at the images first. All pairs are in wrong_labels.csv."
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


def _confusion(found: Findings) -> list[Part]:
    labels, predicted = found.targets.argmax(axis=1), decide(found.decided_oof, **found.decision)
    matrix = confusion_matrix(labels, predicted, len(found.classes))
    picture = figures.confusion(matrix[np.ix_(found.shown, found.shown)], found.shown_names)
    look = "Rows are labels, columns predictions; dark cells off the diagonal are confusions."
    if found.kind == "ordinal":
        look += " Predicted is the level nearest to the expected one."
    parts: list[Part] = [Picture("Confusion matrix", look, picture, "Confusion matrix")]
    wrong = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    order = [cell for cell in np.argsort(-wrong, axis=None, kind="stable")[:8] if wrong.flat[cell]]
    if len(found.classes) > 2 and order:
        cells = [np.unravel_index(cell, matrix.shape) for cell in order]
        rows = [
            [found.classes[a], found.classes[b], str(matrix[a, b]), _share(matrix[a, b], matrix[a])]
            for a, b in cells
        ]
        look = "The pairs that cost most; images of both side by side show what tells them apart."
        columns = ["label", "predicted", "images", "share of the label"]
        parts.append(Table("Most frequent confusions", look, columns, rows, words=["predicted"]))
    return parts


def _share(part: int, whole: np.ndarray) -> str:
    return f"{part / max(1, whole.sum()):.0%}"


def _scatter(found: Findings) -> Part:
    """Predicted against true numbers; a box per level where there are few levels."""
    if found.kind == "ordinal":
        levels = found.competition.levels
        expected, labels = found.oof @ levels, found.targets.argmax(axis=1)
        groups = [expected[labels == column] for column in range(len(levels))]
        picture = figures.boxes(groups, found.classes, label="expected level", below="label")
        look = "Boxes should rise with the label and overlap little."
        return Picture("Predicted against true", look, picture, "Boxes per level")
    rng = stream(found.config.seed, "report", "scatter")
    rows = sample_positions(len(found.targets), figures.DOTS, rng)
    columns = {
        name: (found.targets[rows, column], found.oof[rows, column])
        for column, name in list(enumerate(found.classes))[:6]
    }
    look = "Dots should lie along the dashed line; a flatter cloud means shrunk predictions."
    picture = figures.predicted_against_true(columns)
    return Picture("Predicted against true", look, picture, "Scatter plot per target")


def _scores_per_column(found: Findings) -> Table:
    """Scores of each class (one against the rest), label column, or target column."""
    if found.kind == "regression":
        columns = ["target", "RMSE", "MAE", "R²"]
        rows = [
            [
                name,
                *map(
                    number_text, regression_scores(found.targets[:, column], found.oof[:, column])
                ),
            ]
            for column, name in enumerate(found.classes)
        ]
        look = "R² near 0 means that the mean would do as well."
        return Table("Per target", look, columns, rows)
    truth, chosen = found.targets >= 0.5, found.chosen(found.decided_oof)
    columns = ["class", "rows", "precision", "recall", "AP", "AUC"]
    rows = []
    for column in found.shown:
        both = (truth[:, column] & chosen[:, column]).sum()
        scores = [
            both / chosen[:, column].sum() if chosen[:, column].any() else np.nan,
            both / truth[:, column].sum() if truth[:, column].any() else np.nan,
            *ranking_scores(truth[:, column], found.oof[:, column]),
        ]
        name, count = found.classes[column], int(truth[:, column].sum())
        rows.append([name, f"{count:,}", *(number_text(score, digits=3) for score in scores)])
    look = (
        "One class against all others. Low AUC: not recognised; high AUC with low recall: "
        "recognised, but rarely chosen. AP of a random guess is the share of the class."
    )
    return Table("Per class", look, columns, rows)


def _reliability(found: Findings) -> Picture:
    if found.kind == "multilabel":
        said, happened = found.oof.ravel(), (found.targets >= 0.5).ravel()
        what = "all labels of all images"
    elif found.kind == "binary":
        said, happened = found.oof[:, 1], found.targets[:, 1] >= 0.5
        what = f"the probability of {found.classes[1]}"
    else:
        said = found.oof.max(axis=1)
        happened = found.oof.argmax(axis=1) == found.targets.argmax(axis=1)
        what = "the probability of the likeliest class"
    bins = reliability_bins(said.clip(0, 1), happened.astype(float))
    look = (
        f"Here: {what}. On the dashed line, 0.8 is right eight times in ten; below it, the blend "
        f"is too sure. Mean distance from it: {calibration_error(bins):.3f}."
    )
    picture = figures.reliability(bins)
    return Picture("Reliability", look, picture, "Said probability against observed share")
