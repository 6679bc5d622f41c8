"""The report's figures: each function draws given numbers, as one Figure or a list of them.

A figure is a column wide: on a phone, figures of a list stand one below the other.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from pipeline.core.results import Contestant
from pipeline.report.drawing import (
    BLUE,
    COLUMN,
    GREY,
    INK,
    ORANGE,
    add_panels,
    name_matrix,
    name_rows,
    new_figure,
    styled,
)

NUMBERS_IN_CELLS = 20  # a matrix of more classes shows colours only
DOTS = 4000  # in a scatter plot
ROWS = 25  # classes in one figure
DARK_CELL = 0.8  # of a matrix; it has white text
BOX = {
    "widths": 0.6,
    "orientation": "horizontal",
    "showfliers": False,
    "patch_artist": True,
    "boxprops": {"facecolor": "none", "edgecolor": BLUE},
    "medianprops": {"color": ORANGE},
    "whiskerprops": {"color": BLUE},
    "capprops": {"color": BLUE},
}


def _empty(height: float, width: float = COLUMN) -> tuple[Figure, Axes]:
    figure = new_figure(width, height)
    return figure, add_panels(figure, 1)[0]


@styled
def intervals(contestants: list[Contestant], chosen: str, *, metric: str, level: float) -> Figure:
    """Draw a dot and an interval per member and blend, with its folds as small ticks."""
    figure, axes = _empty(1.0 + 0.34 * len(contestants))
    for place, entry in enumerate(contestants):
        colour = BLUE if entry.name == chosen else INK if entry.kind == "blend" else GREY
        folds = [score for score in entry.fold_scores if score is not None]
        axes.plot(folds, [place] * len(folds), "|", color=colour, alpha=0.6, markersize=9)
        if entry.low is not None:
            axes.plot([entry.low, entry.high], [place, place], color=colour, linewidth=2)
        axes.plot(entry.score, place, "o", color=colour, markersize=7)
    name_rows(axes, [f"{entry.kind} {entry.name}".strip() for entry in contestants])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"{metric}; line: {level:.0%} interval; ticks: folds")
    return figure


@styled
def ranges(
    of: dict[str, tuple[float, float]], expected: float, *, metric: str, level: float
) -> Figure:
    """Draw a line from low to high per name, and the expected score across all."""
    figure, axes = _empty(1.0 + 0.34 * len(of))
    for place, (low, high) in enumerate(of.values()):
        if low is not None:
            axes.plot([low, high], [place, place], color=BLUE, linewidth=3)
    axes.axvline(expected, color=GREY, linestyle="--", linewidth=1)
    name_rows(axes, list(of))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(f"{metric}; line: {level:.0%} interval; dashed: expected")
    return figure


@styled
def over_time(
    times: Sequence[str], entries: Sequence[dict], *, metric: str, public: str = "public_score"
) -> Figure:
    """Draw submissions in their order: scores with intervals, and public scores where known."""
    figure, axes = _empty(2.8)
    for place, entry in enumerate(entries):
        if entry["low"] is not None:
            axes.plot([place, place], [entry["low"], entry["high"]], color=BLUE, linewidth=2)
        axes.plot(place, entry["score"], "o", color=BLUE, markersize=6)
        if entry.get(public) is not None:
            axes.plot(place, entry[public], "D", color=ORANGE, markersize=6)
    shown = np.unique(np.linspace(0, len(times) - 1, min(len(times), 4)).round().astype(int))
    axes.set_xticks(shown, [times[place] for place in shown])
    axes.set_xlim(-0.5, len(times) - 0.5)
    axes.set_ylabel(metric)
    return figure


@styled
def heat_map(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw correlations (M, M), each cell with its number."""
    side = 2.2 + 0.55 * len(names)
    figure, axes = _empty(side - 0.2, side)
    lowest = min(0.9, float(np.nanmin(matrix, initial=1.0))) - 0.05
    _draw_cells(axes, (matrix - lowest) / (1 - lowest), [[f"{v:.2f}" for v in r] for r in matrix])
    name_matrix(axes, names, names)
    return figure


def _draw_cells(axes: Axes, shares: np.ndarray, texts: Sequence[Sequence[str]]) -> None:
    """Draw a matrix of 0 to 1 as blue on the page's own background, with a text in each cell."""
    cells = np.zeros((*shares.shape, 4))
    cells[..., :3], cells[..., 3] = to_rgb(BLUE), np.nan_to_num(shares).clip(0, 1)
    axes.imshow(cells)
    for (row, column), share in np.ndenumerate(shares):
        if texts and texts[row][column]:
            colour = "white" if share > DARK_CELL else INK
            axes.text(column, row, texts[row][column], ha="center", va="center", color=colour)


def _in_parts(count: int) -> Iterator[slice]:
    """Yield equal parts of many classes, each for a figure."""
    num_parts = max(1, -(-count // ROWS))
    ends = np.linspace(0, count, num_parts + 1).round().astype(int).tolist()
    for start, end in pairwise(ends):
        yield slice(start, end)


@styled
def class_shares(
    names: Sequence[str], train: np.ndarray, test: np.ndarray, counts: Sequence[int]
) -> list[Figure]:
    """Draw each class's share in train and among test predictions as bars, with its count."""
    figures = []
    for part in _in_parts(len(names)):
        places = np.arange(len(names[part]))
        figure, axes = _empty(1.1 + 0.34 * len(places))
        axes.barh(places - 0.2, train[part], 0.38, color=BLUE, label="train, labels")
        axes.barh(places + 0.2, test[part], 0.38, color=ORANGE, label="test, predicted")
        for place, share, count in zip(places, train[part], counts[part], strict=True):
            axes.text(share, place - 0.2, f" {count:,}", va="center", fontsize=9)
        axes.set_xlim(0, 1.15 * max(np.max(train), np.max(test)))
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        name_rows(axes, names[part])
        axes.set_xlabel("share of images; numbers: training images")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        figures.append(figure)
    return figures


@styled
def histograms(
    panels: dict[str, tuple[np.ndarray, np.ndarray]], labels: tuple[str, str]
) -> list[Figure]:
    """Draw a figure per name with the histograms of two samples, each as shares of its own."""
    figures = []
    for name, pair in panels.items():
        figure, axes = _empty(2.8)
        both = np.concatenate(pair)
        # Without the clip, a few panoramas would leave all other images in one bin.
        low, high = np.quantile(both, [0.002, 0.998]) if len(both) > 500 else (min(both), max(both))
        bins = np.linspace(low, high if high > low else low + 1, 33)
        for numbers, colour, label in zip(pair, (BLUE, ORANGE), labels, strict=True):
            shares = np.full(len(numbers), 1 / max(1, len(numbers)))
            style = {"histtype": "stepfilled", "alpha": 0.25, "color": colour}
            axes.hist(numbers.clip(low, high), bins, weights=shares, label=label, **style)
            axes.hist(numbers.clip(low, high), bins, weights=shares, histtype="step", color=colour)
        axes.set_xlabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        figures.append(figure)
    return figures


@styled
def sizes(train: np.ndarray, test: np.ndarray) -> Figure:
    """Draw widths and heights (n, 2) in pixels as dots."""
    figure, axes = _empty(3.4)
    for points, colour, label in ((train, BLUE, "train"), (test, ORANGE, "test")):
        _scatter(axes, points[:, 0], points[:, 1], colour, label)
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    width, height = np.concatenate([train, test]).max(axis=0)
    axes.set_xlim(0, 1.06 * width)
    axes.set_ylim(0, 1.06 * height)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def _scatter(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, label: str = "") -> None:
    """Draw dots as pixels: thousands of them as shapes would make the page large and slow."""
    style = {"s": 12, "alpha": 0.45, "color": colour, "linewidths": 0, "rasterized": True}
    axes.scatter(x, y, label=label, **style)


@styled
def confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw counts (C, C), rows are labels; the colour is the share of the row."""
    side = float(np.clip(2.0 + 0.3 * len(names), 3.4, 11))  # a phone shows ten classes whole
    figure, axes = _empty(side, side)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    texts = [[f"{count}" if count else "" for count in row] for row in matrix]
    _draw_cells(axes, shares, texts if len(names) <= NUMBERS_IN_CELLS else ())
    name_matrix(axes, names, names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    return figure


@styled
def reliability(bins: pd.DataFrame) -> Figure:
    """Draw predicted against observed shares; below, the count of each bin."""
    figure = new_figure(COLUMN, 4.2)
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
def predicted_against_true(
    columns: dict[str, tuple[np.ndarray, np.ndarray]], *, log: bool = False
) -> list[Figure]:
    """Draw a scatter per target column, with the diagonal of a perfect model.

    Args:
        log: whether axes are logarithmic, where all values are above 0.
    """
    figures = []
    for name, (truth, predicted) in columns.items():
        figure, axes = _empty(3.6)
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(ends, ends, "--", color=GREY, linewidth=1)
        _scatter(axes, truth, predicted, BLUE)
        if log and ends[0] > 0:
            axes.set_xscale("log")
            axes.set_yscale("log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"{name}, true")
        axes.set_ylabel("predicted")
        figures.append(figure)
    return figures


@styled
def boxes(groups: Sequence[np.ndarray], names: Sequence[str], *, label: str) -> list[Figure]:
    """Draw a box (quartiles, median, whiskers without outliers) per name."""
    figures = []
    for part in _in_parts(len(names)):
        figure, axes = _empty(1.0 + 0.3 * len(names[part]))
        axes.boxplot(list(groups[part]), positions=range(len(names[part])), **BOX)
        name_rows(axes, names[part])
        axes.set_xlabel(label)
        figures.append(figure)
    return figures


@styled
def curves(logs: dict[int, pd.DataFrame], *, metric: str) -> list[Figure]:
    """Draw loss, validation score and learning rate by epoch, a line per fold."""
    figures, shades = [], matplotlib.colormaps["tab10"]
    for name, title in (
        ("val_loss", "loss (dashed: training)"),
        ("val_score", f"validation {metric}"),
        ("lr", "learning rate"),
    ):
        figure, axes = _empty(2.8)
        for number, (fold, log) in enumerate(logs.items()):
            colour = shades(number % 10)
            axes.plot(log["epoch"], log[name], ".-", color=colour, label=f"fold {fold}")
            if name == "val_loss":
                axes.plot(log["epoch"], log["loss"], "--", color=colour, linewidth=1)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name == "val_score" and len(logs) <= 10:
            axes.legend()
        figures.append(figure)
    return figures
