"""Images resized into one file of pixels, once."""

import json
from pathlib import Path
from zlib import crc32

import numpy as np

from pipeline.core import artifacts
from pipeline.images.cache import ImageCache
from pipeline.images.decoding import ImageFiles, in_threads
from pipeline.images.resizing import resize


def build_cache(
    folder: Path,
    fingerprint: str,
    *,
    images: ImageFiles,
    short_side: int,
    threads: int,
) -> ImageCache:
    """Decode each image once, resize its short side to `short_side`, write one file of pixels.

    Smaller images are not enlarged here: the network's transform does that, from the same pixels.
    A killed build continues behind the last image that is wholly on disk.
    """
    sizes_path, pixels_path = folder / "sizes.jsonl", folder / "pixels.bin"
    done = _whole_images(sizes_path, pixels_path)
    rest = in_threads(
        lambda position: _shrink(images.read(position), short_side),
        range(len(done), len(images.paths)),
        threads=threads,
        ahead=4 * threads,
    )
    with open(pixels_path, "ab") as pixels, open(sizes_path, "a", encoding="utf-8") as sizes:
        for image in rest:
            pixels.write(image.tobytes())
            pixels.flush()
            sizes.write(json.dumps([*image.shape[:2], crc32(image.tobytes())]) + "\n")
            sizes.flush()
            done.append(image.shape[:2])
    with artifacts.replacing(folder / "shapes.npy") as temporary:
        np.save(temporary, np.array(done, dtype=np.int64).reshape(-1, 2))
    files = ["shapes.npy", "pixels.bin"]
    artifacts.finish(folder, fingerprint, files=files, images=len(done), short_side=short_side)
    return ImageCache(folder)


def _shrink(image: np.ndarray, short_side: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return image
    resized = resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
    return resized.permute(1, 2, 0).contiguous().numpy()


def _whole_images(sizes_path: Path, pixels_path: Path) -> list[tuple[int, int]]:
    """Return sizes of the images that an earlier build wrote whole; cut off the rest."""
    pixels_path.touch()
    sizes_path.touch()
    lines = sizes_path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    sizes: list[tuple[int, int]] = []
    total = 0
    with open(pixels_path, "r+b") as pixels:
        for line in lines:
            if not line.endswith("\n"):
                break
            try:
                height, width, checksum = json.loads(line)
                image = pixels.read(height * width * 3)
            except (ValueError, TypeError):  # cut off, or damaged
                break
            if len(image) < height * width * 3 or crc32(image) != checksum:
                break
            sizes.append((height, width))
            total += len(image)
        pixels.truncate(total)
    sizes_path.write_text("".join(lines[: len(sizes)]), encoding="utf-8")
    return sizes
