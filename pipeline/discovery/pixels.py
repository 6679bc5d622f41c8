"""What images are like: sizes, channels, bit depth and formats of a sample of them."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.discovery.files import Listing, archive_of, on_disk
from pipeline.discovery.image_names import spread_positions
from pipeline.errors import UserError, first_line
from pipeline.images.readers import read_by_ending

SAMPLED = 200
SAMPLED_PACKED = 40  # of archives, whose files are slow to reach
CHANNELS = {"L": "grey", "1": "black and white", "P": "palette", "RGB": "RGB", "RGBA": "RGBA"}
CHANNELS |= {"LA": "grey and alpha", "CMYK": "CMYK", "F": "float", "I": "grey", "I;16": "grey"}
DEEP = ("I", "F")  # Pillow's modes of more than 8 bits begin so


@dataclass(frozen=True)
class Pixels:
    """Properties of sampled images.

    Attributes:
        sizes: (n, 2) width and height.
        kinds: format, channels and bits, with how many have them.
        broken: files that cannot be opened, and why.
    """

    sizes: np.ndarray
    kinds: Counter = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def is_deep(self) -> bool:
        """Whether some images have more than 8 bits."""
        return any("8-bit" not in kind for kind in self.kinds)

    @property
    def text(self) -> str:
        """Return all in one line."""
        if not len(self.sizes):
            return "none of those tried can be opened"
        kinds = ", ".join(kind for kind, _ in self.kinds.most_common(3))
        low, high = self.sizes.min(axis=0), self.sizes.max(axis=0)
        middle = np.median(self.sizes, axis=0).astype(int)
        if (low == high).all():
            return f"{kinds}, all {low[0]} x {low[1]} pixels"
        return (
            f"{kinds}, {low[0]} x {low[1]} to {high[0]} x {high[1]} pixels "
            f"(median {middle[0]} x {middle[1]})"
        )


def look_at(listing: Listing, paths: list[str]) -> Pixels:
    """Open at most SAMPLED images; of most forms, their headers."""
    packed = bool(paths) and archive_of(listing, paths[0]) is not None
    chosen = spread_positions(len(paths), SAMPLED_PACKED if packed else SAMPLED)
    sizes, kinds, broken = [], Counter(), {}
    for position in chosen.tolist():
        path = paths[position]
        try:
            with on_disk(listing, path) as file:
                size, kind = _measure(file)
        except UserError as error:
            broken[path] = str(error).partition(": ")[2]
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            broken[path] = first_line(error)
        else:
            sizes.append(size)
            kinds[kind] += 1
    return Pixels(np.array(sizes, dtype=int).reshape(-1, 2), kinds, broken)


def _measure(path: Path) -> tuple[tuple[int, int], str]:
    """Return an image's width and height, and its kind."""
    pixels = read_by_ending(path)
    if pixels is not None:
        channels = "grey" if pixels.ndim == 2 else f"{pixels.shape[2]} channels"
        height, width = pixels.shape[:2]
        kind = f"{path.suffix[1:].upper()} {8 * pixels.itemsize}-bit {channels}"
        return (width, height), kind
    with Image.open(path) as image:
        return image.size, _kind(image)


def _kind(image: Image.Image) -> str:
    mode = image.mode
    bits = "8-bit"
    if mode == "F" or mode == "I":
        bits = "32-bit"
    elif mode.startswith(DEEP) or ";16" in str(image.tile[0].args if image.tile else ""):
        bits = "16-bit"
    channels = CHANNELS.get(mode, CHANNELS.get(mode.split(";")[0], mode))
    return f"{image.format} {bits} {channels}"
