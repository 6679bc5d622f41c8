"""Opening image files, in threads. No torch here: checks and indexes start without it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from pipeline.config.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_image(path: Path) -> np.ndarray:
    """Decode a file into (H, W, 3) uint8 RGB, turned upright as its EXIF says.

    16-bit grey is scaled to 8 bits; transparency is laid on white, as a viewer shows it.

    Raises:
        UserError: if the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I") or image.mode == "F":
                pixels = np.asarray(image, dtype=np.float32)
                deep = image.mode.startswith("I;16") or pixels.max(initial=0) > 255
                top = 65535 if deep else 255
                image = Image.fromarray((pixels * (255 / top)).clip(0, 255).astype(np.uint8))
            elif "A" in image.getbands() or "transparency" in image.info:
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image)
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such image.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path}: cannot be decoded ({error}). Replace the file or drop its row."
        ) from None


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
