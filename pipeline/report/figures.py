"""The report's pictures: each function draws given numbers as a Figure."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pipeline.core.results import Contestant
from pipeline.report.drawing import (
    BLUE,
    GREY,
    INK,
    MANY_CLASSES,
    ORANGE,
    WIDTH,
    add_panels,
    name_matrix,
    name_x,
    new_figure,
    styled,
)

NUMBERS_IN_CELLS = 20  # a matrix of more classes shows colours only
DOTS = 4000  # in a scatter plot
BOX = {
    "widths": 0.6,
    "showfliers": False,
    "patch_artist": True,
    "boxprops": {"facecolor": "#dbe7f4", "edgecolor": BLUE},
    "medianprops": {"color": INK},
    "whiskerprops": {"color": BLUE},
    "capprops": {"color": BLUE},
}


@styled
def intervals(contestants: list[Contestant], chosen: str, *, metric: str, level: float) -> Figure:
    """Draw a dot and an interval per member and blend, with its folds as small ticks."""
    figure = new_figure(WIDTH, 0.9 + 0.34 * len(contestants))
    axes = add_panels(figure, 1)[0]
    for place, entry in enumerate(contestants):
        colour = BLUE if entry.name == chosen else INK if entry.kind == "blend" else GREY
        folds = [score for score in entry.fold_scores if score is not None]
        axes.plot(folds, [place] * len(folds), "|", color=colour, alpha=0.45, markersize=9)
        if entry.low is not None:
            axes.plot([entry.low, entry.high], [place, place], color=colour, linewidth=2)
        axes.plot(entry.score, place, "o", color=colour, markersize=7)
    axes.set_yticks(
        range(len(contestants)), [f"{entry.kind} {entry.name}".strip() for entry in contestants]
    )
    axes.set_ylim(len(contestants) - 0.5, -0.5)
    axes.set_xlabel(f"{metric}; line: {level:.0%} interval; small ticks: single folds")
    return figure


@styled
def ranges(
    of: dict[str, tuple[float, float]], expected: float, *, metric: str, level: float
) -> Figure:
    """Draw a line from low to high per name, and the expected score across all."""
    figure = new_figure(WIDTH, 0.9 + 0.34 * len(of))
    axes = add_panels(figure, 1)[0]
    for place, (low, high) in enumerate(of.values()):
        if low is not None:
            axes.plot([low, high], [place, place], color=BLUE, linewidth=3)
    axes.axvline(expected, color=GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(of)), list(of))
    axes.set_ylim(len(of) - 0.5, -0.5)
    axes.set_xlabel(f"{metric}; line: {level:.0%} interval; dashed: expected on test rows")
    return figure


@styled
def heat_map(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw correlations (M, M), each cell with its number."""
    side = 2.6 + 0.5 * len(names)
    figure = new_figure(side + 0.8, side)
    axes = add_panels(figure, 1)[0]
    lowest = min(0.9, float(np.nanmin(matrix, initial=1.0)))
    axes.imshow(matrix, cmap="Blues", vmin=lowest - 0.05, vmax=1.0)
    middle = (lowest + 0.95) / 2
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if value > middle else INK
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    name_matrix(axes, names, names)
    return figure


@styled
def class_shares(names: Sequence[str], train: np.ndarray, test: np.ndarray, counts) -> Figure:
    """Draw each class's share in train and among test predictions as bars; counts on top."""
    figure = new_figure(WIDTH, 3.3)
    axes = add_panels(figure, 1)[0]
    places = np.arange(len(names))
    axes.bar(places - 0.2, train, 0.4, color=BLUE, label="train, labels")
    axes.bar(places + 0.2, test, 0.4, color=ORANGE, label="test, predicted")
    if len(names) <= MANY_CLASSES:
        for place, share, count in zip(places, train, counts, strict=True):
            axes.text(place - 0.2, share, f"{count:,}", ha="center", va="bottom", fontsize=7)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel("share of images")
    name_x(axes, names)
    axes.margins(y=0.08)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


@styled
def histograms(panels: dict[str, tuple[np.ndarray, np.ndarray]], labels: Sequence[str]) -> Figure:
    """Draw two sets of numbers for each name as densities over shared bins."""
    across = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    down = -(-len(panels) // across)
    figure = new_figure(WIDTH * (0.62 if across == 1 else 1), 2.7 * down)
    for axes, (name, pair) in zip(
        add_panels(figure, len(panels), across), panels.items(), strict=True
    ):
        both = np.concatenate(pair)
        # Without the clip, a few panoramas would leave all other images in one bin.
        low, high = np.quantile(both, [0.002, 0.998]) if len(both) > 500 else (min(both), max(both))
        bins = np.linspace(low, high if high > low else low + 1, 33)
        for numbers, colour, label in zip(pair, (BLUE, ORANGE), labels, strict=True):
            shares = np.full(len(numbers), 1 / max(1, len(numbers)))
            style = {"histtype": "stepfilled", "alpha": 0.25, "color": colour}
            axes.hist(numbers.clip(low, high), bins, weights=shares, label=label, **style)
            axes.hist(numbers.clip(low, high), bins, weights=shares, histtype="step", color=colour)
        axes.set_title(name)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.legend()
    return figure


@styled
def sizes(train: np.ndarray, test: np.ndarray) -> Figure:
    """Draw widths and heights (n, 2) in pixels as dots."""
    figure = new_figure(WIDTH * 0.62, 3.6)
    axes = add_panels(figure, 1)[0]
    for points, colour, label in ((train, BLUE, "train"), (test, ORANGE, "test")):
        axes.scatter(points[:, 0], points[:, 1], s=14, alpha=0.4, color=colour, label=label, lw=0)
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    width, height = np.concatenate([train, test]).max(axis=0)
    axes.set_xlim(0, 1.06 * width)
    axes.set_ylim(0, 1.06 * height)
    axes.legend()
    return figure


@styled
def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw counts (C, C), rows are labels; the colour is the share of the row."""
    side = float(np.clip(2.2 + 0.42 * len(names), 3.6, WIDTH - 1))
    figure = new_figure(side + 0.9, side)
    axes = add_panels(figure, 1)[0]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= NUMBERS_IN_CELLS:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.55 else INK
                axes.text(column, row, f"{count}", ha="center", va="center", color=colour, size=8)
    name_matrix(axes, names, names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    return figure


@styled
def reliability(bins: pd.DataFrame) -> Figure:
    """Draw predicted against observed shares; below, the count of each bin."""
    figure = new_figure(5.4, 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1)
    above.plot(bins["predicted"], bins["observed"], "o-", color=BLUE)
    above.set_ylabel("observed share")
    above.set_ylim(-0.02, 1.02)
    below.bar(bins["middle"], bins["count"], 0.09, color=BLUE, alpha=0.6)
    below.set_ylabel("count")
    below.set_xlabel("predicted probability")
    below.set_xlim(-0.02, 1.02)
    return figure


@styled
def predicted_against_true(columns: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw a scatter per target column, with the diagonal of a perfect model."""
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure = new_figure(min(WIDTH, 4.6 * across), 3.6 * down)
    panels = add_panels(figure, len(columns), across)
    for axes, (name, (truth, predicted)) in zip(panels, columns.items(), strict=True):
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(ends, ends, "--", color=GREY, linewidth=1)
        axes.scatter(truth, predicted, s=10, alpha=0.35, color=BLUE, linewidths=0)
        axes.set_title(name)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
    return figure


@styled
def boxes(
    groups: Sequence[np.ndarray], names: Sequence[str], *, label: str, below: str = ""
) -> Figure:
    """Draw a box (quartiles, median, whiskers without outliers) per name."""
    figure = new_figure(WIDTH, 3.2)
    axes = add_panels(figure, 1)[0]
    axes.boxplot(list(groups), positions=range(len(names)), **BOX)
    name_x(axes, names)
    axes.set_ylabel(label)
    axes.set_xlabel(below)
    return figure


@styled
def curves(logs: dict[int, pd.DataFrame], *, metric: str) -> Figure:
    """Draw loss, validation score and learning rate by epoch, a line per fold."""
    figure = new_figure(WIDTH, 3.0)
    loss, score, rate = add_panels(figure, 3, 3)
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(logs)))
    for (fold, log), colour in zip(logs.items(), shades, strict=True):
        loss.plot(log["epoch"], log["loss"], "--", color=colour, linewidth=1)
        loss.plot(log["epoch"], log["val_loss"], ".-", color=colour)
        score.plot(log["epoch"], log["val_score"], ".-", color=colour, label=f"fold {fold}")
        rate.plot(log["epoch"], log["lr"], ".-", color=colour)
    for axes, title in (
        (loss, "loss (dashed: training)"),
        (score, f"validation {metric}"),
        (rate, "learning rate"),
    ):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    if len(logs) <= 10:
        score.legend()
    return figure
