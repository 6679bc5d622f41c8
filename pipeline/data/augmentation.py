"""Augmentation: presets and free albumentations pipelines, drawn anew for each (epoch, row).

Two faults of albumentations 2.0.8 are kept out here. Its workers repeat each other's draws; and
`Compose.set_random_seed(s)` gives every transform the same stream, so that two flips with p 0.5
happen both or not at all. Here one pair of generators, seeded by the caller for each image, is
shared by all transforms: no draw depends on the process, the worker, or the images before.
"""

import difflib
import inspect
import os
import random
from typing import Any

import cv2
import numpy as np
import torch

from pipeline.config.errors import UserError
from pipeline.data.images import fit_square

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the internet
import albumentations as A

cv2.setNumThreads(0)  # one small image at a time: OpenCV's threads would only wait for each other

# Written as a user would write them in the YAML, so that a preset can be copied and changed.
# `size` is filled in. No vertical flips, no half-turns: they make a 6 into a 9.
# Cubic, because validation is: a network notices how its images were interpolated.
_CROP = {"interpolation": cv2.INTER_CUBIC}
_TURN = {"border_mode": cv2.BORDER_REFLECT_101}
PRESETS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "light": [
        {"RandomResizedCrop": {"scale": [0.7, 1.0], "ratio": [0.9, 1.111], **_CROP}},
        {"HorizontalFlip": {"p": 0.5}},
    ],
    "medium": [
        {"RandomResizedCrop": {"scale": [0.5, 1.0], "ratio": [0.8, 1.25], **_CROP}},
        {"HorizontalFlip": {"p": 0.5}},
        {"Affine": {"rotate": [-15, 15], "p": 0.5, **_TURN}},
        {"ColorJitter": {"hue": [-0.02, 0.02], "p": 0.5}},
    ],
    "heavy": [
        {"RandomResizedCrop": {"scale": [0.35, 1.0], "ratio": [0.75, 1.333], **_CROP}},
        {"HorizontalFlip": {"p": 0.5}},
        {"Affine": {"rotate": [-30, 30], "shear": [-8, 8], "p": 0.5, **_TURN}},
        {
            "ColorJitter": {
                "brightness": [0.6, 1.4],
                "contrast": [0.6, 1.4],
                "saturation": [0.6, 1.4],
                "hue": [-0.04, 0.04],
                "p": 0.8,
            }
        },
        {"ToGray": {"p": 0.05}},
        {"GaussianBlur": {"p": 0.1}},
        {"CoarseDropout": {"num_holes_range": [1, 3], "p": 0.5}},
    ],
}


class Augmentation:
    """Random transforms, then the same cut to a square as at inference if they left another shape.

    Picklable. Squashed and padded images are cut first, so that random crops see what inference
    sees; for `cut: crop` transforms get the image with its own aspect.
    """

    def __init__(self, transforms: list[A.BasicTransform], *, image_size: int, cut: str) -> None:
        self.transforms, self.image_size, self.cut = transforms, image_size, cut
        self._compose = A.Compose(transforms)

    def __call__(self, image: np.ndarray, *, seed: int) -> torch.Tensor:
        """(H, W, 3) uint8 to (3, image_size, image_size) uint8; the same seed, the same pixels."""
        if self.cut != "crop" and self.transforms:
            side = max(self.image_size, min(image.shape[:2]))
            image = fit_square(image, side, self.cut).permute(1, 2, 0).contiguous().numpy()
        if self.transforms:
            # 12 microseconds; set_random_seed takes 64 and correlates the transforms.
            self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
            image = self._compose(image=image)["image"]
        return fit_square(image, self.image_size, self.cut)


def create_augmentation(
    augment: str | list[dict[str, Any]], *, image_size: int, cut: str = "crop"
) -> Augmentation:
    """Build a preset, or the transforms that a config lists: `[{HorizontalFlip: {p: 0.5}}, ...]`.

    `OneOf`, `SomeOf` and `Sequential` nest through `transforms`. A `size`, `height` or `width`
    that a transform needs and the config leaves out is `image_size`.

    Raises:
        UserError: unknown transform, wrong arguments, or output that is not a uint8 RGB image.
    """
    steps = PRESETS[augment] if isinstance(augment, str) else augment
    transforms = [_create_transform(step, image_size) for step in steps]
    shape = (image_size * 8 // 7, image_size * 9 // 7, 3)  # about as the cache gives them
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for transform in transforms:
        image = _try_out(transform, image)
    return Augmentation(transforms, image_size=image_size, cut=cut)


def _create_transform(step: dict[str, Any], image_size: int) -> Any:
    if not isinstance(step, dict) or len(step) != 1:
        raise UserError(f"augment: expected one {{Transform: {{argument: value}}}}, got {step!r}.")
    ((name, given),) = step.items()
    arguments = dict(given or {})
    known = _known_transforms()
    if name not in known:
        raise UserError(f"augment: albumentations has no transform {name!r}.{_near(name, known)}")
    parameters = inspect.signature(known[name]).parameters
    for argument in arguments:
        if argument not in parameters:
            raise UserError(
                f"augment: {name} has no argument {argument!r}.{_near(argument, parameters)} "
                f"It takes: {', '.join(parameters)}."
            )
    for argument, size in {
        "size": (image_size, image_size),
        "height": image_size,
        "width": image_size,
    }.items():
        if argument in parameters and parameters[argument].default is inspect.Parameter.empty:
            arguments.setdefault(argument, size)
    if "transforms" in arguments:
        arguments["transforms"] = [
            _create_transform(inner, image_size) for inner in arguments["transforms"]
        ]
    try:
        return known[name](**arguments)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split("For further")[0].split())
        raise UserError(f"augment: {name} does not accept {arguments}: {reason}") from None


def _known_transforms() -> dict[str, type]:
    bases = (A.BasicTransform, A.BaseCompose)
    return {
        name: member
        for name, member in vars(A).items()
        if inspect.isclass(member) and issubclass(member, bases) and not inspect.isabstract(member)
    }


def _near(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _try_out(transform: Any, image: np.ndarray) -> np.ndarray:
    """Find out now, not in a worker at night, that a transform fails or leaves another form."""
    if isinstance(transform, A.BaseCompose):
        changed = image
        for inner in transform.transforms:
            changed = _try_out(inner, changed if isinstance(transform, A.Sequential) else image)
        return changed
    name = type(transform).__name__
    transform.set_random_state(np.random.default_rng(0), random.Random(0))
    try:
        changed = transform(image=image.copy(), force_apply=True)["image"]
    except Exception as error:
        raise UserError(
            f"augment: {name} fails on an image {image.shape}: {type(error).__name__}: {error}"
        ) from None
    dtype, shape = str(changed.dtype), tuple(changed.shape)
    if dtype != "uint8" or shape[2:] != (3,):
        raise UserError(
            f"augment: {name} makes {dtype} {shape}, expected a uint8 (H, W, 3) image. Leave out "
            "what normalises or makes tensors: that happens on the device afterwards."
        )
    return changed
