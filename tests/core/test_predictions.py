"""Predictions carry their meaning (law 2) and are refused where they saw their rows (law 3)."""

import json
import re

import numpy as np
import pytest

from pipeline.core.predictions import Predictions, check_folds, load
from pipeline.errors import UserError

IDS = np.array(["a", "b", "c"])
VALUES = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
META = {"folds_digest": "d1", "member": "net", "views": ["original"]}


def some(ids=IDS, values=VALUES, folds=(0, 1, 0), classes=("no", "yes")) -> Predictions:
    folds = None if folds is None else np.array(folds)
    return Predictions(np.array(ids), np.array(values), classes, folds, META)


@pytest.fixture
def saved(tmp_path):
    some().save(tmp_path / "oof.npz")
    return tmp_path / "oof.npz"


def test_what_is_saved_is_loaded(saved):
    found = load(saved, classes=("no", "yes"), folds_digest="d1", views=["original"])
    assert found.ids.tolist() == ["a", "b", "c"]
    assert np.array_equal(found.values, VALUES)
    assert found.folds.tolist() == [0, 1, 0]
    assert found.classes == ("no", "yes")
    assert found.meta == META


def test_test_predictions_keep_their_folds_apart(tmp_path):
    values = np.arange(12.0).reshape(2, 3, 2)
    some(values=values, folds=None).save(tmp_path / "test.npz")
    found = load(tmp_path / "test.npz").in_order_of(np.array(["c", "a", "b"]))
    assert found.folds is None
    assert found.values[1].tolist() == [[10, 11], [6, 7], [8, 9]]


def test_rows_are_joined_by_id():
    joined = some().in_order_of(np.array(["c", "a", "b"]))
    assert joined.ids.tolist() == ["c", "a", "b"]
    assert joined.values[:, 0].tolist() == [0.3, 0.1, 0.2]
    assert joined.folds.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a", "b", "c", "d"], r"x\.npz: ids differ .*: 1 missing \['d'\], 0 unknown \[\], 0 rep"),
        (["a", "b"], r"0 missing \[\], 1 unknown \['c'\], 0 repeated"),
        (["a", "b", "x"], r"1 missing \['x'\], 1 unknown \['c'\]"),
    ],
)
def test_other_ids_are_refused_with_what_differs(ids, said):
    with pytest.raises(UserError, match=said):
        some().in_order_of(np.array(ids), where="x.npz")


def test_repeated_ids_are_refused():
    with pytest.raises(UserError, match="1 repeated"):
        some(ids=["a", "b", "a"]).in_order_of(np.array(["a", "b"]))


def test_ids_are_text_so_that_numbers_do_not_match_other_writings():
    with pytest.raises(UserError, match=r"1 missing \['7'\], 1 unknown \['07'\]"):
        some(ids=["07", "b", "c"]).in_order_of(np.array(["7", "b", "c"]))


@pytest.mark.parametrize("classes", [("yes", "no"), ("no",), ("no", "yes", "maybe")])
def test_other_classes_are_refused(saved, classes):
    said = re.escape(f"classes ['no', 'yes'], expected {list(classes)}")
    with pytest.raises(UserError, match=rf"oof\.npz: {said}.*`make train infer` again"):
        load(saved, classes=classes)


def test_another_folds_digest_is_refused(saved):
    with pytest.raises(UserError, match=r"oof\.npz: folds_digest is 'd1', expected 'd2'"):
        load(saved, folds_digest="d2")


def test_absent_meaning_is_refused(saved):
    with pytest.raises(UserError, match=r"metric is None, expected 'accuracy'"):
        load(saved, metric="accuracy")


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match=r"oof\.npz: no such file\. Run `make infer` first"):
        load(tmp_path / "oof.npz")


@pytest.mark.parametrize("kept", [0, 10, 300, -30])
def test_a_truncated_file_is_refused(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[:kept])
    with pytest.raises(UserError, match="not readable as predictions"):
        load(saved)


def test_a_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="not readable as predictions"):
        load(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", ids=np.array([{}], dtype=object))  # would run code when unpickled
    with pytest.raises(UserError, match="not readable as predictions"):
        load(tmp_path / "y.npz")


def test_metadata_is_json(saved):
    with np.load(saved) as arrays:
        assert json.loads(str(arrays["meta"])) == META


def test_the_fold_that_held_the_row_out_is_accepted():
    check_folds(some(), np.array([0, 1, 0]), where="x")


def test_another_fold_is_refused_because_the_model_saw_the_row():
    said = r"net: 1 rows were predicted .* e\.g\. \['b'\]: held out as fold \[1\] then, \[0\]"
    with pytest.raises(UserError, match=said):
        check_folds(some(), np.array([0, 0, 0]), where="net")


def test_incomplete_oof_is_refused():
    with pytest.raises(UserError, match="not complete out-of-fold predictions"):
        check_folds(some(folds=None), np.array([0, 1, 0]), where="net")
    holed = np.where(VALUES == 0.2, np.nan, VALUES)
    with pytest.raises(UserError, match="not complete out-of-fold predictions"):
        check_folds(some(values=holed), np.array([0, 1, 0]), where="net")


@pytest.mark.parametrize(
    "wrong", [{"ids": ["a", "b"]}, {"classes": ("a",)}, {"folds": (0, 1)}], ids=str
)
def test_shapes_that_disagree_are_a_bug(wrong):
    with pytest.raises(AssertionError, match=r"one .* per"):
        some(**wrong)
