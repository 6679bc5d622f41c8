"""Presets of augmentation: what `none`, `light`, `medium` and `heavy` stand for, and `auto`."""

from typing import Any

import cv2

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
PRESETS["auto"] = PRESETS["light"]  # before anything is decided by the images


def light_preset(
    *, horizontal_flips: bool, vertical_flips: bool, quarter_turns: bool
) -> str | list[dict[str, Any]]:
    """Return `light` with what the images allow; its name where that is what it holds.

    Colours stay even where they do not matter: weak jitter of hue and saturation made no sure
    difference on two competitions (tests/bench/ABLATION.md).
    """
    if horizontal_flips and not (vertical_flips or quarter_turns):
        return "light"
    crop, flip = PRESETS["light"]
    steps = [
        (True, crop),
        (horizontal_flips, flip),
        (vertical_flips, {"VerticalFlip": {"p": 0.5}}),
        (quarter_turns, {"RandomRotate90": {"p": 0.5}}),
    ]
    return [step for allowed, step in steps if allowed]
