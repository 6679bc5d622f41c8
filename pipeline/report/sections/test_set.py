"""Section on the test set: what is predicted for its images, and how surely."""

import numpy as np

from pipeline.report import figures
from pipeline.report.page import GALLERY, Gallery, Part, Picture, Section
from pipeline.report.page_inputs import Findings
from pipeline.report.tables import in_words


def test_set(found: Findings) -> Section:
    """What is predicted for test images, and how surely."""
    sure, name = _confidence(found)
    order = np.argsort(-sure, kind="stable")
    half = max(1, min(GALLERY // 2, len(order) // 2))
    words = in_words(found.decided_test, found.classes, **found.decision)
    ids, start = found.competition.test_ids, len(found.targets)
    groups = [
        (
            title,
            [
                found.tile(start + row, str(ids[row]), words[row], f"{name} {abs(sure[row]):.2f}")
                for row in rows
            ],
        )
        for title, rows in (
            ("most confident", order[:half]),
            ("least confident", order[::-1][:half]),
        )
    ]
    look = (
        "Do you agree with the sure ones? The unsure ones show what kind of image is missing in "
        "train. These are the predictions that the submitted file is made of."
    )
    if found.kind == "regression":
        look += " Sure means that folds' models and members agree; in units of the target's spread."
    parts = [Gallery("Most and least confident", look, groups), *_distributions(found, sure)]
    look = "There are no labels here; look for predictions that differ from those on train."
    return Section("Test set", look, parts)


def _confidence(found: Findings) -> tuple[np.ndarray, str]:
    """(N_test,), higher is surer, and what it is called."""
    if found.kind == "regression":
        return -found.spread, "models differ by"
    if found.kind == "multilabel":
        return np.maximum(found.test, 1 - found.test).mean(axis=1), "mean certainty"
    return found.test.max(axis=1), "probability"


def _distributions(found: Findings, sure: np.ndarray) -> list[Part]:
    if found.kind == "regression":
        panels = {
            name: (found.oof[:, column], found.test[:, column])
            for column, name in list(enumerate(found.classes))[:6]
        }
        figure = figures.histograms(panels, ("train, out of fold", "test"))
        look = "The same model family on both: outlines that differ mean images that differ."
        return [Picture("Predictions", look, figure, "Histogram of predictions")]
    multilabel = found.kind == "multilabel"
    of_train = np.maximum(found.oof, 1 - found.oof).mean(axis=1) if multilabel else found.oof.max(1)
    figure = figures.histograms({"": (of_train, sure)}, ("train, out of fold", "test"))
    look = "If test lies further left than train, test images are harder or of another kind."
    parts: list[Part] = [Picture("Confidence", look, figure, "Histogram of confidence")]
    chosen = found.chosen(found.decided_test)
    groups = [
        found.test[:, column] if multilabel else found.test[chosen[:, column], column]
        for column in found.shown
    ]
    names = [
        f"{name}\n{int(chosen[:, column].sum())}" if len(found.shown) <= 14 else name
        for name, column in zip(found.shown_names, found.shown, strict=True)
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
