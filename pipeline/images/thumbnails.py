"""Thumbnail and 64-bit perceptual hash of an image, made once when it is first decoded."""

import numpy as np
from PIL import Image

SIDE = 32  # pixels of a thumbnail


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Shrink an image to (32, 32) uint8 grey; the hash and the pixel check see nothing else.

    Args:
        image: (H, W) or (H, W, 1|3|4) uint8.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    # A triangle filter: a box gives a copy of another size visibly different averages.
    grey = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(grey)


def perceptual_hash(image: np.ndarray) -> np.uint64:
    """Hash the 64 lowest two-dimensional frequencies: one bit for each above their median.

    Args:
        image: uint8 as for `thumbnail`, or a thumbnail.
    Returns:
        64 bits; copies differ in few. 0 where there is nothing to see (flat, or plain stripes).
    Source: Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions.
    """
    from scipy.fft import dctn  # a run with nothing to do needs none

    spectrum = dctn(thumbnail(image).astype(np.float64), norm="ortho")
    # Rounded, or the bits of a flat image would be floating-point noise.
    frequencies = spectrum[1:9, 1:9].ravel().round(6)
    return np.packbits(frequencies > np.median(frequencies)).view(">u8").astype(np.uint64)[0]
