"""Names of views, as `tta.views` takes them."""

import re

# The eight symmetries of a square.
PLAIN_VIEWS = (
    "original",
    "mirrored",
    "flipped",
    "rotated_90",
    "rotated_180",
    "rotated_270",
    "transposed",
    "transversed",
)
POSITIONS = ("center", "top_left", "top_right", "bottom_left", "bottom_right")
SHORTHANDS = {
    "eight_of_square": list(PLAIN_VIEWS),
    "five_crops": [f"crop_{position}_0.875" for position in POSITIONS],
}
SCALE = re.compile(r"scale_(\d*\.?\d+)")
CROP = re.compile(rf"crop_({'|'.join(POSITIONS)})_(0?\.\d+)")


def expand_views(names: list[str]) -> list[str]:
    """Replace shorthands by the views that they stand for; each view once, in order.

    Raises:
        ValueError: for a name that is no view.
    """
    expanded = [view for name in names for view in SHORTHANDS.get(name, [name])]
    for view in expanded:
        scale = SCALE.fullmatch(view)
        crop = CROP.fullmatch(view)
        in_range = (scale and 0.25 <= float(scale[1]) <= 4) or (crop and float(crop[2]) >= 0.25)
        if view in PLAIN_VIEWS or in_range:
            continue
        raise ValueError(
            f"unknown view {view!r}. Known: {', '.join((*PLAIN_VIEWS, *SHORTHANDS))}, "
            "scale_F (F from 0.25 to 4), crop_POSITION_F (F from 0.25, below 1; "
            f"{', '.join(POSITIONS)})"
        )
    return list(dict.fromkeys(expanded))
