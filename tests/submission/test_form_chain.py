"""The file's form through the chain: the score is of its decisions, and what it lacks is said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import write_image

from pipeline.core import predictions
from pipeline.core.task import Task
from pipeline.ensembles.choice import choose_by_fold
from pipeline.ensembles.cross_fit import CrossFitted
from pipeline.metrics.find_metric import get_metric
from pipeline.report.summary import print_summary
from pipeline.workflow import make

LABELS = ("blue", "green", "red")
PATTERN = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0]]
TARGETS = np.array(PATTERN * 3)
FOLDS = np.arange(len(TARGETS)) % 2
IS_LOW = np.arange(len(TARGETS)) % 3 == 0  # rows whose labels are all below the threshold
OOF = np.where(TARGETS == 1, 0.9, 0.2) * np.where(IS_LOW, 0.5, 1)[:, None]
TEST = np.array([[0.9, 0.6, 0.1], [0.3, 0.4, 0.2], [0.1, 0.2, 0.3]])


@pytest.fixture
def blended(tmp_path, monkeypatch, capsys):
    """Run the chain on one member made elsewhere; the summary, the CSV, what the terminal shows."""

    def blend(cells, sample, *, oof, test, task, **submission) -> tuple[dict, pd.DataFrame, str]:
        folder = tmp_path / "input" / "tiny"
        ids = [f"a{row}.png" for row in range(len(cells))]
        test_ids = [f"b{row}.png" for row in range(len(test))]
        for row, name in enumerate([*ids, *test_ids]):
            split = "train" if row < len(ids) else "test"
            write_image(folder / split / name, colour=(9 * row, 40, 99), row=row)
        tables = {
            "train": {"id": ids, "label": cells, "given": FOLDS},
            "test": {"id": test_ids},
            "sample_submission": {"id": test_ids, "label": sample},
        }
        for name, table in tables.items():
            pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        columns = dict(zip(LABELS, oof.T, strict=True))
        pd.DataFrame({"id": ids, "fold": FOLDS, **columns}).to_csv(elsewhere / "oof.csv")
        columns = dict(zip(LABELS, test.T, strict=True))
        pd.DataFrame({"id": test_ids, **columns}).to_csv(elsewhere / "test.csv")
        config = {
            "competition": "tiny",
            "task": {"target": "label", **task},
            "folds": {"scheme": "column", "column": "given"},
            "members": {"ours": {"external": "elsewhere"}},
            "blends": ["soft_vote"],
            "calibrate": "none",
            "submission": {"decisions": "fixed", **submission},
        }
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
        monkeypatch.chdir(tmp_path)
        make.run("report", "tiny.yaml", [])
        submissions = tmp_path / "submissions" / "tiny"
        name = json.loads((submissions / "meta.json").read_text())["summary"]
        capsys.readouterr()
        print_summary(submissions, tmp_path)
        shown = " ".join(capsys.readouterr().out.split())
        csv = pd.read_csv((submissions / name).with_suffix(".csv"), keep_default_na=False)
        return json.loads((submissions / name).read_text()), csv, shown

    return blend


def decided(summary: dict, root: Path, part: str) -> np.ndarray:
    path = (root / summary["submission"]).with_suffix(f".decided{part}.npz")
    return predictions.load(path).values


MULTILABEL = {"kind": "multilabel", "metric": "f1_macro"}


@pytest.mark.slow
@pytest.mark.parametrize(("empty", "cell"), [("auto", "green"), ("red", "red")])
def test_the_estimate_is_of_the_labels_that_the_file_gives(blended, tmp_path, empty, cell):
    cells = [" ".join(np.array(LABELS)[row == 1]) for row in TARGETS]
    summary, csv, shown = blended(
        cells, ["red"] * 3, oof=OOF, test=TEST, task=MULTILABEL, empty=empty
    )
    assert csv["label"].tolist() == ["blue green", cell, "red"]
    yes = OOF >= 0.5
    assert not yes[IS_LOW].any()
    yes[IS_LOW, OOF[IS_LOW].argmax(axis=1) if empty == "auto" else 2] = True
    metric = get_metric("f1_macro", "multilabel")
    wanted = metric.score(TARGETS, yes + 0.0, Task("multilabel"))
    assert wanted != metric.score(TARGETS, OOF, Task("multilabel"))
    assert summary["estimate"]["score"] == pytest.approx(wanted)
    np.testing.assert_array_equal(decided(summary, tmp_path, "") >= 0.5, yes)
    assert ((decided(summary, tmp_path, ".test") >= 0.5).sum(axis=1) > 0).all()
    assert summary["form"]["score_as_written"] is None
    assert "a row with no label over the threshold gets its likeliest one" in shown or cell == "red"


@pytest.mark.slow
def test_blank_cells_are_scored_as_blank(blended):
    cells = [" ".join(np.array(LABELS)[row == 1]) for row in TARGETS]
    summary, csv, _ = blended(
        cells, ["red"] * 3, oof=OOF, test=TEST, task=MULTILABEL, empty="blank"
    )
    assert csv["label"].tolist() == ["blue green", "", ""]
    wanted = get_metric("f1_macro", "multilabel").score(TARGETS, OOF, Task("multilabel"))
    assert summary["estimate"]["score"] == pytest.approx(wanted)
    assert summary["form"]["score_as_written"] is None


@pytest.mark.slow
def test_labels_for_a_metric_of_probabilities_say_what_they_score(blended, tmp_path):
    labels = TARGETS.argmax(axis=1)
    oof = np.where(np.eye(3)[labels] == 1, 0.5, 0.25)
    oof[0] = [0.3, 0.4, 0.3]  # blue, taken for green
    cells = np.array(LABELS)[labels]
    task = {"kind": "multiclass", "metric": "roc_auc"}
    summary, csv, shown = blended(cells, ["red"] * 3, oof=oof, test=np.eye(3), task=task)
    assert csv["label"].tolist() == list(LABELS)
    found, metric = summary["form"], get_metric("roc_auc", "multiclass")
    hard = metric.score(np.eye(3)[labels], np.eye(3)[oof.argmax(axis=1)], Task("multiclass"))
    assert found["score_as_written"] == pytest.approx(hard)
    assert hard < summary["estimate"]["score"] - 0.01
    assert "the file holds less than the estimate" in shown
    assert f"predictions score {hard:.4f}, not {summary['estimate']['score']:.4f}" in shown
    assert f"predictions score {hard:.4f}" in (
        tmp_path / "submissions" / "tiny" / "report.html"
    ).read_text(encoding="utf-8")


def test_the_mean_of_chosen_blends_gives_labels_after_it_is_taken():
    values = np.array([[[0.45, 0.1], [0.1, 0.45]], [[0.1, 0.45], [0.45, 0.1]]])  # two blends

    def fill(rows: np.ndarray) -> np.ndarray:
        return np.where(rows == rows.max(axis=1, keepdims=True), 1.0, rows)

    blends = {
        name: CrossFitted(oof, np.stack([oof, oof]), None, fill=fill)
        for name, oof in zip("ab", values, strict=True)
    }
    targets, folds = np.eye(2), np.array([0, 1])
    metric = get_metric("f1_macro", "multilabel")
    chosen, by_fold = choose_by_fold(*(blends, targets, folds), metric, Task("multilabel"))
    assert by_fold == [["a", "b"], ["a", "b"]]
    np.testing.assert_allclose(chosen.oof, 0.275)
    np.testing.assert_allclose(chosen.scored_oof, 1)
    np.testing.assert_allclose(chosen.submitted, 1)
