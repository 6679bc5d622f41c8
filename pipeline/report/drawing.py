"""How pictures are drawn: the report's style, empty figures and panels, class names on axes, PNGs.

Figures are made without pyplot, which would keep them all and ask for a display.
"""

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from functools import wraps

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

BLUE, ORANGE, GREY, INK = "#2463a6", "#d9761a", "#9aa5b1", "#1f2933"
WIDTH = 10.4  # inches, of a picture as wide as the page
DPI = 140  # the page shows 100 pixels per inch: sharp on fine screens too
PAGE_DPI = 100
MANY_CLASSES = 14  # more names than this are upright
STYLE = {
    "text.parse_math": False,  # a class may be called "$5"
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "grid.color": "#e4e7eb",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the report's style, independent of the user's matplotlibrc."""

    @wraps(draw)
    def in_style(*args, **kwargs) -> Figure:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return in_style


def png(figure: Figure) -> str:
    """Return a figure as a data URI."""
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A class name in a script that the font lacks: the tables beside the picture show it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    # Without transparency and tightly packed, the page is a third smaller.
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def add_panels(figure: Figure, count: int, across: int = 1) -> list[Axes]:
    down = -(-count // across)
    return [figure.add_subplot(down, across, place + 1) for place in range(count)]


def name_x(axes: Axes, names: Sequence[str]) -> None:
    """Write class names below an axis, smaller and upright where there are many."""
    upright = len(names) > MANY_CLASSES or sum(map(len, names)) > 110
    axes.set_xticks(
        range(len(names)),
        [_short(name) for name in names],
        rotation=90 if upright else 0,
        fontsize=_name_size(len(names)),
    )
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.grid(False, axis="x")


def name_matrix(axes: Axes, across: Sequence[str], down: Sequence[str]) -> None:
    axes.set_xticks(range(len(across)), [_short(name) for name in across], rotation=90)
    axes.set_yticks(range(len(down)), [_short(name) for name in down])
    axes.tick_params(labelsize=_name_size(len(down)), length=0)
    axes.grid(False)


def _name_size(count: int) -> float:
    return float(np.clip(560 / max(count, 1), 5.5, 9))


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:20]}…"
