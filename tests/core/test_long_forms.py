"""Several rows of one image: labels in train.csv, classes in the sample."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_project import CLASSES, run, submission, write_competition

from pipeline.config.load import load_config
from pipeline.core.long_forms import find_long_sample, join_labels
from pipeline.errors import UserError
from pipeline.project import open_project
from pipeline.submission.check_file import check_file
from pipeline.submission.mixing import read_submission


def test_a_row_for_each_label_becomes_a_row_for_each_id() -> None:
    rows = pd.DataFrame(
        {"id": ["b", "a", "b", "c", "b"], "label": ["x", "y", "z", " ", "x"], "site": list("11212")}
    )
    joined, problems = join_labels(rows.drop(columns="site"), "id", "label", " ", Path("t.csv"))
    assert joined["id"].tolist() == ["b", "a", "c"]
    assert joined["label"].tolist() == ["x z", "y", ""]
    assert problems == []
    _, problems = join_labels(rows, "id", "label", " ", Path("t.csv"))
    assert "'site' differs within 1 of them, e.g. ['b']" in problems[0]


@pytest.mark.parametrize(
    "sample",
    [
        {"id": ["t2_x", "t1_y", "t1_x", "t2_y"], "p": list("0000")},
        {"id": ["t2:x", "t1:y", "t1:x", "t2:y"], "p": list("0000")},
        {"id": ["t2", "t1", "t1", "t2"], "class": list("xyxy"), "p": list("0000")},
    ],
)
def test_a_long_sample_is_filled_in_its_own_order(sample) -> None:
    sample = pd.DataFrame(sample)
    found = find_long_sample(sample, ["t1", "t2"], "id")
    wide = found.wide("id")
    assert wide.columns.tolist() == ["id", "x", "y"]
    assert wide["id"].tolist() == ["t2", "t1"]
    filled = found.fill(wide.assign(x=[0.1, 0.2], y=[0.3, 0.4]), "id")
    assert filled.columns.tolist() == sample.columns.tolist()
    assert filled["p"].tolist() == [0.1, 0.4, 0.2, 0.3]
    pd.testing.assert_frame_equal(filled.drop(columns="p"), sample.drop(columns="p"))


@pytest.mark.parametrize(
    "sample",
    [
        {"id": ["t1", "t2"], "p": list("00")},  # a row for each id
        {"id": ["t1_x", "t1_y", "t2_x"], "p": list("000")},  # not complete
        {"id": ["t1_x", "t1_x", "t2_x", "t2_x"], "p": list("0000")},  # one class, repeated
        {"id": ["t3_x", "t3_y", "t4_x", "t4_y"], "p": list("0000")},  # of other rows
        {
            "id": ["t1", "t1", "t2", "t2"],
            "a": list("xyxy"),
            "b": list("xyxy"),
        },  # which?
        {"name": ["t1_x", "t1_y", "t2_x", "t2_y"], "p": list("0000")},
    ],
)
def test_other_samples_are_not_long(sample) -> None:
    assert find_long_sample(pd.DataFrame(sample), ["t1", "t2"], "id") is None


@pytest.mark.slow
def test_a_long_sample_is_submitted_as_it_is_asked_for(tmp_path) -> None:
    folder = write_competition(tmp_path)
    run(tmp_path)
    wide = pd.read_csv(submission(tmp_path), dtype={"id": str}).set_index("id")
    rows = pd.read_csv(folder / "test.csv", dtype=str)["id"]
    pairs = [(row_id, name) for name in reversed(CLASSES) for row_id in rows]
    sample = pd.DataFrame({"id": [f"{i}_{name}" for i, name in pairs], "probability": 0.5})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    shutil.rmtree(tmp_path / "submissions")
    run(tmp_path)
    long = pd.read_csv(submission(tmp_path))
    assert long["id"].tolist() == sample["id"].tolist()
    expected = [wide.loc[row_id, name] for row_id, name in pairs]
    assert long["probability"].tolist() == pytest.approx(expected, rel=1e-6)
    project = open_project(load_config(str(tmp_path / "tiny.yaml")), tmp_path)
    assert check_file(submission(tmp_path), project.competition, project.metric) == len(pairs)
    ours = read_submission(submission(tmp_path), project.competition, project.form)
    np.testing.assert_allclose(ours, wide.loc[rows, sorted(CLASSES)], rtol=1e-6)
    long[1:].to_csv(tmp_path / "part.csv", index=False)
    with pytest.raises(UserError, match=f"1 missing .*{pairs[0][0]}_{pairs[0][1]}"):
        check_file(tmp_path / "part.csv", project.competition, project.metric)


@pytest.mark.slow
def test_rows_of_labels_go_to_a_submission(tmp_path) -> None:
    folder = write_competition(tmp_path)
    rows = pd.read_csv(folder / "train.csv", dtype=str)[["id", "label"]]
    twice = rows[::2].assign(label="extra")
    pd.concat([rows, twice]).to_csv(folder / "train.csv", index=False)
    (folder / "sample_submission.csv").unlink()
    task = {"kind": "multilabel", "target": "label", "metric": "f1_samples"}
    run(tmp_path, task=task, data={"rows": "label"}, folds={"n": 3})
    written = pd.read_csv(submission(tmp_path), dtype=str)
    assert set(" ".join(written["label"]).split()) <= {*CLASSES, "extra"}
