"""Shared by the tests: a tiny image competition, as files."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

COLOURS = {"blue": (30, 60, 220), "green": (40, 200, 60), "red": (220, 40, 30)}
SHAPES = ((24, 40), (40, 24), (32, 32), (28, 36))  # heights and widths, in turn
TRAIN = [f"a{number}.{'jpg' if number % 3 == 0 else 'png'}" for number in range(9)]
TEST = [f"b{number}.png" for number in range(4)]

# Tiny networks: more threads wait for each other. Whoever asks for more tests whether they matter.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def write_image(path: Path, *, colour: tuple[int, int, int], row: int) -> None:
    """A noisy patch of one colour; its size and noise depend on the row."""
    height, width = SHAPES[row % len(SHAPES)]
    noise = np.random.default_rng(row).integers(-25, 26, (height, width, 3))
    pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def make_competition(tmp_path: Path) -> Callable[..., Path]:
    """Write input/tiny: images, and CSVs that keyword arguments replace (None: leave out)."""

    def write(**tables: pd.DataFrame | str | None) -> Path:
        folder = tmp_path / "input" / "tiny"
        names = list(COLOURS)
        labels = [names[row % 3] for row in range(len(TRAIN))]
        defaults = {
            "train": pd.DataFrame({"id": TRAIN, "label": labels, "age": range(9)}),
            "test": pd.DataFrame({"id": TEST, "age": range(4)}),
            # In another order than test.csv, so that order matters in every test.
            "sample_submission": pd.DataFrame({"id": TEST[::-1], "label": "red"}),
        }
        for row, name in enumerate(TRAIN):
            write_image(folder / "train" / name, colour=COLOURS[labels[row]], row=row)
        for row, name in enumerate(TEST):
            write_image(folder / "test" / name, colour=COLOURS[names[row % 3]], row=100 + row)
        for name, table in (defaults | tables).items():
            if isinstance(table, str):
                (folder / f"{name}.csv").write_text(table)
            elif table is not None:
                table.to_csv(folder / f"{name}.csv", index=False)
        return folder

    return write


@pytest.fixture
def competition_folder(make_competition: Callable[..., Path]) -> Path:
    """input/tiny with nothing wrong: 9 training images of 3 colours, 4 test images."""
    return make_competition()


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished`, a project of the module's own whose chain has run, to be changed."""
    root = tmp_path / "copy"
    shutil.copytree(finished, root)
    return root
