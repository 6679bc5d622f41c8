"""Augmentation: presets and free pipelines of transforms, drawn for each (epoch, row).

Transforms are albumentations', plugins' and those of `policies`; `measured` stands for a strength
that comes from the training images.

Two faults of albumentations 2.0.8 are kept out here. Its workers repeat each other's draws; and
`Compose.set_random_seed(s)` gives every transform the same stream, so that two flips with p 0.5
happen both or not at all. Here one pair of generators, seeded by the caller for each image, is
shared by all transforms: no draw depends on the process, the worker, or the images before.
"""

import inspect
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from pipeline.config.own_parts import ITEMS
from pipeline.errors import UserError, did_you_mean
from pipeline.images.augmentation_presets import PRESETS
from pipeline.images.decoding import LUMINANCE
from pipeline.images.resizing import fit_square

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it connects to the internet
import albumentations as A

from pipeline.images.policies import POLICIES

cv2.setNumThreads(0)  # images are small: OpenCV's threads would only wait for each other

MEASURED = "measured"
# Arguments that may be `measured`: which strength it is, and around what value it ranges.
MEASURED_ARGUMENTS = {
    ("ColorJitter", "brightness"): ("brightness", 1.0),
    ("ColorJitter", "contrast"): ("contrast", 1.0),
    ("RandomBrightnessContrast", "brightness_limit"): ("brightness", 0.0),
    ("RandomBrightnessContrast", "contrast_limit"): ("contrast", 0.0),
}
WEAKEST, STRONGEST = 0.02, 0.5  # limits of a measured strength


@dataclass(frozen=True)
class Spread:
    """Variation of images of one data set, as a share of their mean, from WEAKEST to STRONGEST."""

    brightness: float
    contrast: float


class Augmentation:
    """Random transforms, then the same cut to a square as at inference if they left another shape.

    Picklable. Squashed and padded images are cut first, so that random crops see what inference
    sees; for `cut: crop` transforms get the image with its own aspect.
    """

    def __init__(self, transforms: list[A.BasicTransform], *, image_size: int, cut: str) -> None:
        self.transforms, self.image_size, self.cut = transforms, image_size, cut
        self._compose = A.Compose(transforms)

    def __call__(self, image: np.ndarray, *, seed: int) -> torch.Tensor:
        """Augment (H, W, 3) uint8 to (3, image_size, image_size) uint8; repeatable by seed."""
        if self.cut != "crop" and self.transforms:
            side = max(self.image_size, min(image.shape[:2]))
            image = fit_square(image, side, self.cut).permute(1, 2, 0).contiguous().numpy()
        if self.transforms:
            # 12 microseconds; set_random_seed takes 64 and correlates the transforms.
            self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
            image = self._compose(image=image)["image"]
        return fit_square(image, self.image_size, self.cut)


def create_augmentation(
    augment: str | list[dict[str, Any]],
    *,
    image_size: int,
    cut: str = "crop",
    spread: Spread | None = None,
) -> Augmentation:
    """Build a preset, or the transforms that a config lists: `[{HorizontalFlip: {p: 0.5}}, ...]`.

    `OneOf`, `SomeOf` and `Sequential` nest through `transforms`. A `size`, `height` or `width`
    that a transform needs and the config leaves out is `image_size`.

    Args:
        spread: what `measured` stands for; needed where `wants_spread(augment)`.
    Raises:
        UserError: unknown transform, wrong arguments, `measured` where nothing was or can be
            measured, or output that is not a uint8 RGB image.
    """
    steps = PRESETS[augment] if isinstance(augment, str) else augment
    transforms = [_create_transform(step, image_size, spread) for step in steps]
    shape = (image_size * 8 // 7, image_size * 9 // 7, 3)  # about as the cache gives them
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for transform in transforms:
        image = _try_out(transform, image)
    return Augmentation(transforms, image_size=image_size, cut=cut)


def wants_spread(augment: Any) -> bool:
    """Return whether a config, or a part of it, says `measured` anywhere."""
    if isinstance(augment, dict):
        augment = list(augment.values())
    if isinstance(augment, list):
        return any(wants_spread(part) for part in augment)
    return augment == MEASURED


def measure_spread(images: Iterable[np.ndarray]) -> Spread:
    """Measure how much brightness and contrast vary over images, to augment as much.

    Brightness is the standard deviation over images of their mean luminance, divided by its mean;
    contrast the same of the standard deviation of luminance within an image.

    Args:
        images: (H, W, 3) uint8, at least one; some hundred give two digits.
    """
    luminances = (image @ np.array(LUMINANCE) for image in images)
    found = [(luminance.mean(), luminance.std()) for luminance in luminances]
    assert found, "nothing to measure"
    means, deviations = zip(*found, strict=True)
    return Spread(brightness=_strength(means), contrast=_strength(deviations))


def _strength(values: tuple[float, ...]) -> float:
    mean = np.mean(values)
    if mean < 1e-6:  # black, or without contrast: there is nothing to divide by
        return WEAKEST
    return float(np.clip(np.std(values) / mean, WEAKEST, STRONGEST))


def _create_transform(step: dict[str, Any], image_size: int, spread: Spread | None) -> Any:
    if not isinstance(step, dict) or len(step) != 1:
        raise UserError(f"augment: expected one {{Transform: {{argument: value}}}}, got {step!r}.")
    ((name, given),) = step.items()
    arguments = dict(given or {})
    known = _known_transforms()
    if name not in known:
        raise UserError(
            f"augment: there is no transform {name!r}"
            f"{did_you_mean(name, known, most=2, list_all=False)}"
        )
    parameters = inspect.signature(known[name]).parameters
    for argument, value in (given or {}).items():
        if argument not in parameters:
            raise UserError(
                f"augment: {name} has no argument {argument!r}, it takes {', '.join(parameters)}"
                f"{did_you_mean(argument, parameters, most=2, list_all=False)}"
            )
        if value == MEASURED:
            arguments[argument] = _measured(name, argument, spread)
            if argument == "brightness_limit":
                # The measured share is of the mean; by default it would be of white.
                arguments.setdefault("brightness_by_max", False)
    for argument, size in {
        "size": (image_size, image_size),
        "height": image_size,
        "width": image_size,
    }.items():
        if argument in parameters and parameters[argument].default is inspect.Parameter.empty:
            arguments.setdefault(argument, size)
    if "transforms" in arguments:
        arguments["transforms"] = [
            _create_transform(inner, image_size, spread) for inner in arguments["transforms"]
        ]
    try:
        return known[name](**arguments)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split("For further")[0].split())
        raise UserError(f"augment: {name} does not accept {arguments}: {reason}") from None


def _measured(name: str, argument: str, spread: Spread | None) -> list[float]:
    """Return the range that `measured` stands for."""
    if (name, argument) not in MEASURED_ARGUMENTS:
        raise UserError(
            f"augment: {name} cannot have {argument}: {MEASURED}. What takes it: "
            f"{', '.join(' '.join(pair) for pair in MEASURED_ARGUMENTS)}."
        )
    if spread is None:
        raise UserError(
            f"augment: {name} has {argument}: {MEASURED}, but no images were measured here. "
            f"Write a range instead, e.g. [{{{name}: {{{argument}: 0.2}}}}]."
        )
    strength, centre = MEASURED_ARGUMENTS[name, argument]
    half = getattr(spread, strength)
    return [centre - half, centre + half]


def _known_transforms() -> dict[str, type]:
    bases = (A.BasicTransform, A.BaseCompose)
    return (
        ITEMS["augmentation"]
        | POLICIES
        | {
            name: member
            for name, member in vars(A).items()
            if inspect.isclass(member)
            and issubclass(member, bases)
            and not inspect.isabstract(member)
        }
    )


def _try_out(transform: Any, image: np.ndarray) -> np.ndarray:
    """Fail now, not in a worker hours later, if a transform fails or changes the image's form."""
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
