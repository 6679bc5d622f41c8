"""Submissions: the sample's columns, its ids in its order, in the form that the metric scores."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config.schema import Data, Submission
from pipeline.config.schema import Task as TaskSection
from pipeline.core.competition import Competition
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.metrics.find_metric import get_metric
from pipeline.submission.find_form import find_form
from pipeline.submission.writing import (
    check_submission,
    fill_columns,
    filling,
    submission_table,
    values_of_columns,
    values_of_submission,
    write_submission,
)

TEST_IDS = ["t1", "t2", "t3"]
PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25]])


def competition(kind, classes, sample: str | None, *, target="y", **task) -> Competition:
    rows = pd.DataFrame({"id": TEST_IDS})
    if sample is not None:
        sample = pd.read_csv(io.StringIO(sample), dtype=str, keep_default_na=False)
    return Competition(
        folder=Path("input/x"),
        task=TaskSection(kind=kind, target=target, **task),
        data=Data(),
        train=rows,
        test=rows,
        sample=sample,
        classes=tuple(classes),
        targets=np.zeros((3, len(classes))),
    )


def written(tmp_path, values, made, metric="", **settings) -> list[str]:
    """Return the CSV's lines."""
    path = tmp_path / "s.csv"
    metric = get_metric(metric or made.task.metric, made.task.kind)
    settings = Submission(**settings)
    write_submission(path, np.array(values), competition=made, metric=metric, settings=settings)
    return path.read_text().splitlines()


# The sample lists t3, t1, t2: predictions come in the order of test.csv.


def test_one_column_of_labels(tmp_path):
    made = competition("multiclass", "abc", "id,y\nt3,a\nt1,a\nt2,a\n")
    assert written(tmp_path, PROBS, made) == ["id,y", "t3,b", "t1,a", "t2,c"]


def test_a_column_per_class_in_the_samples_order(tmp_path):
    made = competition("multiclass", "abc", "c,id,a,b\n0,t3,0,0\n0,t1,0,0\n0,t2,0,0\n")
    assert written(tmp_path, PROBS, made, "log_loss") == [
        "c,id,a,b",
        "0.25,t3,0.25,0.5",
        "0.1,t1,0.7,0.2",
        "0.6,t2,0.1,0.3",
    ]


def test_a_column_per_class_of_decisions_where_the_sample_has_them(tmp_path):
    made = competition("multiclass", "abc", "id,c,a,b\nt3,0,1,0\nt1,0,1,0\nt2,0,1,0\n")
    lines = written(tmp_path, PROBS, made, "accuracy")
    assert lines == ["id,c,a,b", "t3,0,0,1", "t1,0,1,0", "t2,1,0,0"]
    wished = written(tmp_path, PROBS, made, "accuracy", format="probability")
    assert wished[2] == "t1,0.1,0.7,0.2"


BINARY = [[0.9, 0.1], [0.4, 0.6], [0.25, 0.75]]
BINARY_SAMPLE = "id,y\nt3,0\nt1,0\nt2,0\n"


def test_binary_gives_the_probability_of_the_positive_where_the_metric_wants_it(tmp_path):
    made = competition("binary", ["no", "yes"], BINARY_SAMPLE)
    assert written(tmp_path, BINARY, made, "roc_auc") == ["id,y", "t3,0.75", "t1,0.1", "t2,0.6"]
    assert written(tmp_path, BINARY, made, "accuracy") == ["id,y", "t3,yes", "t1,no", "t2,yes"]
    assert written(tmp_path, BINARY, made, "roc_auc", format="label")[1] == "t3,yes"
    assert written(tmp_path, BINARY, made, "accuracy", format="probability")[1] == "t3,0.75"


def test_regression_gives_values_with_eight_digits(tmp_path):
    made = competition("regression", ["y"], "id,y\nt3,0\nt1,0\nt2,0\n")
    lines = written(tmp_path, [[1 / 3], [-2.0], [123456.789]], made)
    assert lines == ["id,y", "t3,123456.79", "t1,0.33333333", "t2,-2"]


def test_a_regressions_column_may_have_another_name(tmp_path):
    made = competition("regression", ["y"], "id,pred\nt3,0\nt1,0\nt2,0\n")
    assert written(tmp_path, [[1.5], [2.5], [3.5]], made) == [
        "id,pred",
        "t3,3.5",
        "t1,1.5",
        "t2,2.5",
    ]


def test_several_regression_targets_fill_their_columns(tmp_path):
    made = competition(
        "regression", ["u", "v"], "v,id,u\n0,t3,0\n0,t1,0\n0,t2,0\n", target=["u", "v"]
    )
    lines = written(tmp_path, [[1, 2], [3, 4], [5, 6.5]], made)
    assert lines == ["v,id,u", "6.5,t3,5", "2,t1,1", "4,t2,3"]


MULTILABEL = [[0.9, 0.6, 0.1], [0.1, 0.2, 0.3], [0.4, 0.5, 0.8]]


def test_several_labels_in_one_cell_or_none(tmp_path):
    made = competition("multilabel", "abc", "id,y\nt3,\nt1,\nt2,\n", separator="|")
    assert written(tmp_path, MULTILABEL, made) == ["id,y", "t3,b|c", "t1,a|b", "t2,"]
    assert written(tmp_path, MULTILABEL, made, threshold=0.7) == ["id,y", "t3,c", "t1,a", "t2,"]


def test_multilabel_columns_hold_decisions_where_labels_are_scored(tmp_path):
    made = competition(
        "multilabel", "abc", "id,c,a,b\nt3,0,0,0\nt1,0,0,0\nt2,0,0,0\n", target=list("abc")
    )
    lines = written(tmp_path, MULTILABEL, made, "f1_macro")
    assert lines == ["id,c,a,b", "t3,1,0,1", "t1,0,1,1", "t2,0,0,0"]
    lines = written(tmp_path, MULTILABEL, made, "roc_auc")
    assert lines == ["id,c,a,b", "t3,0.8,0.4,0.5", "t1,0.1,0.9,0.6", "t2,0.3,0.1,0.2"]


LEVELS = [[0.5, 0.0, 0.5], [0.0, 0.0, 1.0], [0.9, 0.1, 0.0]]


def test_ordinal_gives_the_expectation_or_the_level_nearest_to_it(tmp_path):
    made = competition("ordinal", ["0", "1", "4"], "id,y\nt3,0\nt1,0\nt2,0\n")
    # Expectations 2, 4 and 0.1; the nearest levels of them 1, 4 and 0; the likeliest 0, 4 and 0.
    assert written(tmp_path, LEVELS, made, "rmse") == ["id,y", "t3,0.1", "t1,2", "t2,4"]
    kappa = written(tmp_path, LEVELS, made, "quadratic_weighted_kappa")
    assert kappa == ["id,y", "t3,0", "t1,1", "t2,4"]
    assert written(tmp_path, LEVELS, made, "accuracy") == ["id,y", "t3,0", "t1,0", "t2,4"]
    assert written(tmp_path, LEVELS, made, "accuracy", format="level")[2] == "t1,1"


def test_without_a_sample_rows_are_those_of_test_csv(tmp_path):
    assert written(tmp_path, PROBS, competition("multiclass", "abc", None)) == [
        "id,y",
        "t1,a",
        "t2,c",
        "t3,b",
    ]
    per_class = written(tmp_path, PROBS, competition("multiclass", "abc", None), "log_loss")
    assert per_class[:2] == ["id,a,b,c", "t1,0.7,0.2,0.1"]
    binary = written(tmp_path, BINARY, competition("binary", "ab", None), "log_loss")
    assert binary[:2] == ["id,y", "t1,0.1"]
    labels = written(tmp_path, MULTILABEL, competition("multilabel", "abc", None))
    assert labels[:2] == ["id,y", "t1,a b"]
    columns = competition("multilabel", "abc", None, target=list("abc"))
    assert written(tmp_path, MULTILABEL, columns)[:2] == ["id,a,b,c", "t1,0.9,0.6,0.1"]


def test_ids_keep_their_writing(tmp_path):
    made = competition("multiclass", "abc", "id,y\nt3,a\nt1,a\nt2,a\n")
    rows = pd.DataFrame({"id": ["007", "7", "1e3"]})
    made = Competition(**{**vars(made), "test": rows, "sample": rows.assign(y="a")})
    assert written(tmp_path, PROBS, made) == ["id,y", "007,a", "7,c", "1e3,b"]


@pytest.mark.parametrize(
    ("kind", "classes", "header", "wish", "said"),
    [
        ("multiclass", "abc", "id,a,b", "auto", r"\['a', 'b'\] are neither the classes \['a', 'b'"),
        ("multiclass", "abc", "id,a,b,c", "label", "nor one column of format 'label'"),
        (
            "multiclass",
            "abc",
            "id,y",
            "probability",
            r"'probability' is no .* use auto or .*'label'",
        ),
        ("multiclass", "abc", "id,y", "value", "no form of one column of a multiclass task"),
        ("regression", "u", "id,y", "label", "no form of one column of a regression task"),
        ("binary", "ab", "id,y", "labels", "no form of one column of a binary task"),
        ("multilabel", "ab", "id,y", "label", "no form of one column of a multilabel task"),
        ("multiclass", "abc", "id", "auto", r"columns \[\] are neither"),
    ],
)
def test_a_form_that_cannot_be_is_refused(tmp_path, kind, classes, header, wish, said):
    cells = ",0" * header.count(",")
    made = competition(kind, classes, f"{header}\nt3{cells}\nt1{cells}\nt2{cells}\n")
    values = np.full((3, len(classes)), 1 / len(classes))
    with pytest.raises(UserError, match=said):
        written(tmp_path, values, made, format=wish)
    assert list(tmp_path.iterdir()) == []


def test_several_targets_do_not_fit_one_column(tmp_path):
    made = competition("regression", ["u", "v"], BINARY_SAMPLE, target=["u", "v"])
    with pytest.raises(UserError, match="neither the classes"):
        written(tmp_path, np.zeros((3, 2)), made)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_a_bug_even_behind_labels(tmp_path, bad):
    made = competition("multiclass", "abc", "id,y\nt3,a\nt1,a\nt2,a\n")
    with pytest.raises(AssertionError, match="NaN or infinite"):
        written(tmp_path, np.where(PROBS == 0.7, bad, PROBS), made)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,y\nt1,0.5\nt3,0.25\nt2,1\n", "ids differ"),
        ("id,z\nt3,0.25\nt1,0.5\nt2,1\n", "columns differ"),
        ("id,y\nt3,0.25\nt1,\nt2,1\n", "not a number in every row"),
        ("id,y\nt3,0.25\nt1,0.51\nt2,1\n", "numbers differ"),
    ],
)
def test_reading_back_finds_what_differs(tmp_path, text, said):
    made = competition("regression", ["y"], "id,y\nt3,0\nt1,0\nt2,0\n")
    metric, settings = get_metric("rmse", "regression"), Submission()
    table = submission_table(
        np.array([[0.5], [1], [0.25]]), competition=made, metric=metric, settings=settings
    )
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(AssertionError, match=said):
        check_submission(tmp_path / "s.csv", table, made)


# What the sample's columns and cells say.


def form_of(made, metric="", **settings):
    metric = get_metric(metric or made.task.metric, made.task.kind)
    return find_form(made, metric, Submission(**settings))


@pytest.mark.parametrize(
    ("column", "of_first"),
    [("malignant", True), ("Malignant", True), ("p_malignant", True), ("normal", False)],
)
def test_a_probability_is_of_the_class_that_its_column_is_named_like(tmp_path, column, of_first):
    made = competition("binary", ["malignant", "normal"], f"id,{column}\nt3,0.5\nt1,0.5\nt2,0.5\n")
    lines = written(tmp_path, BINARY, made, "roc_auc")
    first, second = ["t3,0.25", "t1,0.9", "t2,0.4"], ["t3,0.75", "t1,0.1", "t2,0.6"]
    assert lines == [f"id,{column}", *(first if of_first else second)]
    name = "malignant" if of_first else "normal"
    (fact,) = form_of(made, "roc_auc").facts
    assert fact == f"column {column!r} holds the probability of {name!r}, which it is named like"


def test_a_column_of_another_name_holds_the_last_class_and_says_so(tmp_path):
    made = competition("binary", ["malignant", "normal"], "id,y\nt3,0\nt1,0\nt2,0\n")
    assert written(tmp_path, BINARY, made, "roc_auc")[1] == "t3,0.75"
    (fact,) = form_of(made, "roc_auc").facts
    assert fact == (
        "column 'y' holds the probability of 'normal' (the last in sorted order; set task.positive "
        "to choose)"
    )
    chosen = replace(made, task=made.task.model_copy(update={"positive": "normal"}))
    assert form_of(chosen, "roc_auc").facts == (
        "column 'y' holds the probability of 'normal' (task.positive)",
    )


def test_a_positive_class_that_the_column_is_not_named_like_is_warned_of():
    sample = "id,malignant\nt3,0\nt1,0\nt2,0\n"
    made = competition("binary", ["malignant", "normal"], sample, positive="normal")
    (warning,) = form_of(made, "average_precision").warnings
    assert "is of 'normal' (task.positive), but the sample's column is named like 'mal" in warning
    assert form_of(made, "roc_auc").warnings == ()  # the same for both classes


def test_a_column_named_like_a_class_holds_its_decisions_where_these_are_scored(tmp_path):
    made = competition("binary", ["malignant", "normal"], "id,malignant\nt3,0\nt1,1\nt2,0\n")
    assert written(tmp_path, BINARY, made, "accuracy")[1:] == ["t3,0", "t1,1", "t2,0"]


def test_columns_with_a_word_before_the_class_are_filled(tmp_path):
    head = "id,class_c,class_a,class_b"
    made = competition("multiclass", "abc", f"{head}\nt3,0,0,0\nt1,0,0,0\nt2,0,0,0\n")
    lines = written(tmp_path, PROBS, made, "log_loss")
    assert lines[:3] == [head, "t3,0.25,0.25,0.5", "t1,0.1,0.7,0.2"]
    assert len(form_of(made, "log_loss").facts) == 3


@pytest.mark.parametrize(
    ("classes", "cell", "lines"),
    [
        (["0.0", "1.0", "2.0"], "0", ["t3,1", "t1,0", "t2,2"]),
        (["0", "1", "2"], "1.0", ["t3,1.0", "t1,0.0", "t2,2.0"]),
        (["cat", "dog", "emu"], "CAT", ["t3,DOG", "t1,CAT", "t2,EMU"]),
        (["cat", "dog", "emu"], "dog", ["t3,dog", "t1,cat", "t2,emu"]),
    ],
)
def test_labels_are_written_as_the_samples(tmp_path, classes, cell, lines):
    made = competition("multiclass", classes, f"id,y\nt3,{cell}\nt1,{cell}\nt2,{cell}\n")
    assert written(tmp_path, PROBS, made)[1:] == lines
    form = form_of(made)
    assert bool(form.facts) == (cell not in classes)
    assert form.warnings == ()


def test_truth_values_are_written_as_the_samples(tmp_path):
    made = competition("binary", ["False", "True"], "id,y\nt3,0\nt1,0\nt2,1\n")
    assert written(tmp_path, BINARY, made, "accuracy")[1:] == ["t3,1", "t1,0", "t2,1"]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["cat", "cart", "dog"], r"\['cart'\] in 'y' is no class .*the nearest to 'cart' is 'cat'"),
        (["0", "1", "1"], r"\['0', '1'\] in 'y' are no class of train\.csv: the file's labels"),
        (["0.5", "0.5", "0.5"], r"\['0.5'\] in 'y' is no class"),
        (["", "", ""], None),
    ],
)
def test_cells_that_are_no_class_are_warned_of(cells, said):
    rows = "".join(f"{name},{cell}\n" for name, cell in zip(["t3", "t1", "t2"], cells, strict=True))
    made = competition("multiclass", ["cat", "dog", "emu"], f"id,y\n{rows}")
    warnings = form_of(made).warnings
    assert len(warnings) == (said is not None)
    assert all(re.search(said, warning) for warning in warnings)


def test_a_column_of_train_with_the_samples_labels_is_offered():
    made = competition("multiclass", ["cat", "dog"], "id,y\nt3,7\nt1,7\nt2,8\n")
    train = pd.DataFrame({"id": TEST_IDS, "y": ["cat", "dog", "cat"], "number": ["7", "8", "7"]})
    (warning,) = form_of(replace(made, train=train)).warnings
    assert "labels of the column 'number' of train.csv" in warning
    assert "`task.target: number` writes them" in warning


def test_numbers_for_two_words_are_followed_where_both_stand_there(tmp_path):
    made = competition("binary", ["no", "yes"], "id,y\nt3,0\nt1,1\nt2,0\n")
    assert written(tmp_path, BINARY, made, "accuracy")[1:] == ["t3,1", "t1,0", "t2,1"]
    assert form_of(made, "accuracy").facts[0].startswith("column 'y' holds 1 for 'yes' (the last")
    only = competition("binary", ["no", "yes"], BINARY_SAMPLE)  # a placeholder, perhaps
    assert "['0'] in 'y' is no class" in form_of(only, "accuracy").warnings[0]


def test_fractions_for_two_words_are_followed_and_for_numbers_warned_of(tmp_path):
    halves = "id,y\nt3,0.5\nt1,0.5\nt2,0.5\n"
    words = competition("binary", ["no", "yes"], halves)
    assert written(tmp_path, BINARY, words, "accuracy")[1] == "t3,0.75"
    numbers = competition("binary", ["0", "1"], halves)
    assert written(tmp_path, BINARY, numbers, "accuracy")[1] == "t3,1"
    for made, other in ((words, "label"), (numbers, "probability")):
        (warning,) = form_of(made, "accuracy").warnings
        assert "scores classes, but the sample holds fractions in 'y'" in warning
        assert f"`submission.format: {other}` changes that" in warning


def test_names_for_a_metric_of_probabilities_are_followed_and_warned_of(tmp_path):
    made = competition("binary", ["no", "yes"], "id,y\nt3,no\nt1,yes\nt2,no\n")
    assert written(tmp_path, BINARY, made, "roc_auc")[1:] == ["t3,yes", "t1,no", "t2,yes"]
    assert "holds less than the estimate" in form_of(made, "roc_auc").warnings[0]
    assert form_of(made, "accuracy").warnings == ()
    two = competition("multiclass", ["0", "1"], BINARY_SAMPLE)
    assert "`task.kind: binary` writes the probability" in form_of(two, "roc_auc").warnings[0]
    several = competition("multiclass", "abc", "id,y\nt3,a\nt1,a\nt2,a\n")
    assert "holds less than the estimate" in form_of(several, "log_loss").warnings[0]
    zeros = competition("binary", ["0", "1"], BINARY_SAMPLE)  # Kaggle's usual placeholder
    assert form_of(zeros, "roc_auc").warnings == ()
    assert written(tmp_path, BINARY, zeros, "roc_auc")[1] == "t3,0.75"


def test_whole_levels_where_the_file_has_fractions_are_warned_of():
    made = competition("ordinal", ["0", "1", "2"], "id,y\nt3,0\nt1,1\nt2,0\n")
    assert "`submission.format: level` writes levels" in form_of(made, "rmse").warnings[0]
    assert form_of(made, "quadratic_weighted_kappa").warnings == ()


def test_whole_values_where_the_file_has_fractions_are_warned_of():
    made = competition("regression", ["y"], "id,y\nt3,0\nt1,4\nt2,2\n")
    assert "round them if the competition takes no others" in form_of(made).warnings[0]
    fractions = replace(made, targets=np.array([[0.5], [1], [2]]))
    assert form_of(fractions).warnings == ()
    zeros = competition("regression", ["y"], "id,y\nt3,0\nt1,0\nt2,0\n")  # a placeholder
    assert form_of(zeros).warnings == ()


@pytest.mark.parametrize(
    ("cell", "metric", "lines"),
    [
        ("a b c", "top_3_accuracy", ["t3,b a c", "t1,a b c", "t2,c b a"]),
        ("c a", "top_2_accuracy", ["t3,b a", "t1,a b", "t2,c b"]),
        ("a, b", "top_2_accuracy", ['t3,"b, a"', 't1,"a, b"', 't2,"c, b"']),
        ("a", "top_2_accuracy", ["t3,b a", "t1,a b", "t2,c b"]),  # k of the metric
        ("a", "top_5_accuracy", ["t3,b a c", "t1,a b c", "t2,c b a"]),  # there are three only
        ("a|b", "top_3_accuracy", ["t3,b|a", "t1,a|b", "t2,c|b"]),  # k of the sample
        ("a b ", "top_2_accuracy", ["t3,b a", "t1,a b", "t2,c b"]),
        ("a", "map_at_2", ["t3,b a", "t1,a b", "t2,c b"]),
        ("a", "top_2_error", ["t3,b a", "t1,a b", "t2,c b"]),
        ("a b", "accuracy", ["t3,b a", "t1,a b", "t2,c b"]),
        ("a", "top_1_accuracy", ["t3,b", "t1,a", "t2,c"]),
    ],
)
def test_k_labels_in_a_cell_are_the_k_likeliest(tmp_path, cell, metric, lines):
    sample = "".join(f'{name},"{cell}"\n' for name in ("t3", "t1", "t2"))
    made = competition("multiclass", "abc", f"id,y\n{sample}")
    assert written(tmp_path, PROBS, made, metric)[1:] == lines
    is_less = (cell, metric) in (("a|b", "top_3_accuracy"), ("a b", "accuracy"))
    assert bool(form_of(made, metric).warnings) == is_less
    assert written(tmp_path, PROBS, made, metric, format="label")[1] == "t3,b"


def test_the_k_likeliest_of_several_labels_and_of_levels(tmp_path):
    made = competition("multilabel", "abc", "id,y\nt3,a\nt1,a b\nt2,a\n")
    lines = written(tmp_path, MULTILABEL, made, "map_at_2")
    assert lines[1:] == ["t3,c b", "t1,a b", "t2,c b"]
    made = competition("ordinal", ["0", "1", "4"], "id,y\nt3,0\nt1,0\nt2,0\n")
    assert written(tmp_path, LEVELS, made, "top_2_accuracy")[1:] == ["t3,0 1", "t1,0 4", "t2,4 0"]


# Cells without a label.


def labelled(sample="id,y\nt3,a\nt1,a\nt2,a\n", *, always=True, **task):
    made = competition("multilabel", "abc", sample, **task)
    return replace(made, targets=np.eye(3) if always else np.diag([1.0, 1.0, 0.0]))


@pytest.mark.parametrize(
    ("always", "empty", "cell"),
    [
        (True, "auto", "c"),
        (False, "auto", ""),
        (False, "likeliest", "c"),
        (True, "blank", ""),
        (True, "No Finding", "No Finding"),
        (True, "b", "b"),
    ],
)
def test_a_row_without_a_label_gets_what_empty_says(tmp_path, always, empty, cell):
    lines = written(tmp_path, MULTILABEL, labelled(always=always), "f1_macro", empty=empty)
    assert lines == ["id,y", "t3,b c", "t1,a b", f"t2,{cell}"]


@pytest.mark.parametrize("empty", ["likeliest", "blank", "No Finding", "b"])
def test_the_score_is_of_the_decisions_in_the_file(empty):
    form = form_of(labelled(), "f1_macro", empty=empty)
    fill = filling(form, threshold=0.5)
    scored = np.array(MULTILABEL) if fill is None else fill(np.array(MULTILABEL))
    cells = fill_columns(np.array(MULTILABEL), labelled(), form, threshold=0.5)
    said = values_of_columns(cells, labelled(), form)
    np.testing.assert_array_equal(scored >= 0.5, said >= 0.5)
    assert fill is None or (scored[:1] == np.array(MULTILABEL)[:1]).all()


def test_a_class_that_stands_for_none_is_written_as_the_samples(tmp_path):
    made = labelled("id,y\nt3,A\nt1,A\nt2,A\n")
    lines = written(tmp_path, MULTILABEL, made, "f1_macro", empty="b")
    assert lines[1:] == ["t3,B C", "t1,A B", "t2,B"]
    assert filling(form_of(made, "f1_macro", empty="b"), threshold=0.5) is not None


def test_a_label_of_two_words_is_one(tmp_path):
    made = competition(
        "multiclass", ["new", "york", "new york"], "id,y\nt3,new york\nt1,new\nt2,new\n"
    )
    assert form_of(made).holds == "label"


def test_a_word_of_the_sample_that_is_no_label_is_offered_for_none():
    made = labelled("id,y\nt3,none\nt1,none\nt2,none\n")
    assert form_of(made, "f1_macro").warnings[-1].endswith("`submission.empty: none`")
    assert form_of(made, "f1_macro", empty="none").warnings == ()


def test_the_samples_own_separator_is_taken(tmp_path):
    made = labelled("id,y\nt3,a b\nt1,a\nt2,a\n", separator="|")
    assert written(tmp_path, MULTILABEL, made, "f1_macro")[1:3] == ["t3,b c", "t1,a b"]


def test_the_file_has_the_samples_separator_of_cells(tmp_path):
    made = replace(competition("multiclass", "abc", "id,y\nt3,a\nt1,a\nt2,a\n"), separator=";")
    assert written(tmp_path, PROBS, made) == ["id;y", "t3;b", "t1;a", "t2;c"]


# Read back.


@pytest.mark.parametrize(
    ("kind", "classes", "sample", "metric", "values"),
    [
        ("multiclass", "abc", "id,c,a,b\nt3,0,0,0\nt1,0,0,0\nt2,0,0,0\n", "log_loss", PROBS),
        ("binary", ["m", "n"], "id,m\nt3,0.5\nt1,0.5\nt2,0.5\n", "roc_auc", BINARY),
        ("binary", ["m", "n"], "id,y\nt3,0.5\nt1,0.5\nt2,0.5\n", "roc_auc", BINARY),
        ("multiclass", ["0.0", "1.0", "2.0"], "id,y\nt3,0\nt1,0\nt2,0\n", "accuracy", np.eye(3)),
        ("ordinal", ["0", "1", "4"], "id,y\nt3,0\nt1,0\nt2,0\n", "rmse", np.eye(3)),
        ("multilabel", "abc", "id,y\nt3,a\nt1,a\nt2,a\n", "f1_macro", 1 - np.eye(3)),
        ("regression", "y", "id,y\nt3,0\nt1,0\nt2,0\n", "rmse", [[1.0], [-2], [3]]),
    ],
)
def test_what_is_written_reads_as_what_was_predicted(kind, classes, sample, metric, values):
    made, metric = competition(kind, classes, sample), get_metric(metric, kind)
    table = submission_table(
        np.array(values), competition=made, metric=metric, settings=Submission()
    )
    in_order = table.set_index("id").loc[TEST_IDS].reset_index()
    read = values_of_submission(in_order.astype(str), made, metric)
    np.testing.assert_allclose(read, values)


def test_k_labels_read_as_their_order():
    made = competition("multiclass", "abc", "id,y\nt3,a b\nt1,b c\nt2,c a\n")
    read = values_of_submission(made.sample, made, get_metric("top_2_accuracy", "multiclass"))
    assert np.argsort(-read, axis=1)[:, :2].tolist() == [[0, 1], [1, 2], [2, 0]]
    np.testing.assert_allclose(read.sum(axis=1), 1)


# Columns that cannot be filled.


def test_a_column_of_labels_may_be_called_like_one(tmp_path):
    made = competition("binary", ["ill", "well"], "id,ill\nt3,well\nt1,ill\nt2,well\n")
    assert written(tmp_path, BINARY, made, "accuracy")[1:] == ["t3,well", "t1,ill", "t2,well"]


def test_a_column_per_class_of_another_format_says_which_there_are():
    made = competition("multiclass", "ab", "id,a,b\nt3,0,0\nt1,0,0\nt2,0,0\n")
    with pytest.raises(UserError, match=r"`submission\.format` is auto, probability or value"):
        form_of(made, format="label")


@pytest.mark.parametrize(
    ("kind", "classes", "header", "task", "said"),
    [
        ("multiclass", "ab", "id", {}, r"or there is one\. Save a sample"),
        (
            "multilabel",
            ["a, b", "c", "d"],
            'id,"a, b",c',
            {"target": ["a, b", "c", "d"]},
            r'some of the targets: `task\.target: \["a, b", "c"\]` predicts these',
        ),
        ("multiclass", "abc", "id,a,b", {}, r"labels without a column, \['c'\]: leave their rows"),
        ("multiclass", "ab", "id,a,b,q", {}, r"\['q'\] are no labels .* `task\.classes` may name"),
        ("multiclass", "ab", "id,y,Usage", {}, r"Beside \['y'\] there is \['Usage'\]: save a copy"),
        ("multiclass", ["cat", "dog"], "id,cart,x", {}, r"cart; did you mean `cat`\?"),
    ],
)
def test_columns_that_cannot_be_filled_say_what_to_do(tmp_path, kind, classes, header, task, said):
    cells = ",0" * (len(pd.read_csv(io.StringIO(header)).columns) - 1)
    made = competition(kind, classes, f"{header}\nt3{cells}\nt1{cells}\nt2{cells}\n", **task)
    with pytest.raises(UserError, match=said):
        form_of(made)


def test_values_that_the_metric_does_not_take_are_clipped_in_the_file_as_in_the_score(tmp_path):
    made = competition("regression", ["y"], "id,y\nt1,0\nt2,0\nt3,0\n")
    values = [[-1.5], [0.25], [3.0]]
    for metric in ("rmsle", "msle"):
        assert written(tmp_path, values, made, metric) == ["id,y", "t1,0", "t2,0.25", "t3,3"]
    assert written(tmp_path, values, made, "rmse")[1] == "t1,-1.5"
    rmsle, truth = get_metric("rmsle", "regression"), np.array([[0.0], [1.0], [3.0]])
    clipped = np.maximum(values, 0)
    assert rmsle.score(truth, np.array(values), Task("regression")) == (
        rmsle.score(truth, clipped, Task("regression"))
    )
