"""Report stage: reads all artifacts, writes report.html and suspicious_labels.csv."""

import json
import logging
import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.config.schema import Config, Network
from pipeline.core import artifacts, predictions
from pipeline.core.competition import Competition
from pipeline.core.metrics import Metric
from pipeline.core.runtime import stream
from pipeline.core.workspace import Workspace
from pipeline.data.index import ImageIndex
from pipeline.report import figures
from pipeline.report import page as pages
from pipeline.report.page import Gallery, Part, Picture, Section, Table, Text, Tile
from pipeline.stages.outputs import read_member
from pipeline.stages.project import Project, open_project

log = logging.getLogger(__name__)
GALLERY = 24  # images in a gallery
SAMPLES = 100  # images in the grids of samples, all classes together
PAIRS = 4  # pairs of twins shown of each sort
DOTS = 4000  # in a scatter plot
SHOWN_CLASSES = 100  # of more classes, the most frequent are shown
LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm", "torch", "timm", "lightning")


@dataclass(frozen=True)
class Findings:
    """All that the page is made from.

    Attributes:
        index: images of training rows, then of test rows.
        summary: submissions/<c>/<name>.json.
        oof: (N, C) the submitted blend's out-of-fold predictions.
        member_oof: (M, N, C).
        test: (N_test, C), and `test_source`, a sentence on where they come from.
        spread: (N_test,) how far the folds' models and members lie apart.
    """

    config: Config
    workspace: Workspace
    competition: Competition
    metric: Metric
    index: ImageIndex
    summary: dict[str, Any]
    oof: np.ndarray
    member_oof: np.ndarray
    test: np.ndarray
    test_source: str
    spread: np.ndarray

    @property
    def kind(self) -> str:
        """The task."""
        return self.config.task.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """C names."""
        return self.competition.classes

    @property
    def targets(self) -> np.ndarray:
        """(N, C)."""
        return self.competition.targets

    @cached_property
    def decision(self) -> dict[str, Any]:
        """How predictions become decisions, see `pages.decide`."""
        threshold = self.config.submission.threshold
        levels = self.competition.levels
        return {"kind": self.kind, "levels": levels, "threshold": threshold}

    @cached_property
    def shown(self) -> np.ndarray:
        """Columns that pictures show: all, or the most frequent classes in their order."""
        frequent = np.argsort(-np.abs(self.targets).sum(axis=0), kind="stable")[:SHOWN_CLASSES]
        return np.sort(frequent)

    @cached_property
    def shown_names(self) -> list[str]:
        """Their names."""
        return [self.classes[column] for column in self.shown]

    def chosen(self, matrix: np.ndarray) -> np.ndarray:
        """(N, C) of 0 and 1: the class, or the labels, that targets or predictions come down to."""
        decided = pages.decide(matrix, **self.decision)
        return decided if decided.ndim == 2 else np.eye(len(self.classes), dtype=bool)[decided]

    def tile(self, row: int, *lines: str, side: int = pages.LARGE) -> Tile:
        """An image by its position: training rows, then test rows."""
        path = self.competition.folder / str(self.index.paths[row])
        return Tile(path, [line for line in lines if line], side)


def make_report(folder: Path, fingerprint: str, *, config: Config, root: Path) -> None:
    """Write the page and the list of suspicious labels beside the submission."""
    found = gather(open_project(config, root))
    parent = found.workspace.submissions
    listed = pages.suspicious_labels(found.targets, found.oof, found.classes, **found.decision)
    suspicious = listed.assign(id=found.competition.ids[listed["row"]])
    columns = ["id", "label", "predicted", "probability", "label_probability"]
    with artifacts.replacing(parent / "suspicious_labels.csv") as temporary:
        suspicious[columns].to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    sections = [
        estimate(found),
        members(found),
        rows_and_images(found),
        errors(found, suspicious),
        test_set(found),
        training(found),
        making(found),
    ]
    html = pages.render(f"{config.competition}: report", sections)
    artifacts.write_text(parent / "report.html", html)
    artifacts.finish(folder, fingerprint)
    log.info("report -> %s", parent / "report.html")


def gather(project: Project) -> Findings:
    """Read the last submission's summary, its oof, and the members it was made of."""
    submissions, competition = project.workspace.submissions, project.competition
    meta = artifacts.read_meta(submissions)
    assert meta is not None, f"{submissions} has no finished ensemble"
    path = submissions / meta["summary"]
    summary = json.loads(path.read_text(encoding="utf-8"))
    loaded = predictions.load(path.with_suffix(".npz"), classes=competition.classes)
    oof = loaded.in_order_of(competition.ids, where=str(path.with_suffix(".npz")))
    member_oof, member_test, spreads = [], [], []
    for name in project.config.members:
        out_of_fold, test = read_member(project, name)
        member_oof.append(out_of_fold.values)
        member_test.append(test.values.mean(axis=0))
        spreads.append(test.values.std(axis=0))
    means = np.stack(member_test)
    width = np.maximum(competition.targets.std(axis=0), pages.EPS)
    spread = (np.mean(spreads, axis=0) + means.std(axis=0)) / width
    test, source = _test_predictions(project, summary, path.with_suffix(".csv"), means)
    return Findings(
        config=project.config,
        workspace=project.workspace,
        competition=competition,
        metric=project.metric,
        index=project.index,
        summary=summary,
        oof=oof.values,
        member_oof=np.stack(member_oof),
        test=test,
        test_source=source,
        spread=spread.mean(axis=1),
    )


def _test_predictions(
    project: Project, summary: dict, csv: Path, means: np.ndarray
) -> tuple[np.ndarray, str]:
    """(N_test, C) and where they come from: the file that is submitted, if it says enough."""
    competition = project.competition
    written = pd.read_csv(csv, dtype={competition.data.id: str}, keep_default_na=False)
    written = written.set_index(competition.data.id)
    if set(written.columns) == set(competition.classes):
        values = written.loc[competition.test_ids, list(competition.classes)].to_numpy(dtype=float)
        if project.config.task.kind == "regression" or not np.isin(values, [0, 1]).all():
            return values, "Predictions are those of the submitted file."
    weights = np.array(list((summary["estimate"]["weights"] or {}).values()) or [0.0])
    if len(weights) != len(means) or weights.min() < 0 or weights.sum() <= 0:
        return means.mean(axis=0), (
            "The submitted file has no number per class, so what is shown here is the mean "
            "of the members' test predictions."
        )
    return np.tensordot(weights / weights.sum(), means, axes=1), (
        "The submitted file has no number per class, so what is shown here is the average of the "
        "members' test predictions with the blend's weights."
    )


def estimate(found: Findings) -> Section:
    """What score to expect, and of which file."""
    summary, entry = found.summary, found.summary["estimate"]
    gain = summary["better_than_best_single"]
    direction = "higher" if summary["greater_is_better"] else "lower"
    facts = [
        (f"{summary['metric']} ({direction} is better)", f"{entry['score']:.4f}"),
        (f"{entry['level']:.0%} interval", f"{entry['low']:.4f} to {entry['high']:.4f}"),
        ("submitted", f"{entry['is']} {entry['name']}"),
        ("folds", str(summary["folds"])),
        ("seed", str(entry["seed"])),
        ("training rows", f"{summary['rows']:,}"),
        ("test rows", f"{summary['test_rows']:,}"),
        ("better than best member", f"{gain['probability']:.0%}"),
    ]
    against = (
        f"Against the best single member ({summary['best_single']}), the blend is better with "
        f"probability {gain['probability']:.2f}; the difference in {summary['metric']} lies "
        f"between {gain['low']:+.4f} and {gain['high']:+.4f}, positive meaning better."
    )
    look = (
        "Expect the leaderboard's score inside the interval, if test images come from where "
        "training images come from; every row was scored by models and weights fitted without it."
    )
    file = f"Submitted file: {summary['submission']}"
    return Section("Estimate", look, [Text("", against), Text("", file)], facts)


def members(found: Findings) -> Section:
    """Who contributes what."""
    summary = found.summary
    chosen, entries = summary["estimate"]["name"], summary["contestants"]
    names = list(found.config.members)
    parts: list[Part] = [
        _contestants(found),
        Picture(
            "Intervals",
            "Intervals that overlap widely are not told apart by these rows; ticks far from the "
            "dot are folds that are unlike the others.",
            figures.intervals(
                entries, chosen, metric=summary["metric"], level=summary["estimate"]["level"]
            ),
            f"Scores with intervals of {', '.join(entry['name'] for entry in entries)}",
        ),
    ]
    if len(names) > 1:
        matrix = pages.correlation(found.member_oof)
        parts.append(
            Picture(
                "How alike members are",
                "The lower the correlation of two good members, the more their blend gains; near "
                "1.00, one of them could go.",
                figures.heat_map(matrix, names),
                f"Correlation of out-of-fold predictions of {', '.join(names)}",
            )
        )
    views = _view_scores(found)
    look = "Look for blends that beat all members by more than the spread of folds."
    return Section("Members and blends", look, [*parts, *views])


def _contestants(found: Findings) -> Table:
    entries = found.summary["contestants"]
    level = found.summary["estimate"]["level"]
    rows = [
        [
            f"{entry['is']} {entry['name']}",
            f"{entry['score']:.4f}",
            f"{entry['low']:.4f} to {entry['high']:.4f}",
            f"{min(entry['fold_scores']):.4f} to {max(entry['fold_scores']):.4f}",
            ", ".join(
                f"{name} {weight:.2f}"
                for name, weight in (entry["weights"] or {}).items()
                if abs(weight) > 0.005
            )
            or "–",
        ]
        for entry in entries
    ]
    chosen = found.summary["estimate"]["name"]
    return Table(
        f"Out-of-fold {found.summary['metric']}",
        "The bold row is submitted; all rows are scored on the same folds.",
        ["", "score", f"{level:.0%} interval", "over folds", "weights"],
        rows,
        bold=[number for number, entry in enumerate(entries) if entry["name"] == chosen],
        words=["weights"],
    )


def _view_scores(found: Findings) -> list[Part]:
    """Each view's own score per member; those below the original's are marked and named."""
    scores = {
        name: meta["view_scores"]
        for name, meta in found.summary["members"].items()
        if len(meta.get("view_scores", {})) > 1
    }
    if not scores:
        return []
    metric, views = found.metric, found.config.tta.views
    marked, low = [], {}
    for row, (name, of_view) in enumerate(scores.items()):
        for column, view in enumerate(views, start=1):
            if metric.is_better(of_view.get("original", np.nan), of_view.get(view, np.nan)):
                marked.append((row, column))
                low.setdefault(view, []).append(name)
    named = ", ".join(f"{view} (in {', '.join(names)})" for view, names in low.items())
    look = "Each view alone, out of fold. " + (
        f"Worse than the original: {named}. See whether tta.views without them does better; "
        "an average may still gain."
        if low
        else "A view worse than the original would be marked; none is."
    )
    rows = [[name, *(_number(of.get(view)) for view in views)] for name, of in scores.items()]
    return [Table("Test-time views", look, ["member", *views], rows, marked=marked)]


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
    predicted = found.chosen(found.test).mean(axis=0)[found.shown]
    figure = figures.class_shares(found.shown_names, counts / len(found.targets), predicted, counts)
    more = len(found.classes) - len(found.shown)
    look = (
        "A class that is much rarer or more frequent among test predictions than in train is "
        "either really so, or poorly recognised."
        + (f" {more} rarer classes are not shown." if more else "")
    )
    alt = "Share of each class among training labels and test predictions"
    return Picture("Class counts", look, figure, alt)


def image_properties(index: ImageIndex) -> dict[str, np.ndarray]:
    """Numbers (N,) per image that need no decoding: pixels, and 0 to 1 from grey thumbnails."""
    height, width = index.sizes.astype(float).T
    grey = index.thumbnails.reshape(len(index.thumbnails), -1)
    return {
        "width, pixels": width,
        "height, pixels": height,
        "aspect, width / height": width / height,
        "brightness, mean grey": grey.mean(axis=1) / 255,
        "contrast, spread of grey": grey.std(axis=1) / 255,
    }


def _properties(found: Findings) -> list[Part]:
    num_train = len(found.targets)
    train, test = {}, {}
    for name, numbers in image_properties(found.index).items():
        train[name], test[name] = numbers[:num_train], numbers[num_train:]
    chance = 1.63 * np.sqrt(1 / num_train + 1 / len(found.test))
    rows, marked = [], []
    for name, numbers in train.items():
        gap = pages.distribution_gap(numbers, test[name])
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
            np.column_stack(list(properties.values())[:2])[_some(len(numbers), DOTS // 2, rng)]
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
    path = found.workspace.features / "audit.json"
    audit = json.loads(path.read_text(encoding="utf-8"))
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
    labels = pages.in_words(found.targets, found.classes, **found.decision)
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
            [found.tile(rows[i], side=pages.SMALL) for i in _some(len(rows), each, rng)],
        )
        for name, rows in rows_of.items()
    ]
    look = "Drawn at random: would you give them the same labels, at this size?"
    return Gallery("Samples", look, groups)


def errors(found: Findings, suspicious: pd.DataFrame) -> Section:
    """Where the submitted blend is wrong, out of fold."""
    parts: list[Part] = []
    if found.kind not in ("regression", "multilabel"):
        parts += _confusion(found)
    if found.kind in ("regression", "ordinal"):
        parts.append(_scatter(found))
    parts.append(_scores_per_column(found))
    if found.kind != "regression":
        parts.append(_reliability(found))
    tiles = [
        found.tile(cell.row, str(cell.id), *_label_and_prediction(cell))
        for cell in suspicious.head(GALLERY).itertuples()
    ]
    what = "value" if found.kind == "regression" else "label"
    how = (
        "the largest residuals first"
        if found.kind == "regression"
        else "ranked by the label's probability, relative to what its class usually gets"
    )
    look = (
        f"Is it the {what} that is wrong, or the model? Out of fold, {how}; "
        f"{len(suspicious):,} of {suspicious.attrs['found']:,} are in suspicious_labels.csv."
        if tiles
        else "No out-of-fold prediction contradicts its label."
    )
    parts.append(Gallery("Suspicious labels", look, [("", tiles)] if tiles else []))
    look = "All numbers here are out of fold, of the blend that is submitted."
    return Section("Errors", look, parts)


def _label_and_prediction(cell: Any) -> tuple[str, str]:
    if np.isnan(cell.probability):
        return f"label {cell.label}", f"predicted {cell.predicted}"
    return (
        f"label {cell.label} ({cell.label_probability:.2f})",
        f"predicted {cell.predicted} ({cell.probability:.2f})",
    )


def _confusion(found: Findings) -> list[Part]:
    labels, predicted = found.targets.argmax(axis=1), pages.decide(found.oof, **found.decision)
    matrix = pages.confusion_matrix(labels, predicted, len(found.classes))
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
    rows = _some(len(found.targets), DOTS, rng)
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
            [name, *map(_number, regression_scores(found.targets[:, column], found.oof[:, column]))]
            for column, name in enumerate(found.classes)
        ]
        look = "R² near 0 means that the mean would do as well."
        return Table("Per target", look, columns, rows)
    truth, chosen = found.targets >= 0.5, found.chosen(found.oof)
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
        rows.append([name, f"{count:,}", *(_number(score, digits=3) for score in scores)])
    look = (
        "One class against all others. Low AUC: not recognised; high AUC with low recall: "
        "recognised, but rarely chosen. AP of a random guess is the share of the class."
    )
    return Table("Per class", look, columns, rows)


def ranking_scores(truth: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Average precision and AUC of one column; NaN where truth (N,) has one value only."""
    if truth.all() or not truth.any():
        return np.nan, np.nan
    return float(average_precision_score(truth, values)), float(roc_auc_score(truth, values))


def regression_scores(truth: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """RMSE, MAE and R² of one target (N,)."""
    residuals = truth - values
    mean_square = float((residuals**2).mean())
    variance = float(truth.var())
    explained = 1 - mean_square / variance if variance else np.nan
    return mean_square**0.5, float(np.abs(residuals).mean()), explained


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
    bins = pages.reliability_bins(said.clip(0, 1), happened.astype(float))
    look = (
        f"Here: {what}. On the dashed line, 0.8 is right eight times in ten; below it, the blend "
        f"is too sure. Mean distance from it: {pages.calibration_error(bins):.3f}."
    )
    picture = figures.reliability(bins)
    return Picture("Reliability", look, picture, "Said probability against observed share")


def test_set(found: Findings) -> Section:
    """What is predicted for test images, and how surely."""
    sure, name = _confidence(found)
    order = np.argsort(-sure, kind="stable")
    half = max(1, min(GALLERY // 2, len(order) // 2))
    words = pages.in_words(found.test, found.classes, **found.decision)
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
        f"train. {found.test_source}"
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
    chosen = found.chosen(found.test)
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


def training(found: Findings) -> Section:
    """Training curves of the networks."""
    parts: list[Part] = []
    for name, settings in found.config.members.items():
        if not isinstance(settings, Network):
            continue
        paths = {
            fold: found.workspace.fold(name, fold) / "log.csv"
            for fold in range(found.summary["folds"])
        }
        logs = {fold: pd.read_csv(path) for fold, path in paths.items() if path.exists()}
        if logs:
            epochs = max(len(table) for table in logs.values())
            look = (
                f"{epochs} epochs. Validation loss that rises while training loss falls: too long, "
                "or too little augmentation; a score still improving at the end: too short."
            )
            picture = figures.curves(logs, metric=found.metric.name)
            parts.append(Picture(name, look, picture, f"Training curves of {name}"))
    none = "There are no networks among the members, so there is nothing to see."
    look = "Look for folds that part from the others." if parts else none
    return Section("Training curves", look, parts)


def making(found: Findings) -> Section:
    """What it takes to make the same again."""
    summary = found.summary
    config = yaml.safe_dump(summary["config"], sort_keys=False, allow_unicode=True)
    lines = found.workspace.submissions / "ledger.jsonl"
    entries = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    rows = [
        [
            entry["time"].replace("T", " ").removesuffix("+00:00"),
            entry["blend"],
            entry["metric"],
            f"{entry['score']:.4f}",
            f"{entry['low']:.4f} to {entry['high']:.4f}",
            _number(entry.get("public_score")),
            ", ".join(entry["members"]),
        ]
        for entry in entries[-30:]
    ]
    ours = [
        number
        for number, entry in enumerate(entries[-30:])
        if entry["fingerprint"] == summary["fingerprint"]
    ]
    columns = ["time (UTC)", "blend", "metric", "score", "interval", "public", "members"]
    words = ["blend", "metric", "members"]
    versions = f"Python {platform.python_version()}" + "".join(map(_version, LIBRARIES))
    parts = [
        Table(
            "Ledger",
            "Submissions of this competition so far, this one bold; differences smaller than an "
            "interval may be chance.",
            columns,
            rows,
            bold=ours,
            words=words,
        ),
        Text("Config", "Everything that decides the result, defaults included.", config),
        Text("Versions", f"{versions}; fingerprint {summary['fingerprint']}."),
    ]
    look = "The same config, images and versions give the same submission."
    return Section("How it was made", look, parts)


def _version(library: str) -> str:
    try:
        return f", {library} {version(library)}"
    except PackageNotFoundError:
        return ""


def _number(value: float | None, *, digits: int = 4) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def _some(count: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """At most `wanted` positions out of `count`, in order."""
    return np.sort(rng.choice(count, min(count, wanted), replace=False))
