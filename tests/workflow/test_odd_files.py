"""Images that Pillow does not open go through the whole chain."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_project import load, run, submission, write_competition

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("scale", "bands"),
    [(None, None), (1 / 255, None), (1 / 255, [5, 2, 3])],
    ids=["uint8", "float", "bands"],
)
def test_arrays_give_what_the_same_pixels_as_png_give(tmp_path, scale, bands):
    of_png, of_arrays = tmp_path / "png", tmp_path / "arrays"
    write_competition(of_png)
    folder = write_competition(of_arrays)
    for path in folder.rglob("*.png"):
        pixels = np.asarray(Image.open(path))
        if bands:
            pixels = pixels[..., [1, 1, 2, 1, 0]]  # bands 5, 2 and 3 are red, green and blue
        np.save(path.with_suffix(".npy"), pixels if scale is None else pixels * scale)
        path.unlink()
    for csv in folder.glob("*.csv"):
        table = pd.read_csv(csv)
        table["id"] = table["id"].str.replace(".png", ".npy")
        table.to_csv(csv, index=False)
    run(of_png)
    data = {} if scale is None else {"pixel_range": [0, 1]}
    run(of_arrays, "report", data=data | ({"bands": bands} if bands else {}))
    one, other = load(of_png, "linear", "oof"), load(of_arrays, "linear", "oof")
    np.testing.assert_allclose(one.values, other.values, atol=1e-4)
    assert pd.read_csv(submission(of_arrays))["id"].str.endswith(".npy").all()
