"""The demo's competition: handwritten digits that ship with scikit-learn, written as PNG files.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998).
"""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

DEMO_CONFIG = "digits"
SIDE = 64  # pixels; the originals are 8 x 8
TEST_SHARE = 0.25

log = logging.getLogger(__name__)


def write_digits(folder: Path) -> None:
    """Write train.csv, test.csv, sample_submission.csv and images; nothing if they are there.

    The folder appears whole or not at all. Test labels are written nowhere.
    """
    if folder.exists():
        return
    from sklearn.datasets import load_digits  # a second, needed once

    digits = load_digits()
    rng = np.random.default_rng(0)  # which rows are the test's belongs to the competition
    order = rng.permutation(len(digits.target))
    num_test = round(TEST_SHARE * len(order))
    names = np.array([f"{position:04d}.png" for position in range(len(order))])
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    labels = pd.DataFrame({"id": names, "label": digits.target[order]})
    for split, rows in (("test", range(num_test)), ("train", range(num_test, len(order)))):
        (draft / split).mkdir(parents=True)
        for row in rows:
            image = (digits.images[order[row]] * (255 / 16)).astype(np.uint8)
            Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(
                draft / split / names[row]
            )
    labels[num_test:].to_csv(draft / "train.csv", index=False)
    labels[:num_test][["id"]].to_csv(draft / "test.csv", index=False)
    labels[:num_test][["id"]].assign(label=0).to_csv(draft / "sample_submission.csv", index=False)
    os.replace(draft, folder)
    log.info("demo: %d digits -> %s", len(order), folder)
