"""Submissions: the sample's columns, its ids in its order, in the form that the metric scores."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config.errors import UserError
from pipeline.config.schema import Data, Submission, Task
from pipeline.core.competition import Competition
from pipeline.core.metrics import get_metric
from pipeline.core.submission import check_submission, submission_table, write_submission

TEST_IDS = ["t1", "t2", "t3"]
PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25]])


def competition(kind, classes, sample: str | None, *, target="y", **task) -> Competition:
    rows = pd.DataFrame({"id": TEST_IDS})
    if sample is not None:
        sample = pd.read_csv(io.StringIO(sample), dtype=str, keep_default_na=False)
    return Competition(
        folder=Path("input/x"),
        task=Task(kind=kind, target=target, **task),
        data=Data(),
        train=rows,
        test=rows,
        sample=sample,
        classes=tuple(classes),
        targets=np.zeros((3, len(classes))),
    )


def written(tmp_path, values, made, metric="", **settings) -> list[str]:
    """The CSV's lines."""
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
            r"'probability' is no .* say auto or .*'label'",
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
