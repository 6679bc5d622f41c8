"""folds.csv: joined by id, refused where it is not of these rows, and may be written by hand."""

import numpy as np
import pytest

from pipeline.core.artifacts import fingerprint
from pipeline.core.folds import ALL_ROWS, folds_text, read_folds
from pipeline.errors import UserError

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


def test_one_repeat_is_written_and_known_as_before_there_were_several(tmp_path):
    text = folds_text(IDS, np.array([[2, 0, 1]]), np.array(["x", "x", "y"]))
    assert text == "id,fold,group\nc,2,x\na,0,x\nb,1,y\n"
    table = read(tmp_path, text)
    assert table.digest == table.digest_of(1) == fingerprint(ids=["c", "a", "b"], folds=[2, 0, 1])
    assert list(table.models) == [0, 1, 2]


def test_repeats_are_further_columns_and_their_models_are_counted_on(tmp_path):
    repeats = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 1]])
    text = folds_text(IDS, repeats, IDS)
    assert text.splitlines()[:2] == ["id,fold,fold_2,fold_3,group", "c,0,1,0,c"]
    table = read(tmp_path, text)
    assert (table.repeats == repeats).all()
    assert (table.num_folds, table.num_repeats, len(table.models)) == (2, 3, 6)
    held_out = [table.held_out(model).tolist() for model in table.models]
    assert held_out == [(folds == k).tolist() for folds in repeats for k in range(2)]
    assert list(table.models_in(1)) == [2, 3]
    assert not table.held_out(ALL_ROWS).any()
    assert table.digest_of(ALL_ROWS) == table.digest_of(1)


def test_a_repeat_changes_the_digest_of_all_and_none_of_another_repeat(tmp_path):
    one = read(tmp_path, "id,fold\na,1\nb,0\nc,0\n")
    two = read(tmp_path, "id,fold,fold_2\na,1,0\nb,0,1\nc,0,0\n")
    other = read(tmp_path, "id,fold,fold_2\na,1,1\nb,0,1\nc,0,0\n")
    assert one.digest == two.digest_of(0) == two.digest_of(1) == other.digest_of(0)
    assert len({one.digest, two.digest, other.digest}) == 3
    assert two.digest_of(2) == two.digest_of(3) != other.digest_of(2)


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
        ("id,fold,fold_3\na,0,0\nb,1,1\nc,0,0\n", r"no column \['fold_2'\].*without gaps"),
        ("id,fold,fold_2\na,0,0\nb,1,2\nc,0,0\n", r"found \['0', '2'\] in column fold_2"),
        (
            "id,fold,fold_2\na,0,0\nb,1,2\nc,0,1\n",
            r"repeats of \[2, 3\] folds; all of fold, fold_2",
        ),
    ],
)
def test_other_tables_are_refused(tmp_path, text, said):
    with pytest.raises(UserError, match=rf"folds\.csv: .*{said}"):
        read(tmp_path, text)


def test_no_table_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"folds\.csv: no such file\. Run `make folds` first"):
        read_folds(tmp_path / "folds.csv", IDS)
