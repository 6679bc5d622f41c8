"""Test set section: what is predicted for test images, and how confidently."""

import numpy as np

from pipeline.report import figures
from pipeline.report.page import GALLERY, Gallery, Part, Picture, Section
from pipeline.report.page_inputs import PageInputs
from pipeline.report.tables import in_words


def test_set_section(inputs: PageInputs) -> Section:
    """Return the most and least confident predictions, and their distributions."""
    confidence, name = _confidence(inputs)
    order = np.argsort(-confidence, kind="stable")
    half = max(1, min(GALLERY // 2, len(order) // 2))
    words = in_words(inputs.decided_test, inputs.classes, inputs.task)
    ids, start = inputs.project.competition.test_ids, len(inputs.targets)
    groups = [
        (
            title,
            [
                inputs.tile(
                    *(start + row, str(ids[row]), words[row]),
                    f"{name} {abs(confidence[row]):.2f}",
                )
                for row in rows
            ],
        )
        for title, rows in (
            ("most confident", order[:half]),
            ("least confident", order[::-1][:half]),
        )
    ]
    look = (
        "Do you agree with the confident ones? The others show what kind of image is missing in "
        "train. The submitted file is made of these predictions."
    )
    if inputs.task.is_regression:
        look += " Confident: folds' models and members agree, in units of the target's spread."
    gallery = Gallery("Most and least confident", look, groups)
    parts = [gallery, *_distributions(inputs, confidence, name)]
    look = "There are no labels here; look for predictions that differ from those on train."
    return Section("Test predictions", look, parts)


def _confidence(inputs: PageInputs) -> tuple[np.ndarray, str]:
    """Return (N_test,), higher is more confident, and its name."""
    if inputs.task.is_regression:
        return -inputs.spread, "models differ by"
    if inputs.task.is_multilabel:
        return np.maximum(inputs.test, 1 - inputs.test).mean(axis=1), "mean certainty"
    return inputs.test.max(axis=1), "probability"


def _distributions(inputs: PageInputs, confidence: np.ndarray, name: str) -> list[Part]:
    if inputs.task.is_regression:
        panels = inputs.columns(inputs.oof, inputs.test)
        figure = figures.histograms(panels, ("train, out of fold", "test"))
        look = "Outlines that differ mean images that differ."
        return [Picture("Predictions", look, figure, "Histogram of predictions")]
    multilabel = inputs.task.is_multilabel
    of_train = (
        np.maximum(inputs.oof, 1 - inputs.oof).mean(axis=1) if multilabel else inputs.oof.max(1)
    )
    figure = figures.histograms({name: (of_train, confidence)}, ("train, out of fold", "test"))
    look = "If test is left of train, test images are harder or of another kind."
    parts: list[Part] = [Picture("Confidence", look, figure, "Histogram of confidence")]
    chosen = inputs.chosen(inputs.decided_test)
    groups = [
        inputs.test[:, column] if multilabel else inputs.test[chosen[:, column], column]
        for column in inputs.shown
    ]
    names = [
        f"{of_class} ({int(chosen[:, column].sum())})"
        for of_class, column in zip(inputs.shown_names, inputs.shown, strict=True)
    ]
    look = (
        "Each label's probabilities over all test images; the number counts those above the "
        "threshold."
        if multilabel
        else "Probabilities of the test images predicted as each class; the number counts them."
    )
    figure = figures.boxes(groups, names, label="probability")
    parts.append(Picture("Per class", look, figure, "Boxes of probabilities"))
    return parts
