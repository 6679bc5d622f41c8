"""Opening image files, in threads. No torch here: checks and indexes start without it.

Pixels become 8 bits. Files of more (16-bit grey and colour, 32-bit integers, floats) are scaled by
the range of the data set: a range per file would remove differences in brightness.
"""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import UserError
from pipeline.images.readers import read_bands, read_by_ending

Item = TypeVar("Item")
Result = TypeVar("Result")

ORIENTATION = 0x0112  # EXIF tag
# Its values as quarter turns to the left, after mirroring left and right.
TURNS = {1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True)}
TURNS |= {5: (1, True), 6: (3, False), 7: (3, True), 8: (1, False)}
JPEG_END = b"\xff\xd9"
HOT_PIXELS = 0.1  # per cent of the darkest and brightest pixels that do not set a file's range
# Remarks on how a file was read.
TRANSPARENT, NOT_FINITE, FRAMES = "transparent", "not finite", "frames"
UNREADABLE = "unreadable"  # a remark, and the digest of such an image
GREY = np.full((8, 8, 3), 128, np.uint8)  # in place of an image that cannot be read

# Refused only at twice the size that is warned of.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class PixelRange(NamedTuple):
    """Pixel values that become 0 and 255; values beyond are clipped."""

    low: float
    high: float


class PixelDepth(NamedTuple):
    """Stored values of a file: numpy's name of the type; limits are NaN for 8 bits."""

    dtype: str
    low: float
    high: float


class ToRgb(NamedTuple):
    """How a file's pixels become red, green and blue of 8 bits.

    Attributes:
        pixel_range: of the data set; needed for files of more than 8 bits, unused for others.
        bands: see `read_bands`; none: the file's own colours.
    """

    pixel_range: PixelRange | None = None
    bands: tuple[int, ...] = ()


PLAIN = ToRgb()
EIGHT_BITS = PixelDepth("uint8", np.nan, np.nan)


class Decoded(NamedTuple):
    """(H, W, 3) uint8 RGB, and remarks on how it was read."""

    pixels: np.ndarray
    remarks: tuple[str, ...]


LUMINANCE = (0.299, 0.587, 0.114)  # of red, green, blue; ITU-R BT.601, as PIL and OpenCV


@dataclass(frozen=True)
class ImageFiles:
    """Original image files.

    Attributes:
        paths: of N images; or their pixels, (H, W, 3) uint8. digests: of their pixels, (N,).
        to_rgb: how files become pixels.
    """

    paths: Sequence[Path | np.ndarray]
    digests: Sequence[str] = ()
    to_rgb: ToRgb = PLAIN

    def take(self, rows: np.ndarray) -> "ImageFiles":
        """Return some of the images, by position."""
        chosen = rows.tolist()
        paths, digests = ([values[row] for row in chosen] for values in (self.paths, self.digests))
        return replace(self, paths=paths, digests=digests)

    def read(self, position: int) -> np.ndarray:
        """Decode one image into (H, W, 3) uint8 RGB, see `read_image`; GREY for UNREADABLE."""
        if self.digests and self.digests[position] == UNREADABLE:
            return GREY
        image = self.paths[position]
        return image if isinstance(image, np.ndarray) else read_image(image, self.to_rgb)


def read_image(path: Path, to_rgb: ToRgb = PLAIN) -> np.ndarray:
    """Decode a file into (H, W, 3) uint8 RGB, turned upright by its EXIF tag.

    Transparency is laid on white, as a viewer shows it; where all is transparent, colours are kept.

    Raises:
        UserError: if the file is missing, truncated, no image, or of an unknown range.
    """
    return decode(path, to_rgb).pixels


def decode(path: Path, to_rgb: ToRgb = PLAIN) -> Decoded:
    """Decode as `read_image` does, with remarks."""
    pixel_range = to_rgb.pixel_range
    array = read_bands(path, to_rgb.bands) if to_rgb.bands else read_by_ending(path)
    if array is not None:
        return _finished(*_to_8_bits(array, path, pixel_range))
    with _opened(path) as image:
        pixels = _plain_jpeg(image, path)
        if pixels is not None:
            return Decoded(pixels, ())
        remarks = [FRAMES] if image.format != "MPO" and getattr(image, "n_frames", 1) > 1 else []
        deep = _deep_pixels(image, path)
        if deep is not None:
            image, found = _to_8_bits(deep, path, pixel_range)
            remarks += found
        return _finished(ImageOps.exif_transpose(image), remarks)


def _to_8_bits(
    pixels: np.ndarray, path: Path, pixel_range: PixelRange | None
) -> tuple[Image.Image, list[str]]:
    """Return pixels of any type as an image of 8 bits, with remarks."""
    if pixels.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(pixels)), []
    if pixel_range is None:
        raise UserError(f"{path}: {pixels.dtype} pixels; say data.pixel_range: [LOW, HIGH].")
    remarks = [] if np.isfinite(pixels).all() else [NOT_FINITE]
    return Image.fromarray(_scaled(pixels, pixel_range)), remarks


def _finished(image: Image.Image, remarks: list[str]) -> Decoded:
    """Lay an upright image on white, and return its colours."""
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() == (0, 0):
            remarks = [*remarks, TRANSPARENT]
        else:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
    return Decoded(np.asarray(image.convert("RGB")), tuple(remarks))


def measure_depth(path: Path, bands: tuple[int, ...] = ()) -> PixelDepth:
    """Find the stored type and limits of a file; one of 8 bits is not decoded for it.

    Limits leave HOT_PIXELS of the finite values aside, and transparency.

    Raises:
        UserError: as `read_image`.
    """
    deep = read_bands(path, bands) if bands else read_by_ending(path)
    if deep is None:
        with _opened(path) as image:
            deep = _deep_pixels(image, path)
    if deep is None or deep.dtype == np.uint8:
        return EIGHT_BITS
    colours = deep[..., :3] if deep.ndim == 3 else deep
    finite = colours[np.isfinite(colours)]
    if not len(finite):
        return PixelDepth(str(deep.dtype.newbyteorder("=")), np.nan, np.nan)
    low, high = np.percentile(finite, [HOT_PIXELS, 100 - HOT_PIXELS])
    return PixelDepth(str(deep.dtype.newbyteorder("=")), float(low), float(high))


def in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    ahead: int,
    initializer: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """Map in threads, in order, with at most `ahead` results waiting: memory stays bounded.

    Args:
        initializer: called once in each thread.
    """
    with ThreadPoolExecutor(threads, initializer=initializer) as pool:
        items = iter(items)
        waiting = deque(pool.submit(function, item) for item in islice(items, ahead))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(items, 1))
            yield done


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image; raise what is wrong with its file as a UserError."""
    try:
        with Image.open(path) as image:
            yield image
    except FileNotFoundError:
        raise UserError(f"{path}: no such image.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: cannot be decoded ({error}). Replace the file or drop its row."
        ) from None


def _plain_jpeg(image: Image.Image, path: Path) -> np.ndarray | None:
    """Decode a whole JPEG file by OpenCV: Pillow's pixels, in threads at three times its speed.

    Both call libjpeg-turbo; OpenCV decodes without Python's lock. Returns None for other files.
    Those that are cut off or damaged are left to Pillow, which says what is wrong with them.
    """
    if image.format != "JPEG" or image.mode not in ("RGB", "L"):
        return None
    data = path.read_bytes()
    if not data.endswith(JPEG_END):
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        return None
    return np.ascontiguousarray(_upright(pixels, image))


def _upright(pixels: np.ndarray, image: Image.Image) -> np.ndarray:
    """Turn pixels as the image's EXIF tag says."""
    turns, mirrored = TURNS.get(image.getexif().get(ORIENTATION), (0, False))
    return np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)


def _deep_pixels(image: Image.Image, path: Path) -> np.ndarray | None:
    """Return pixels of more than 8 bits, upright, (H, W) or (H, W, 3 or 4); None for others.

    Pillow drops the low byte of 16-bit colour; OpenCV keeps it.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return np.asarray(ImageOps.exif_transpose(image))
    arguments = image.tile[0].args if image.tile else ()
    if ";16" not in str(arguments) and (image.format, arguments) != ("PPM", ("RGB", 65535)):
        return None
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise OSError("damaged, or a form of 16-bit colour that OpenCV does not read")
    if pixels.ndim == 3:
        order = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        pixels = cv2.cvtColor(pixels, order)
    return _upright(pixels, image)


def _scaled(pixels: np.ndarray, pixel_range: PixelRange) -> np.ndarray:
    """Scale to uint8; NaN becomes 0. A fourth channel is transparency and has its type's range."""
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        opaque = PixelRange(0, np.iinfo(pixels.dtype).max)
        colours = _scaled(pixels[..., :3], pixel_range)
        return np.dstack([colours, _scaled(pixels[..., 3], opaque)])
    low, high = pixel_range
    shares = (pixels.astype(np.float64) - low) / (high - low)
    return np.rint(255 * np.nan_to_num(shares, nan=0.0).clip(0, 1)).astype(np.uint8)
