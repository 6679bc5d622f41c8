"""folds.csv: joined by id, refused where it is not of these rows, and may be written by hand."""

import numpy as np
import pytest

from pipeline.config.errors import UserError
from pipeline.core.folds import folds_text, read_folds

IDS = np.array(["c", "a", "b"])


def read(tmp_path, text):
    (tmp_path / "folds.csv").write_text(text)
    return read_folds(tmp_path / "folds.csv", IDS)


def test_rows_are_joined_by_id(tmp_path):
    table = read(tmp_path, "id,fold,group\na,1,g\nb,0,\nc,0,h\n")
    assert table.folds.tolist() == [0, 1, 0]
    assert table.groups.tolist() == ["h", "g", "b"]  # without a group: its own
    assert table.num_folds == 2


def test_a_table_by_hand_needs_no_group(tmp_path):
    assert read(tmp_path, "fold,id\n0,a\n1,b\n1,c\n").groups.tolist() == IDS.tolist()


def test_what_is_written_is_read(tmp_path):
    folds, groups = np.array([2, 0, 1]), np.array(["x", "x", "y"])
    table = read(tmp_path, folds_text(IDS, folds, groups))
    assert table.folds.tolist() == [2, 0, 1]
    assert table.groups.tolist() == ["x", "x", "y"]


def test_the_digest_is_of_ids_and_folds_and_not_of_the_files_order(tmp_path):
    digest = read(tmp_path, "id,fold\na,1\nb,0\nc,0\n").digest
    assert read(tmp_path, "id,fold\nc,0\na,1\nb,0\n").digest == digest
    assert read(tmp_path, "id,fold,group\na,1,x\nb,0,x\nc,0,x\n").digest == digest
    assert read(tmp_path, "id,fold\na,0\nb,1\nc,0\n").digest != digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,fold\na,1\nb,0\n", r"1 missing \['c'\], 0 unknown \[\], 0 repeated"),
        ("id,fold\na,1\nb,0\nc,0\nd,1\n", r"0 missing \[\], 1 unknown \['d'\]"),
        ("id,fold\na,1\nb,0\nc,0\nc,1\n", r"1 repeated\. Delete it to make it anew"),
        ("id,foldd\na,1\n", r"no column \['fold'\]; it needs id and fold"),
        ("id,fold\na,1\nb,2\nc,1\n", r"0, 1, \.\.\. K-1 without gaps.*found \['1', '2'\]"),
        ("id,fold\na,0\nb,2\nc,0\n", "without gaps"),
        ("id,fold\na,0\nb,0\nc,0\n", "K at least 2"),
        ("id,fold\na,0\nb,\nc,1\n", "without gaps"),
        ("id,fold\na,0\nb,0.5\nc,1\n", "without gaps"),
        ("id,fold\na,0\nb,-1\nc,1\n", "without gaps"),
        ("", "not readable as CSV"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, said):
    with pytest.raises(UserError, match=rf"folds\.csv: .*{said}"):
        read(tmp_path, text)


def test_no_table_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"folds\.csv: not there\. Run `make folds` first"):
        read_folds(tmp_path / "folds.csv", IDS)
