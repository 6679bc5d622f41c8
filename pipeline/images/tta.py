"""Views of images, made on the device from a batch (test-time augmentation)."""

from collections.abc import Callable

import torch
from torch.nn.functional import interpolate

from pipeline.config.tta import CROP, SCALE
from pipeline.images.decoding import LUMINANCE

View = Callable[[torch.Tensor], torch.Tensor]

# Each maps images (B, 3, H, W) to images of the same batch.
PLAIN_VIEWS: dict[str, View] = {
    "original": lambda images: images,
    "mirrored": lambda images: images.flip(3),
    "flipped": lambda images: images.flip(2),
    "rotated_90": lambda images: images.rot90(1, (2, 3)),
    "rotated_180": lambda images: images.rot90(2, (2, 3)),
    "rotated_270": lambda images: images.rot90(3, (2, 3)),
    "transposed": lambda images: images.transpose(2, 3),
    "transversed": lambda images: images.rot90(2, (2, 3)).transpose(2, 3),
}
GREY = "grey"  # no view of a config: it tells whether colour carries the class
CORNERS = {"top_left": (0, 0), "top_right": (0, 1), "bottom_left": (1, 0), "bottom_right": (1, 1)}


def get_view(name: str) -> View:
    """Return the function that makes a view of images (B, 3, H, W).

    `scale_F` resizes to F times the side; `crop_POSITION_F` cuts a square of share F of the side
    at the centre or a corner and resizes it back. Odd transposes of oblong batches change H and W.

    The names were checked with the config (`pipeline.config.tta`).
    """
    if name in PLAIN_VIEWS:
        return PLAIN_VIEWS[name]
    if name == GREY:
        return _grey
    if match := SCALE.fullmatch(name):
        return lambda images: _resize(images, float(match[1]))
    position, share = CROP.fullmatch(name).groups()
    return lambda images: _crop(images, position, float(share))


def sides(views: list[str], image_size: int) -> dict[int, str]:
    """Return the sides of a square image's views, as side: the first such view."""
    square = torch.zeros(1, 1, image_size, image_size)
    of_views = [(get_view(view)(square).shape[-1], view) for view in views]
    return dict(reversed(of_views))


def _grey(images: torch.Tensor) -> torch.Tensor:
    shares = torch.tensor(LUMINANCE, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    return (images * shares).sum(dim=1, keepdim=True).expand_as(images).contiguous()


def _resize(images: torch.Tensor, factor: float) -> torch.Tensor:
    side = [max(1, round(length * factor)) for length in images.shape[2:]]
    return interpolate(images, size=side, mode="bicubic", antialias=True, align_corners=False)


def _crop(images: torch.Tensor, position: str, share: float) -> torch.Tensor:
    height, width = images.shape[2:]
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    down, right = CORNERS.get(position, (0.5, 0.5))
    top, left = round((height - rows) * down), round((width - columns) * right)
    part = images[:, :, top : top + rows, left : left + columns]
    return interpolate(
        part, size=(height, width), mode="bicubic", antialias=True, align_corners=False
    )
