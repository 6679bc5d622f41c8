"""How figures are drawn: the report's style, empty figures and panels, class names, SVG and PNG.

Figures are made without pyplot, which would keep them all and ask for a display. The page holds
them as SVG whose colours are the page's own, so that they are readable in light and dark mode.
"""

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from html import escape

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

BLUE, ORANGE, GREY, INK = "#2463a6", "#d9761a", "#9aa5b1", "#1f2933"
GRID = "#e4e7eb"
WIDTH = 10.4  # inches, of a PNG
COLUMN = 5.0  # inches, of a figure on the page: two fit side by side, one fits a phone
DPI = 140  # of pixels in a figure: sharp on fine screens too
PAGE_DPI = 100  # CSS pixels per inch
SMALLEST_SCALE = 0.71  # a figure is shrunk no further, or its text would be under 9 pixels
STYLE = {
    "text.parse_math": False,  # a class may be called "$5"
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}
SVG_STYLE = {"svg.fonttype": "none", "figure.facecolor": "none", "axes.facecolor": "none"}
PAGE_COLOURS = {  # of the page's style sheet, which has others for dark mode
    INK: "currentColor",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREY: "var(--grey)",
    GRID: "var(--line)",
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
    with _quietly():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    # Without transparency and tightly packed, the file is a third smaller.
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def svg(figure: Figure, *, alt: str, number: int) -> str:
    """Return a figure as an <svg> element without a background, its text as text.

    Args:
        alt: what the figure shows, for those who cannot see it.
        number: of the figure on its page, so that no two define the same ids.
    """
    stream = io.StringIO()
    figure.set_facecolor("none")
    for axes in figure.axes:
        axes.set_facecolor("none")
    with _quietly(), matplotlib.rc_context({**SVG_STYLE, "svg.hashsalt": f"figure {number}"}):
        FigureCanvasSVG(figure).print_svg(stream)
    content = stream.getvalue().partition("<svg")[2].partition(">")[2]
    content = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", content, flags=re.DOTALL)
    content = re.sub(r">\s+<", "><", content).replace("xlink:href", "href")
    used = set(re.findall(r"#([\w-]+)", content))
    content = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", content)
    content = re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, content)
    content = re.sub(r' style="[^"]*"', _in_page_colours, content)
    width, height = figure.get_size_inches()
    shown = f"width: {width * PAGE_DPI:.0f}px; min-width: {width * PAGE_DPI * SMALLEST_SCALE:.0f}px"
    return (
        f'<svg class="plot" role="img" aria-label="{escape(alt)}" style="{shown}" '
        f'viewBox="0 0 {width * 72:.2f} {height * 72:.2f}">{content}'
    )


def _rounded(attribute: re.Match) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def _in_page_colours(style: re.Match) -> str:
    text = style[0]
    for colour, of_page in PAGE_COLOURS.items():
        text = text.replace(colour, of_page)
    return text


@contextmanager
def _quietly() -> Iterator[None]:
    """Draw in the report's style, without warnings about letters that the font lacks.

    The browser takes another font, and the tables beside a figure show the same names.
    """
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def add_panels(figure: Figure, count: int, across: int = 1) -> list[Axes]:
    down = -(-count // across)
    return [figure.add_subplot(down, across, place + 1) for place in range(count)]


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write class names beside the rows of a figure, the first on top."""
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")


def name_matrix(axes: Axes, across: Sequence[str], down: Sequence[str]) -> None:
    """Write class names above and beside a matrix."""
    axes.set_xticks(range(len(across)), [_short(name) for name in across], rotation=90)
    axes.set_yticks(range(len(down)), [_short(name) for name in down])
    axes.tick_params(length=0)
    axes.grid(False)


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:20]}…"
