"""The report's page: what sections are made of, thumbnails, the HTML.

The page is one file: images are data URIs and figures are SVG, so that it opens from disk and can
be mailed. It loads nothing, and its content policy lets no script run but its own.
"""

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from pipeline.core.runtime import num_threads
from pipeline.errors import UserError
from pipeline.images.decoding import GREY, PLAIN, ToRgb, in_threads, read_image
from pipeline.report.drawing import svg

GALLERY = 24  # images in a gallery
SMALL, LARGE = 84, 150  # longest side of an image in a gallery, CSS pixels
OPENED = 300  # longest side of the pixels of a LARGE one, which a click opens
PIXEL_ART = 48  # images up to this size are enlarged without blurring


@dataclass(frozen=True)
class Picture:
    """Figures, what to look for in them, and their alternative text."""

    title: str
    look: str
    figures: Figure | Sequence[Figure]
    alt: str

    @property
    def all_figures(self) -> Sequence[Figure]:
        """Figures, also where there is one."""
        return [self.figures] if isinstance(self.figures, Figure) else self.figures


@dataclass(frozen=True)
class Table:
    """Cells as text; a row may be bold (the chosen one) and a cell marked (look here)."""

    title: str
    look: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    bold: Sequence[int] = ()
    marked: Sequence[tuple[int, int]] = ()
    words: Sequence[str] = ()  # columns set to the left


@dataclass(frozen=True)
class Tile:
    """One image with lines of text below it.

    Attributes:
        source: a data URI to show in place of the file.
    """

    path: Path
    lines: Sequence[str]
    side: int = LARGE
    source: str = ""


@dataclass(frozen=True)
class Gallery:
    """Images in named groups."""

    title: str
    look: str
    groups: Sequence[tuple[str, Sequence[Tile]]]


@dataclass(frozen=True)
class Text:
    """A paragraph, with a listing to unfold."""

    title: str
    look: str
    listing: str = ""


@dataclass(frozen=True)
class Folded:
    """Parts that a click unfolds: what most readers need not see."""

    title: str
    folded: Sequence["Part"]


Part = Picture | Table | Gallery | Text | Folded


@dataclass(frozen=True)
class Section:
    """A heading, a sentence and its parts; facts are (caption, number) in large type."""

    title: str
    look: str
    parts: Sequence[Part] = ()
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)

    @property
    def anchor(self) -> str:
        """Return what an address calls the section."""
        return re.sub(r"\W+", "-", self.title.lower())


def render(title: str, sections: Sequence[Section], *, to_rgb: ToRgb = PLAIN) -> str:
    """Return the HTML, with all images of all galleries inside it.

    Args:
        to_rgb: how files become pixels.
    """
    tiles = {
        (tile.path, tile.side)
        for section in sections
        for part in _unfolded(section.parts)
        if isinstance(part, Gallery)
        for _, group in part.groups
        for tile in group
        if not tile.source
    }
    threads = num_threads()
    order = sorted(tiles)
    thumbnails = in_threads(
        lambda tile: encode(*tile, to_rgb), order, threads=threads, ahead=4 * threads
    )
    images = dict(zip(order, thumbnails, strict=True))
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,  # ids and class names are not ours
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((folder / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    numbers = count()
    return environment.get_template("page.html").render(
        title=title,
        sections=sections,
        source=lambda tile: tile.source or images[tile.path, tile.side],
        svg=lambda figure, alt: Markup(svg(figure, alt=alt, number=next(numbers))),
        number_of=lambda: next(numbers),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(script),
    )


def _policy(script: str) -> str:
    """Return what the page may do: show images within it, run its own script, nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _unfolded(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, Folded):
            yield from _unfolded(part.folded)
        else:
            yield part


def encode(path: Path, side: int, to_rgb: ToRgb = PLAIN) -> str:
    """Return an image file as a data URI.

    A LARGE one has OPENED pixels, so that it can be opened; tiny ones keep their own, for the
    browser to enlarge.
    """
    try:
        pixels = read_image(path, to_rgb)
    except UserError:  # `data.unreadable: skip`
        pixels = GREY
    image = Image.fromarray(pixels)
    if max(image.size) <= PIXEL_ART:
        return data_uri(image, "PNG")
    pixels = OPENED if side == LARGE else side
    image.thumbnail((pixels, pixels), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return data_uri(image, "JPEG")


def data_uri(image: Image.Image, kind: str) -> str:
    """Return an image as a data URI, of kind PNG or JPEG."""
    stream = io.BytesIO()
    image.save(stream, kind, quality=72, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
