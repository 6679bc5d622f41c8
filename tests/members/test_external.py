"""Predictions made elsewhere: joined by id, and refused where they break the contract."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config.schema import Data, Task
from pipeline.core.competition import Competition
from pipeline.core.folds import FoldTable
from pipeline.errors import UserError
from pipeline.members.external import read_external

IDS, TEST_IDS = ["a", "b", "c", "d"], ["007", "x"]
FOLDS = FoldTable(np.array([[0, 1, 2, 0]]), np.array(IDS), ("digest",))
OOF = pd.DataFrame(
    {"fold": [0, 2, 1, 0], "id": ["d", "c", "b", "a"], "no": [0.4, 0.3, 0.2, 0.1]}
).assign(yes=lambda table: 1 - table.no)
TEST = pd.DataFrame({"id": ["x", "007"], "yes": [0.5, 0.75], "no": [0.5, 0.25]})


def competition(kind: str = "binary") -> Competition:
    train, test = pd.DataFrame({"id": IDS}), pd.DataFrame({"id": TEST_IDS})
    targets = np.eye(2)[[0, 1, 0, 1]]
    task = Task(kind=kind, target=["no", "yes"] if kind != "binary" else "y")
    return Competition(Path("none"), task, Data(), train, test, None, ("no", "yes"), targets)


def read(folder: Path, oof: pd.DataFrame = OOF, test: pd.DataFrame = TEST, kind: str = "binary"):
    oof.to_csv(folder / "oof.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    return read_external(folder, competition(kind), FOLDS, meta={"member": "m"})


def test_rows_are_joined_by_id_and_columns_by_class(tmp_path):
    oof, test = read(tmp_path)
    np.testing.assert_allclose(oof.values, [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    np.testing.assert_allclose(test.values, [[[0.25, 0.75], [0.5, 0.5]]] * 3)
    assert oof.ids.tolist() == IDS
    assert test.ids.tolist() == TEST_IDS
    assert oof.folds.tolist() == FOLDS.folds.tolist()


def test_rounding_is_taken_back(tmp_path):
    oof, _ = read(tmp_path, OOF.assign(yes=lambda table: table.yes + 0.005))
    np.testing.assert_allclose(oof.values.sum(1), 1)


def test_values_need_not_be_probabilities_in_a_regression(tmp_path):
    oof, _ = read(tmp_path, OOF.assign(no=7.5), kind="regression")
    assert oof.values[0, 0] == 7.5


@pytest.mark.parametrize(
    ("oof", "said"),
    [
        (OOF.drop(columns="yes"), r"oof\.csv: no column yes; it has fold, id, no"),
        (OOF.drop(columns="id"), "no column id"),
        (OOF[:3], r"1 missing \['a'\]"),
        (OOF.assign(id=["d", "c", "b", "e"]), r"1 unknown \['e'\]"),
        (OOF.assign(id=["d", "c", "b", "b"]), "1 repeated"),
        (OOF.assign(fold=[0, 2, 1, 1]), r"1 rows were held out in another fold .*\['a'\]"),
        (OOF.assign(no=[0.4, None, 0.2, 0.1]), "some cells are empty"),
        (OOF.assign(no=[0.4, "x", 0.2, 0.1]), "expected numbers"),
        (OOF.assign(no=[0.4, -0.3, 0.2, 0.1]), r"values from -0\.3 to 0\.9; expected prob"),
        (OOF.assign(no=[0.4, 0.3, 0.4, 0.1]), r"row 3 sums to 1\.2"),
    ],
)
def test_what_breaks_the_contract_is_refused(tmp_path, oof, said):
    with pytest.raises(UserError, match=said):
        read(tmp_path, oof)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"oof\.csv: not there\. Put oof\.csv and test\.csv there"):
        read_external(tmp_path, competition(), FOLDS, meta={})
