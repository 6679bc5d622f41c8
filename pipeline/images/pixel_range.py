"""One range of pixel values, from black to white, for all images of more than 8 bits.

It is measured on training images alone, as for images that come later; test pixels beyond it are
clipped.
"""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeline.errors import UserError
from pipeline.images.decoding import PixelDepth, PixelRange

log = logging.getLogger(__name__)

# Used instead of a measured range that fills at least half of it, so that one image more or less
# changes nothing.
USUAL_RANGES = [
    PixelRange(low, high)
    for low, high in ((0, 1), (-1, 1), (0, 255), (0, 1023), (0, 4095), (0, 16383), (0, 65535))
]
SMALL_PART = 0.05  # of the range; images that mostly use less were scaled by a few odd ones
BEYOND = 0.1  # of the range, outside it
SAY = "Say data.pixel_range: [LOW, HIGH], the values that should become black and white."


def find_pixel_range(
    train: Sequence[PixelDepth],
    test: Sequence[PixelDepth],
    wanted: tuple[float, float] | None = None,
) -> PixelRange | None:
    """Find the range of a data set's images of more than 8 bits; None where there are none.

    Args:
        train, test: what each file stores.
        wanted: `data.pixel_range` of the config.
    Raises:
        UserError: where the range cannot be known.
    """
    deep = [depth for depth in train if depth.dtype != "uint8"]
    others = [depth for depth in test if depth.dtype != "uint8"]
    if not deep and not others:
        return None
    if wanted is not None:
        return PixelRange(*wanted)
    if not deep:
        raise UserError(
            f"{_types(others)} of {len(test)} test images, but all training images are uint8: how "
            f"they compare cannot be known. {SAY}"
        )
    if len({np.dtype(depth.dtype).kind == "f" for depth in (*deep, *others)}) > 1:
        raise UserError(
            f"images are of several types, {_types([*deep, *others])}: how they compare cannot be "
            f"known. Store them as one type. If their values mean the same: {SAY}"
        )
    limits = np.array([(depth.low, depth.high) for depth in deep])
    if np.isnan(limits).all():
        raise UserError(f"no pixel of the {_types(deep)} training images is a finite number.")
    low, high = float(np.nanmin(limits[:, 0])), float(np.nanmax(limits[:, 1]))
    if low == high:
        raise UserError(f"all pixels of the {_types(deep)} training images are {low:g}.")
    return _usual(PixelRange(low, high))


def describe_pixel_range(
    pixel_range: PixelRange | None,
    train: Sequence[PixelDepth],
    test: Sequence[PixelDepth],
    wanted: tuple[float, float] | None = None,
) -> list[str]:
    """Describe how images of more than 8 bits were scaled, and what is unusual about it."""
    if pixel_range is None:
        return [] if wanted is None else ["data.pixel_range is not used: all images have 8 bits"]
    deep = [depth for depth in train if depth.dtype != "uint8"]
    low, high = pixel_range
    why = "data.pixel_range" if wanted else "measured on training images; data.pixel_range sets it"
    texts = [f"{_types(deep)} training images: {low:g} became black, {high:g} white ({why})"]
    if len(deep) < len(train):
        texts.append(
            f"{len(train) - len(deep)} of {len(train)} training images have 8 bits and are taken "
            "as they are, the others are scaled: check that they are alike"
        )
    widths = [depth.high - depth.low for depth in deep]
    if widths and (part := float(np.nanmedian(widths)) / (high - low)) < SMALL_PART:
        texts.append(
            f"most images use {part:.1%} of the pixel range at most: a few others set it, and "
            "details are lost. Drop these, or say data.pixel_range: [LOW, HIGH]"
        )
    slack = BEYOND * (high - low)
    beyond = [depth for depth in test if depth.low < low - slack or depth.high > high + slack]
    if beyond:
        texts.append(
            f"{len(beyond)} of {len(test)} test images have pixels far beyond the range, which are "
            "clipped: check that they are of the same kind as the training images"
        )
    return texts


def _usual(measured: PixelRange) -> PixelRange:
    """Return the narrowest usual range that holds what was measured, if that fills half of it."""
    width = measured.high - measured.low
    for low, high in USUAL_RANGES:
        if low <= measured.low and measured.high <= high and width >= (high - low) / 2:
            return PixelRange(low, high)
    return measured


def _types(depths: Sequence[PixelDepth]) -> str:
    """Format counts of types, as "100 uint16"."""
    counts = Counter(depth.dtype for depth in depths)
    return " and ".join(f"{count} {dtype}" for dtype, count in sorted(counts.items()))
