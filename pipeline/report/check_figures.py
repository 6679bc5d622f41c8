"""Pictures of `make check`: loss curves, and batches with labels as the network sees them."""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from pipeline.core.artifacts import replacing
from pipeline.core.task import Task
from pipeline.report.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    WIDTH,
    add_panels,
    new_figure,
    png,
    styled,
)

ACROSS, SHOWN = 8, 16  # images in a row, and of a batch
SMALLEST_SHARE, WHOLE = 0.05, 0.95  # of a mixed label that is named; that needs no number
NAMED = 4  # labels under one image
SHORT = 12  # letters of a class's name


@styled
def one_batch(losses: Sequence[float], verdict: str) -> Figure:
    """Draw the loss of one batch over steps, as a share of its start."""
    figure = new_figure(WIDTH * 0.62, 3.2)
    axes = add_panels(figure, 1)[0]
    shares = np.asarray(losses, dtype=float) / (losses[0] or 1.0)
    axes.plot(range(1, len(shares) + 1), shares, color=BLUE, marker=".")
    axes.axhline(0, color=GREY, linewidth=1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title(f"Overfitting one batch: {verdict}")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, share of its start")
    return figure


@styled
def lr_range(
    lrs: Sequence[float],
    losses: Sequence[float],
    smooth: Sequence[float],
    *,
    suggestion: float | None,
    config: float,
) -> Figure:
    """Draw loss over learning rate, with the steepest descent and the config's rate."""
    figure = new_figure(WIDTH * 0.62, 3.4)
    axes = add_panels(figure, 1)[0]
    axes.plot(lrs, losses, color=GREY, linewidth=1, label="loss of a batch")
    axes.plot(lrs, smooth, color=BLUE, linewidth=2, label="smoothed")
    axes.axvline(config, color=INK, linestyle="--", label=f"the config's lr: {config:.1e}")
    if suggestion is not None:
        height = smooth[list(lrs).index(suggestion)]
        label = f"steepest descent: {suggestion:.1e}"
        axes.plot(suggestion, height, "o", color=ORANGE, markersize=9, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda lr, _: f"{lr:.0e}"))
    # The last losses diverge: the range that matters is around the first loss and below it.
    fall = max(smooth[0] - min(losses), 0.05 * abs(smooth[0]), 1e-9)
    axes.set_ylim(smooth[0] - 1.5 * fall, smooth[0] + 0.6 * fall)
    axes.set_title("Learning rate range test")
    axes.set_xlabel("learning rate of the head; the backbone's is a share of it")
    axes.set_ylabel("loss")
    axes.legend(loc="lower left")
    return figure


@styled
def batches(seen: Sequence[tuple[np.ndarray, Sequence[str]]]) -> Figure:
    """Draw up to 16 images (H, W, 3) uint8 of each batch, with labels' texts."""
    rows = [-(-min(len(images), SHOWN) // ACROSS) for images, _ in seen]
    lines = max((label.count("\n") + 1 for _, labels in seen for label in labels), default=1)
    figure = new_figure(WIDTH, (1.34 + 0.13 * lines) * sum(rows))
    panels = add_panels(figure, ACROSS * sum(rows), ACROSS)
    for axes in panels:
        axes.set_axis_off()
    for number, (images, labels) in enumerate(seen):
        first = ACROSS * sum(rows[:number])
        for place in range(min(len(images), SHOWN)):
            axes = panels[first + place]
            axes.imshow(images[place])
            axes.text(
                0.5,
                -0.03,
                labels[place],
                ha="center",
                va="top",
                fontsize=7,
                transform=axes.transAxes,
            )
        panels[first].set_title(f"batch {number + 1}")
    return figure


def label_text(target: np.ndarray, names: Sequence[str], task: Task) -> str:
    """Return targets (C,) as text: "shirt 0.7, hat 0.3", one a line; alone: "shirt"."""
    if task.is_regression:
        parts = [f"{_short(name)} {value:.4g}" for name, value in zip(names, target, strict=True)]
    else:
        order = [place for place in np.argsort(-target) if target[place] >= SMALLEST_SHARE]
        parts = [
            _short(names[place]) + (f" {target[place]:.2f}" if target[place] < WHOLE else "")
            for place in order
        ] or ["no label"]
    if len(parts) > NAMED:
        parts = [*parts[:NAMED], "…"]
    return ",\n".join(parts)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a .png file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(base64.b64decode(png(figure).partition(",")[2]))


def _short(name: str) -> str:
    return name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"
