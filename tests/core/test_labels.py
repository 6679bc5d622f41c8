"""Labels in several writings: the sample's, as names of columns, several in a cell."""

import pytest

from pipeline.core.labels import likely_separator, match_columns, spelling, written_alike


@pytest.mark.parametrize(
    ("names", "cells", "written"),
    [
        (["0.0", "1.0", "2.0"], ["0"], ["0", "1", "2"]),
        (["0", "1", "2"], ["0.0", "2.0"], ["0.0", "1.0", "2.0"]),
        (["False", "True"], ["0"], ["0", "1"]),
        (["0", "1"], ["False"], ["False", "True"]),
        (["0.0", "1.0"], ["true"], ["false", "true"]),
        (["True", "False"], ["false"], ["true", "false"]),
        (["no", "yes"], ["NO"], ["NO", "YES"]),
        (["Pleural Effusion", "Mass"], ["pleural_effusion"], ["pleural_effusion", "mass"]),
        (["1", "2", "10"], ["002"], ["001", "002", "010"]),
        (["a", "b"], ["a"], ["a", "b"]),
        (["a", "b"], ["0"], ["a", "b"]),  # no class at all
        (["01", "1", "2"], ["0"], ["01", "1", "2"]),  # 01 and 1 would both be 1
        (["0.5", "1.0"], ["1"], ["0.5", "1.0"]),  # 0.5 is no whole number
        (["Red", "red"], ["RED"], ["Red", "red"]),
        (["a", "b"], [], ["a", "b"]),
    ],
)
def test_names_are_written_as_most_cells_are(names, cells, written):
    assert spelling(names, cells) == tuple(written)


@pytest.mark.parametrize(
    ("columns", "names", "matched"),
    [
        (["c", "a"], "abc", {"c": 2, "a": 0}),
        (["class_c", "class_a", "class_b"], "abc", {"class_c": 2, "class_a": 0, "class_b": 1}),
        (["d1_prob", "d0_prob"], ["d0", "d1"], {"d1_prob": 1, "d0_prob": 0}),
        (["0", "1"], ["0.0", "1.0"], {"0": 0, "1": 1}),
        (["Malignant"], ["malignant", "normal"], {"Malignant": 0}),
        (["p_malignant"], ["malignant", "normal"], {"p_malignant": 0}),
        (["prob_malignant"], ["malignant", "normal"], {"prob_malignant": 0}),
        (["malignant_prob"], ["malignant", "normal"], {"malignant_prob": 0}),
        (["abnormal"], ["malignant", "normal"], None),  # another word, not a prefix
        (["label"], ["malignant", "normal"], None),
        (["x_a", "x_b"], "abc", None),  # with something cut off, all must be there
        (["a", "q"], "abc", None),
        (["A", "a"], ["a", "b"], None),
    ],
)
def test_columns_are_of_the_classes_that_they_are_named_like(columns, names, matched):
    assert match_columns(columns, list(names)) == matched


@pytest.mark.parametrize(
    ("cells", "separator", "found"),
    [
        (["Mass", "Pleural Effusion", "Mass, Nodule", "Pleural Effusion, Nodule"], " ", ", "),
        (["Mass", "Pleural Effusion", "Mass|Nodule", "Pleural Effusion|Nodule"], " ", "|"),
        (["a", "b", "a;b"], " ", ";"),
        (["a, b", "b"], ",", ", "),
        (["a b", "b c", "a", "b", "c"], ",", " "),
        (["a b", "b c", "a"], " ", None),
        (["big dog", "big cat", "small dog", "small cat", "big cow", "small cow"], ",", None),
        (["CVC, left", "CVC, right", "NGT, left|CVC, left", "NGT, right"], "|", None),
        (["t-shirt/top", "t-shirt", "dress"], None, None),  # `top` is nowhere else
        (["scab", "rust", "scab rust"], None, " "),
        (["New York", "York"], None, None),
        ([], " ", None),
    ],
)
def test_a_separator_is_found_where_parts_are_labels(cells, separator, found):
    assert likely_separator(cells, separator) == found


def test_names_that_differ_in_writing_only():
    names = ["1", "1.0", "01", "Red", "red", "blue", "nan"]
    assert written_alike(names) == [["1", "1.0", "01"], ["Red", "red"]]
