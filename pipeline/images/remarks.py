"""Findings on how images were read: their pixel range, and what a person should know."""

import numpy as np

from pipeline.core.finding import Finding
from pipeline.core.targets import examples
from pipeline.images.decoding import FRAMES, NOT_FINITE, TRANSPARENT, UNREADABLE
from pipeline.images.index import BLANK, ImageIndex
from pipeline.images.pixel_range import describe_pixel_range
from pipeline.images.refresh_index import BLANK_LEVELS

MANY_BLANK = 0.5  # of the training images
NUM_EXAMPLES = 5
# For each remark: the finding's name, what the images are or have, what that means.
SORTS = {
    BLANK: (
        "blank images",
        f"show nothing: no channel varies by more than {BLANK_LEVELS} of 255 levels",
        "A model learns little but their one colour; they do not count as copies of each other. "
        "If they should show something, look at the files; data.pixel_range scales those of more "
        "than 8 bits.",
    ),
    TRANSPARENT: (
        "transparent images",
        "are transparent everywhere, and were read without their transparency",
        "The fourth channel may be no transparency, but infrared or a mask; it is not used.",
    ),
    NOT_FINITE: (
        "pixels without a value",
        "have pixels that are NaN or infinite, which became black (+infinity: white)",
        "If such pixels mark what was not measured, their share may predict the target.",
    ),
    UNREADABLE: (
        "unreadable images",
        "cannot be read",
        "These test rows get the mean of the training targets (data.unreadable: skip).",
    ),
    FRAMES: (
        "frames",
        "have several frames, of which the first was read",
        "If the others matter, store each as its own image, or side by side in one.",
    ),
}


def find_unusual_images(
    index: ImageIndex, num_train: int, pixel_range: tuple[float, float] | None = None
) -> list[Finding]:
    """Report how images were scaled to 8 bits, and which were read with a loss or show nothing.

    Args:
        index: images of training rows, then of test rows.
        pixel_range: `data.pixel_range` of the config.
    """
    depths = index.pixel_depths
    texts = describe_pixel_range(
        index.pixel_range, depths[:num_train], depths[num_train:], pixel_range
    )
    findings = [Finding("pixel range", "note", "; ".join(texts))] if texts else []
    for remark, (name, what, advice) in SORTS.items():
        rows = np.flatnonzero(index.has_remark(remark))
        in_train = int((rows < num_train).sum())
        if not len(rows):
            continue
        paths = index.paths[rows].tolist()
        seen = (
            f"{in_train} of {num_train} training images and {len(rows) - in_train} of "
            f"{len(index.paths) - num_train} test images {what}, e.g. {examples(paths)}"
        )
        much = remark == UNREADABLE or (remark == BLANK and in_train > MANY_BLANK * num_train)
        grade = "suspicious" if much else "note"
        findings.append(Finding(name, grade, seen, advice, examples=paths[:NUM_EXAMPLES]))
    return findings
