"""Images resized and cut to squares."""

import numpy as np
import torch
from torch.nn.functional import interpolate

GREY = 128
MAX_ASPECT = 16  # of an image resized for a centre crop


def resize(image: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Resize (H, W, 3) uint8 to (3, height, width) uint8, antialiased bicubic.

    Within 0.014 of 255 of PIL's, on average, at 2.6 times its speed (threads, two cores).
    """
    # A memory map is read-only, which torch's tensors are not: copy.
    tensor = torch.from_numpy(image if image.flags.writeable else image.copy())
    tensor = tensor.permute(2, 0, 1)[None]
    if tensor.shape[2:] == (height, width):
        return tensor[0].contiguous()
    return interpolate(
        tensor, (height, width), mode="bicubic", antialias=True, align_corners=False
    )[0]


def fit_square(image: np.ndarray, side: int, cut: str) -> torch.Tensor:
    """Cut or squash (H, W, 3) uint8 to (3, side, side) uint8.

    crop: short side to `side`, then the centre; squash: both sides, whatever the aspect;
    pad: long side to `side`, then grey bars.
    """
    if cut == "squash":
        return resize(image, side, side)
    if cut == "crop":
        image = _without_far_ends(image)
    height, width = image.shape[:2]
    scale = side / (min if cut == "crop" else max)(height, width)
    resized = resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
    height, width = resized.shape[1:]
    if cut == "crop":
        top, left = (height - side) // 2, (width - side) // 2
        return resized[:, top : top + side, left : left + side]
    canvas = torch.full((3, side, side), GREY, dtype=torch.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[:, top : top + height, left : left + width] = resized
    return canvas


def _without_far_ends(image: np.ndarray) -> np.ndarray:
    """Cut what a centre crop would not show: enlarging a line of pixels would fill the memory."""
    height, width = image.shape[:2]
    longest = MAX_ASPECT * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[top : top + longest, left : left + longest]
