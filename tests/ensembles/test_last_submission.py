"""Against the last submission: compared where it is of the same rows and folds, else refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.core.ledger import KEYS
from pipeline.core.predictions import Predictions
from pipeline.core.task import Task
from pipeline.ensembles.estimate import against_last
from pipeline.estimates.resampling import Resampling
from pipeline.metrics.find_metric import get_metric

IDS = np.array([f"{row:03d}.jpg" for row in range(400)])
TARGETS = np.eye(2)[np.zeros(400, dtype=int)]
FOLDS = np.arange(400) % 5
META = {"metric": "accuracy", "folds_digest": "these folds"}


def right(count):
    """Predictions that are right in the first `count` rows."""
    return np.eye(2)[(np.arange(400) >= count).astype(int)]


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "submissions" / "tiny"
    folder.mkdir(parents=True)
    return SimpleNamespace(
        config=SimpleNamespace(seed=0, submission=SimpleNamespace(test_split="random")),
        workspace=SimpleNamespace(
            root=tmp_path, submissions=folder, ledger=folder / "ledger.jsonl"
        ),
        competition=SimpleNamespace(ids=IDS, classes=("a", "b"), targets=TARGETS, scale="none"),
        metric=get_metric("accuracy", "binary"),
        folds=SimpleNamespace(digest="these folds", groups=IDS),
        task=Task("binary"),
    )


def submit(project, name, values, *, ids=IDS, classes=("a", "b"), **meta):
    """Predictions beside a CSV, and their line in the ledger."""
    folder = project.workspace.submissions
    Predictions(ids, values, classes, FOLDS, META | meta).save(folder / f"{name}.npz")
    line = dict.fromkeys(KEYS) | {
        "submission": f"submissions/tiny/{name}.csv",
        "score": 0.5,
        "fingerprint": name,
    }
    with open(folder / "ledger.jsonl", "a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(line) + "\n")


def compare(project, values, fingerprint="now"):
    return against_last(project, values, fingerprint)


def test_the_first_submission_has_none_before_it(project):
    assert compare(project, right(320)) is None
    submit(project, "now", right(320))  # written by a run that was killed thereafter
    assert compare(project, right(320)) is None


def test_the_last_of_another_recipe_is_compared_row_by_row(project):
    submit(project, "first", right(100))
    submit(project, "second", right(312)[::-1], ids=IDS[::-1])
    submit(project, "now", right(320))
    found = compare(project, right(320))
    assert found.submission == "submissions/tiny/second.csv"
    assert found.score == 0.5
    # Right on 8 rows of 400 more: 0.02 with a standard error of sqrt(0.02 * 0.98 / 400).
    assert found.probability > 0.99
    half = 1.645 * np.sqrt(0.02 * 0.98 / 400)
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half), abs=0.003)


def test_the_same_predictions_are_as_good(project):
    submit(project, "first", right(320))
    found = compare(project, right(320))
    assert (found.probability, found.low, found.high) == (0.5, 0, 0)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"folds_digest": "other folds"}, "its folds differ"),
        ({"metric": "log_loss", "folds_digest": "other"}, "its metric and folds differ"),
        ({"classes": ("b", "a")}, "its classes differ"),
        ({"ids": np.char.add("x", IDS), "folds_digest": "other"}, "its rows and folds differ"),
    ],
)
def test_what_means_something_else_is_refused(project, other, reason):
    submit(project, "first", right(320), **other)
    found = compare(project, right(320))
    assert reason in found.refused
    assert found.probability is None


def test_a_file_that_is_gone_is_no_error(project):
    submit(project, "first", right(320))
    (project.workspace.submissions / "first.npz").unlink()
    assert "first.npz is not there" in compare(project, right(320)).refused


@pytest.mark.parametrize("split", ["random", "stratified"])
def test_rows_are_drawn_as_the_test_set_was(project, split):
    project.config.submission.test_split = split
    resampling = Resampling.of(project)
    assert resampling.stratified == (split == "stratified")
    assert resampling.groups is IDS
