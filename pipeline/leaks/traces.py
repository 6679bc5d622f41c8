"""What a file shows besides its picture: header, EXIF tags and outermost pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from struct import error as StructError

import numpy as np
from PIL import Image

from pipeline.images.decoding import PixelRange, in_threads, read_image

EXIF_FOLDER, GPS_FOLDER = 0x8769, 0x8825
GPS = "gps"  # whether the photo says where it was made
UNREADABLE = {"unreadable": "yes"}
INSIDE = 8  # pixels from the border: one JPEG block, into which a mark on the border may bleed
PROBE = 4  # pixels between the two lines whose difference tells a mark from the background


@dataclass(frozen=True)
class Trace:
    """One file's trace.

    Attributes:
        exif: tags by number, as text; empty where there are none.
        encoding: format, mode and coarseness of JPEG (sum of its first table; 0 for others).
        edge, inside: (52,) `outline` of the image, and of the image without its outermost pixels.
    """

    exif: dict[int | str, str]
    encoding: tuple[str, str, int]
    edge: np.ndarray
    inside: np.ndarray


def read_traces(
    paths: list[Path], *, threads: int, pixel_range: PixelRange | None = None
) -> Iterator[Trace]:
    """Open files in threads, in order; each is decoded once.

    Raises:
        UserError: naming the first image that cannot be decoded.
    """
    read = partial(_read_trace, pixel_range=pixel_range)
    yield from in_threads(read, paths, threads=threads, ahead=8 * threads)


def outline(pixels: np.ndarray) -> np.ndarray:
    """Describe the four sides of (H, W, 3) uint8 in 52 numbers.

    Per side and channel: means of the outermost line and of the outermost three lines, and the
    outermost line less the one PROBE pixels in; per side: spread along the line; means of corners.
    """
    pixels = pixels.astype(np.float32)
    sides = [np.rot90(pixels, turns) for turns in range(4)]
    probe = min(PROBE, min(pixels.shape[:2]) - 1)
    line = [side[0].mean(axis=0) for side in sides]
    parts = [
        *line,
        *(side[:3].mean(axis=(0, 1)) for side in sides),
        *(outer - side[probe].mean(axis=0) for outer, side in zip(line, sides, strict=True)),
        *(side[:3, :3].mean(axis=(0, 1)) for side in sides),
        [side[0].mean(axis=1).std() for side in sides],
    ]
    return np.concatenate(parts)


def _read_trace(path: Path, pixel_range: PixelRange | None) -> Trace:
    exif, encoding = _read_header(path)
    pixels = read_image(path, pixel_range)
    depth = min(INSIDE, (min(pixels.shape[:2]) - 1) // 4)
    height, width = pixels.shape[:2]
    inside = pixels[depth : height - depth, depth : width - depth]
    return Trace(exif, encoding, outline(pixels), outline(inside))


def _read_header(path: Path) -> tuple[dict[int | str, str], tuple[str, str, int]]:
    with Image.open(path) as image:
        tables = getattr(image, "quantization", None) or {0: [0]}
        encoding = (image.format or "", image.mode, int(sum(tables[min(tables)])))
        try:
            base = image.getexif()
            tags = dict(base) | dict(base.get_ifd(EXIF_FOLDER))
            has_gps = bool(base.get_ifd(GPS_FOLDER))
        except (OSError, SyntaxError, ValueError, KeyError, TypeError, StructError):
            return dict(UNREADABLE), encoding  # the picture is whole, only its tags are not
    exif = {tag: str(value).strip("\0 ") for tag, value in tags.items()}
    return exif | ({GPS: "yes"} if has_gps else {}), encoding
