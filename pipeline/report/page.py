"""The report's page: what sections are made of, thumbnails, the HTML.

The page is one file: pictures are data URIs, so that it opens from disk and can be mailed.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from pipeline.core.runtime import num_threads
from pipeline.images.decoding import PixelRange, in_threads, read_image
from pipeline.report.drawing import PAGE_DPI, png

GALLERY = 24  # images in a gallery
SMALL, LARGE = 84, 150  # longest side of a thumbnail, pixels
PIXEL_ART = 48  # images up to this size are enlarged without blurring


@dataclass(frozen=True)
class Picture:
    """A figure, what to look for in it, and its alternative text."""

    title: str
    look: str
    figure: Figure
    alt: str

    @property
    def width(self) -> int:
        """On the page, in CSS pixels."""
        return round(self.figure.get_figwidth() * PAGE_DPI)


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
    """One image with lines of text below it."""

    path: Path
    lines: Sequence[str]
    side: int = LARGE


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


Part = Picture | Table | Gallery | Text


@dataclass(frozen=True)
class Section:
    """A heading, a sentence and its parts; facts are (caption, number) in large type."""

    title: str
    look: str
    parts: Sequence[Part] = ()
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)


def render(
    title: str, sections: Sequence[Section], *, pixel_range: PixelRange | None = None
) -> str:
    """Return the HTML, with all images of all galleries inside it.

    Args:
        pixel_range: what images of more than 8 bits are scaled by.
    """
    tiles = {
        (tile.path, tile.side)
        for section in sections
        for part in section.parts
        if isinstance(part, Gallery)
        for _, group in part.groups
        for tile in group
    }
    threads = num_threads()
    order = sorted(tiles)
    thumbnails = in_threads(
        lambda tile: encode(*tile, pixel_range), order, threads=threads, ahead=4 * threads
    )
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # ids and class names are not ours
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html")
    images = dict(zip(order, thumbnails, strict=True))
    return template.render(title=title, sections=sections, images=images, png=png)


def encode(path: Path, side: int, pixel_range: PixelRange | None = None) -> str:
    """Return an image file as a data URI of at most `side` pixels."""
    image = Image.fromarray(read_image(path, pixel_range))
    stream = io.BytesIO()
    if max(image.size) <= PIXEL_ART:
        factor = side // max(image.size)
        image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST).save(
            stream, "PNG", optimize=True
        )
        return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
    image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    image.save(stream, "JPEG", quality=72, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
