"""Submissions made elsewhere: joined by id, mixed by weight or rank, outside the estimate."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_submission import PROBS, competition
from tiny_project import run, submission, write_competition

from pipeline.config.schema import Submission
from pipeline.errors import UserError
from pipeline.metrics.find_metric import get_metric
from pipeline.submission.find_form import find_form
from pipeline.submission.mixing import mix

SAMPLE = "id,a,b,c\nt1,0,0,0\nt2,0,0,0\nt3,0,0,0\n"
SHUFFLED = "id,c,a,b\nt3,1,0,0\nt1,0,1,0\nt2,0,0.5,0.5\n"
OTHER = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1.0]])  # the same, in our order


def mixed(tmp_path: Path, text: str, metric: str = "log_loss") -> np.ndarray:
    made, metric = competition("multiclass", "abc", SAMPLE), get_metric(metric, "multiclass")
    path = tmp_path / "other.csv"
    path.write_text(text)
    form = find_form(made, metric, Submission())
    return mix(PROBS, {path: 0.25}, made, form, metric)


def test_rows_are_joined_by_id_and_columns_by_name(tmp_path) -> None:
    np.testing.assert_allclose(mixed(tmp_path, SHUFFLED), 0.75 * PROBS + 0.25 * OTHER)
    other_separator = SHUFFLED.replace(",", ";")
    np.testing.assert_allclose(mixed(tmp_path, other_separator), 0.75 * PROBS + 0.25 * OTHER)


def test_where_the_metric_ranks_ranks_are_mixed(tmp_path) -> None:
    ours = np.array([[2.5, 0.5, 0.5], [0.5, 1.5, 2.5], [1.5, 2.5, 1.5]]) / 3
    other = np.array([[2.5, 1, 1], [1.5, 2.5, 1], [0.5, 1, 2.5]]) / 3
    found = mixed(tmp_path, SHUFFLED, "roc_auc")
    np.testing.assert_allclose(found, 0.75 * ours + 0.25 * other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SHUFFLED.replace("t3", "t4"), "1 missing \['t3'\], 1 unknown \['t4'\]"),
        (SHUFFLED + "t1,0,1,0\n", "1 repeated"),
        (SHUFFLED.replace("c,a,b", "c,a,x"), "no column \['b'\]"),
        (SHUFFLED.replace("0.5,0.5", "0.5,"), "1 cells of 'b' hold no number"),
        (SHUFFLED.replace("0.5,0.5", "inf,0.5"), "1 cells of 'a' hold no number"),
        ("", "not readable"),
    ],
)
def test_a_file_of_other_rows_or_cells_is_refused(tmp_path, text, message) -> None:
    with pytest.raises(UserError, match=message):
        mixed(tmp_path, text)


@pytest.mark.parametrize("weights", [{"a.csv": 1.0}, {"a.csv": 0.5, "b.csv": 0.5}, {"a.csv": -1}])
def test_ours_has_the_rest(weights) -> None:
    with pytest.raises(ValueError, match="ours has the rest"):
        Submission(mix=weights)


@pytest.mark.slow
def test_the_mixed_file_is_written_beside_the_submission_and_named(tmp_path) -> None:
    write_competition(tmp_path)
    run(tmp_path)
    first = submission(tmp_path)
    before = pd.read_csv(first)
    before.to_csv(tmp_path / "teammate.csv", index=False)
    run(tmp_path, submission={"mix": {"teammate.csv": 0.3}})
    second = submission(tmp_path)
    summary = json.loads(second.with_suffix(".json").read_text())
    assert (
        summary["estimate"]["score"]
        == json.loads(first.with_suffix(".json").read_text())["estimate"]["score"]
    )
    (warning,) = [text for text in summary["form"]["warnings"] if "teammate.csv" in text]
    assert "30% teammate.csv: the estimate is of" in warning
    pd.testing.assert_frame_equal(pd.read_csv(second), before)
    pd.testing.assert_frame_equal(pd.read_csv(second.with_suffix(".mixed.csv")), before, atol=1e-6)
    with pytest.raises(UserError, match="no such file"):
        run(tmp_path, submission={"mix": {"nowhere.csv": 0.3}})
