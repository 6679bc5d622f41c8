"""What images are like: sizes, channels, bit depth and formats of a sample of them."""

import io
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from pipeline.discovery.files import Listing, archive_of, read_packed
from pipeline.discovery.image_names import spread_positions

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
        broken: files that Pillow does not open, and how many of them there are.
    """

    sizes: np.ndarray
    kinds: Counter = field(default_factory=Counter)
    broken: tuple[str, ...] = ()

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
    """Open the headers of at most SAMPLED images."""
    packed = bool(paths) and archive_of(listing, paths[0]) is not None
    chosen = spread_positions(len(paths), SAMPLED_PACKED if packed else SAMPLED)
    sizes, kinds, broken = [], Counter(), []
    for position in chosen.tolist():
        path = paths[position]
        try:
            found = archive_of(listing, path)
            source = (
                io.BytesIO(read_packed(listing.root / found[0], found[1]))
                if found
                else listing.root / path
            )
            with Image.open(source) as image:
                sizes.append(image.size)
                kinds[_kind(image)] += 1
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            broken.append(path)
    return Pixels(np.array(sizes, dtype=int).reshape(-1, 2), kinds, tuple(broken))


def _kind(image: Image.Image) -> str:
    mode = image.mode
    bits = "8-bit"
    if mode == "F" or mode == "I":
        bits = "32-bit"
    elif mode.startswith(DEEP) or ";16" in str(image.tile[0].args if image.tile else ""):
        bits = "16-bit"
    channels = CHANNELS.get(mode, CHANNELS.get(mode.split(";")[0], mode))
    return f"{image.format} {bits} {channels}"
