"""What differs between two submissions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_project import CONFIG, run, write_competition

from pipeline.config.schema import Config
from pipeline.core.predictions import Predictions
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.report.changed_rows import changed_rows
from pipeline.stages.diff import show_diff

RIDGE = {"learner": "ridge", "blocks": {"small": 1.0}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two submissions: another strength of one member, another member, a row less of test."""
    root = tmp_path_factory.mktemp("diff")
    folder = write_competition(root)
    run(root, members=CONFIG["members"] | {"ridge": RIDGE})
    linear = CONFIG["members"]["linear"] | {"strength": 0.01}
    members = {"linear": linear, "knn": RIDGE | {"learner": "knn"}, "plain": RIDGE}
    for name in ("test", "sample_submission"):
        pd.read_csv(folder / f"{name}.csv")[:-1].to_csv(folder / f"{name}.csv", index=False)
    run(root, members=members)
    return root


def shown(root: Path, capsys: pytest.CaptureFixture, a: str = "", b: str = "") -> list[str]:
    show_diff(Workspace(root, "tiny"), a, b)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_what_differs_is_said_of_settings_data_members_scores_and_rows(finished, capsys):
    lines = shown(finished, capsys)
    assert any(line.startswith("members.linear.strength ") for line in lines)
    assert {"members.ridge removed", "members.knn added", "members.plain added"} <= set(lines)
    assert "the same 30 training rows" in lines
    assert "9 -> 8 test rows, 0 new, 1 gone" in lines
    assert "content differs: test rows, test images" in lines
    assert any(line.startswith("linear retrained: ") for line in lines)
    assert {"knn added", "plain added", "ridge removed"} <= set(lines)
    assert any(line.startswith("B is better with a probability of ") for line in lines)
    assert any(" of 8 rows change their class; probabilities move by " in line for line in lines)
    assert any(line.startswith("the same (digest ") for line in lines)  # the code
    reverse = shown(finished, capsys, "last", lines[0].split()[1])
    assert {"members.ridge added", "8 -> 9 test rows, 1 new, 0 gone"} <= set(reverse)


def test_the_comparison_is_on_the_same_rows_and_of_the_second_one(finished, capsys):
    """Where B's out-of-fold predictions are A's, scores are the same."""
    lines = shown(finished, capsys)
    names = [line.split()[1] for line in lines[:2]]
    folder = finished / "submissions" / "tiny"
    before = (folder / f"{names[1]}.npz").read_bytes()
    (folder / f"{names[1]}.npz").write_bytes((folder / f"{names[0]}.npz").read_bytes())
    try:
        assert "B scores the same as A on all resampled rows" in shown(finished, capsys)
        (folder / f"{names[1]}.npz").unlink()
        said = f"not compared on the same rows: {names[1]}: {names[1]}.npz is not there, or not"
        assert any(line.startswith(said) for line in shown(finished, capsys))
    finally:
        (folder / f"{names[1]}.npz").write_bytes(before)


def test_the_same_submission_twice_is_refused(finished):
    with pytest.raises(UserError, match="A= and B= are both "):
        show_diff(Workspace(finished, "tiny"), "last", "last")
    with pytest.raises(UserError, match="A=nothing: is no part of a submission's name"):
        show_diff(Workspace(finished, "tiny"), "nothing", "last")


def predicted(kind: str, ids: list[str], values: list, **meta: str) -> tuple[Predictions, Config]:
    classes = tuple("xyz"[: len(values[0])])
    config = Config.model_validate({"competition": "c", "task": {"kind": kind, "target": "t"}})
    return Predictions(np.array(ids), np.array(values), classes, meta=meta), config


def test_moves_of_classes_are_worked_out_by_hand():
    """Rows are joined by id: a moves 0.2 without another class, b moves 0.5 to one; c is gone."""
    before, config = predicted("multiclass", ["a", "b", "c"], [[0.9, 0.1], [0.7, 0.3], [1, 0]])
    after, _ = predicted("multiclass", ["b", "a"], [[0.2, 0.8], [0.7, 0.3]])
    found = changed_rows(before, after, config)
    assert found.moves == pytest.approx([0.5, 0.2])
    assert found.decided_otherwise.tolist() == [True, False]
    assert found.sentence() == (
        "1 of 2 rows change their class; probabilities move by 0.35 on average, at most 0.5"
    )
    assert found.largest(1) == [["b", "x 0.70", "y 0.80", "0.5"]]


def test_moves_of_values_are_in_the_targets_own_unit():
    before, config = predicted("regression", ["a", "b"], [[0.0], [np.log(4)]], scale="log1p")
    after, _ = predicted("regression", ["a", "b"], [[0.0], [5.0]])
    found = changed_rows(before, after, config)
    assert found.moves == pytest.approx([0.0, 2.0])  # expm1(log 4) is 3
    assert found.largest(5) == [["b", "3", "5", "2"]]
    assert found.sentence() == "1 of 2 rows change; values move by 1 on average, at most 2"


def test_other_classes_are_not_compared():
    before, config = predicted("multiclass", ["a"], [[0.9, 0.1]])
    after, _ = predicted("multiclass", ["a"], [[0.9, 0.1, 0.0]])
    with pytest.raises(UserError, match="the classes differ"):
        changed_rows(before, after, config)
