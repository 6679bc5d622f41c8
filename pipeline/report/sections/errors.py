"""Error analysis section: where the submitted blend is wrong, out of fold."""

import numpy as np

from pipeline.core.runtime import stream
from pipeline.core.scale import to_scale
from pipeline.members.metadata_importance import metadata_importance, metadata_learners
from pipeline.report import figures
from pipeline.report.page import Part, Picture, Section, Table
from pipeline.report.page_inputs import PageInputs
from pipeline.report.tables import (
    calibration_error,
    class_scores,
    confusion_matrix,
    decide,
    effective_thresholds,
    most_confused,
    regression_scores,
    reliability_bins,
    sample_positions,
)
from pipeline.report.wording import number_text

MATRIX = 30  # classes in a confusion matrix; of more, those with the most errors
FEWEST_ROWS = 5  # of a group that is scored
GROUPS = 12  # in a table


def errors_section(inputs: PageInputs) -> Section:
    """Return confusions, scores per class, target and group, reliability, columns that matter."""
    parts: list[Part] = []
    if inputs.task.has_one_class_per_row:
        parts += _confusion(inputs)
    if inputs.task.is_regression or inputs.task.is_ordinal:
        parts.append(_scatter(inputs))
    if not inputs.task.is_regression:
        parts.append(_reliability(inputs))
    parts += [_scores_per_column(inputs), *_scores_per_group(inputs), *_importances(inputs)]
    look = "All numbers are out of fold, of the submitted blend."
    return Section("Error analysis", look, parts)


def _scores_per_group(inputs: PageInputs) -> list[Part]:
    """Return the score within each value of the group column and of categorical columns."""
    project, data = inputs.project, inputs.project.config.data
    competition, scale = project.competition, project.competition.scale
    decided = to_scale(inputs.decided_oof, scale)
    columns = [*([data.group] if data.group else []), *data.categorical]
    parts: list[Part] = []
    for column in dict.fromkeys(columns):
        cells = competition.train[column].to_numpy(dtype=str)
        values, counts = np.unique(cells, return_counts=True)
        large = values[counts >= FEWEST_ROWS]
        if len(large) < 2:
            continue
        scored = []
        for value in large:
            rows = cells == value
            score = project.metric.score(competition.targets[rows], decided[rows], inputs.task)
            scored.append((value or "(blank)", int(rows.sum()), score))
        scored.sort(key=lambda entry: inputs.summary.sign * np.nan_to_num(entry[2], nan=np.inf))
        rows = [[name, f"{number:,}", number_text(score)] for name, number, score in scored]
        few = len(values) - len(large)
        look = (
            "Worst first. The score of a small group varies by chance; a large group that is far "
            "worse than the others needs data or a member of its own."
            + (f" The {GROUPS} worst of {len(rows)} are shown." if len(rows) > GROUPS else "")
            + (f" {few:,} with fewer than {FEWEST_ROWS} rows are left out." if few else "")
        )
        title = f"{project.metric.name} by {column}"
        parts.append(Table(title, look, [column, "rows", "score"], rows[:GROUPS]))
    return parts


def _importances(inputs: PageInputs) -> list[Part]:
    """Return what each metadata column is worth to the best learner that sees them."""
    learners = metadata_learners(inputs.project)
    ranked = [entry.name for entry in _best_first(inputs) if entry.name in learners]
    if not ranked:
        return []
    by_column = metadata_importance(inputs.project, ranked[0])
    order = sorted(by_column, key=lambda column: -by_column[column])
    rows = [[column, f"{by_column[column]:+.4f}"] for column in order]
    look = (
        f"How much worse {ranked[0]} scores ({inputs.project.metric.name}, its models' held-out "
        "rows) where a column's cells are shuffled. Near 0: the column is not used, or does not "
        "help."
    )
    return [Table("Importance of metadata columns", look, ["column", "loss of score"], rows)]


def _best_first(inputs: PageInputs) -> list:
    entries = [entry for entry in inputs.summary.contestants if entry.score is not None]
    return sorted(entries, key=lambda entry: -inputs.summary.sign * entry.score)


def _confusion(inputs: PageInputs) -> list[Part]:
    labels, predicted = inputs.targets.argmax(axis=1), decide(inputs.decided_oof, inputs.task)
    matrix = confusion_matrix(labels, predicted, len(inputs.classes))
    shown = most_confused(matrix, MATRIX)
    names = [inputs.classes[column] for column in shown]
    picture = figures.confusion(matrix[np.ix_(shown, shown)], names)
    look = "Rows are labels, columns predictions; dark cells off the diagonal are confusions."
    if len(shown) < len(matrix):
        look += f" The {MATRIX} classes with the most errors are shown."
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
        picture = figures.boxes(groups, inputs.classes, label="expected level of each label")
        look = "Boxes should rise with the label and overlap little."
        return Picture("Predicted against true", look, picture, "Boxes per level")
    rng = stream(inputs.project.config.seed, "report", "scatter")
    rows = sample_positions(len(inputs.targets), figures.DOTS, rng)
    columns = {
        name: (inputs.targets[rows, column], inputs.oof[rows, column])
        for column, name in list(enumerate(inputs.classes))[:6]
    }
    look = "Dots should lie along the dashed line; a flatter slope means shrunk predictions."
    picture = figures.predicted_against_true(
        columns, log=inputs.project.competition.scale == "log1p"
    )
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
        return Table("Scores per target", look, columns, rows)
    thresholds = effective_thresholds(inputs.test, inputs.decided_test, inputs.task)
    columns = ["class", "rows", "F1", "precision", "recall", "AP", "AUC"]
    scores = class_scores(inputs.targets >= 0.5, inputs.chosen(inputs.decided_oof), inputs.oof)
    rows = [
        [inputs.classes[c], f"{int(inputs.targets[:, c].sum()):,}"]
        + [number_text(score, digits=3) for score in scores[c]]
        for c in inputs.shown
    ]
    look = (
        "One class against all others. Low AUC: not recognised. High AUC with low recall: "
        "recognised, but rarely chosen. AP of a random guess is the share of the class."
    )
    if thresholds is not None:
        columns.append("threshold")
        look += " Threshold: the probability from which test images get the class."
        rows = [
            [*row, number_text(thresholds[c], digits=3)]
            for row, c in zip(rows, inputs.shown, strict=True)
        ]
    return Table("Scores per class", look, columns, rows)


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
