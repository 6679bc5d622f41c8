"""Metadata columns as numbers, by hand; and nothing is learnt from held-out rows (law 3)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config.schema import Data, Task
from pipeline.core.competition import Competition
from pipeline.core.metadata import encode_metadata

TRAIN = {"age": ["10", "20", "", "99"], "site": ["x", "y", "x", "z"]}
TEST = {"age": ["15", "30", "-5"], "site": ["y", "z", ""]}


def encode(train=TRAIN, test=TEST, held_out=(3,), **data):
    train = pd.DataFrame({"id": [f"a{n}" for n in range(len(train["age"]))], **train})
    test = pd.DataFrame({"id": [f"b{n}" for n in range(len(test["age"]))], **test})
    competition = Competition(
        folder=Path("input/x"),
        task=Task(kind="multiclass", target="y"),
        data=Data(**data),
        train=train,
        test=test,
        sample=None,
        classes=("a", "b"),
        targets=np.zeros((len(train), 2)),
    )
    return encode_metadata(competition, held_out=np.array(held_out, dtype=int))


def test_numbers_are_scaled_by_the_training_rows_range():
    # Range 10 to 20: 15 is the middle, a blank too; 99, 30 and -5 are clipped.
    assert encode(numeric=["age"])[:, 0].tolist() == [-1, 1, 0, 1, 0, 1, -1]


def test_categories_are_those_of_the_training_rows():
    encoded = encode(categorical=["site"])
    assert encoded.tolist() == [
        [1, 0],
        [0, 1],
        [1, 0],
        [0, 0],  # z stands in the held-out row only
        [0, 1],
        [0, 0],
        [0, 0],
    ]


def test_columns_stand_side_by_side_numbers_first():
    both = encode(numeric=["age"], categorical=["site"])
    assert both.shape == (7, 3)
    assert np.array_equal(both[:, :1], encode(numeric=["age"]))


def test_nothing_is_learnt_from_held_out_rows():
    other = {"age": ["10", "20", "", "-1000"], "site": ["x", "y", "x", "new"]}
    columns = {"numeric": ["age"], "categorical": ["site"]}
    kept = [0, 1, 2, 4, 5, 6]
    assert np.array_equal(encode(other, **columns)[kept], encode(**columns)[kept])
    assert not np.array_equal(encode(other, held_out=[0], **columns)[kept], encode(**columns)[kept])


def test_no_columns_are_no_metadata():
    assert encode() is None


@pytest.mark.parametrize("cells", [["5", "5", "5", "5"], ["", "", "", ""]])
def test_a_column_that_says_nothing_stays_finite(cells):
    encoded = encode({"age": cells, "site": TRAIN["site"]}, numeric=["age"])
    assert np.isfinite(encoded).all()
    assert len(set(encoded[:4, 0].tolist())) == 1
