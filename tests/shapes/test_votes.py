"""Votes and shares of classes as targets."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_project import CLASSES, load, run, submission, write_competition

from pipeline.config.schema import Data, Task
from pipeline.core.read_competition import read_competition
from pipeline.core.task import Task as Kind
from pipeline.errors import UserError
from pipeline.metrics.find_metric import get_metric

VOTES = ["blue_vote", "green_vote", "red_vote"]
TASK = {"kind": "multiclass", "target": VOTES, "votes": True, "metric": "kl_divergence"}


def with_votes(root):
    """Replace labels by votes, of which the label's class has most; the sample asks for shares."""
    folder = write_competition(root)
    table = pd.read_csv(folder / "train.csv", dtype=str)
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 3, (len(table), 3))
    votes[np.arange(len(table)), [CLASSES.index(label) for label in table["label"]]] += 6
    table = table.drop(columns="label").assign(**dict(zip(VOTES, votes.T, strict=True)))
    table.to_csv(folder / "train.csv", index=False)
    ids = pd.read_csv(folder / "test.csv", dtype=str)["id"]
    sample = pd.DataFrame({"id": ids, **dict.fromkeys(VOTES[::-1], 1 / 3)})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder, votes


def test_the_divergence_of_a_hand_worked_row():
    metric = get_metric("kl_divergence", "multiclass")
    shares, probs = np.array([[0.5, 0.5, 0.0]]), np.array([[0.25, 0.5, 0.25]])
    assert metric.score(shares, probs, Kind("multiclass")) == pytest.approx(0.5 * np.log(2))
    assert metric.score(shares, shares, Kind("multiclass")) == pytest.approx(0, abs=1e-12)
    assert not metric.greater_is_better
    classes = np.eye(3)[[0, 2]]
    log_loss = get_metric("log_loss", "multiclass")
    probs = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    assert metric.score(classes, probs, Kind("multiclass")) == pytest.approx(
        log_loss.score(classes, probs, Kind("multiclass"))
    )


def test_votes_become_shares(tmp_path):
    folder, votes = with_votes(tmp_path)
    competition = read_competition(folder, Task(**TASK), Data())
    assert competition.classes == tuple(VOTES)
    np.testing.assert_allclose(competition.targets, votes / votes.sum(axis=1, keepdims=True))


@pytest.mark.slow
def test_shares_go_through_the_whole_chain(tmp_path):
    _, votes = with_votes(tmp_path)
    members = {
        "linear": {"learner": "logistic", "blocks": {"small": 1.0}},
        "trees": {"learner": "lightgbm", "blocks": {"small": 1.0}},
        "near": {"learner": "knn", "blocks": {"small": 1.0}},
        "net": {"network": "small", "epochs": 1, "batch_size": 8, "augment": "light"},
    }
    run(tmp_path, "report", task=TASK, members=members)
    shares = votes / votes.sum(axis=1, keepdims=True)
    for name in members:
        oof = load(tmp_path, name, "oof")
        probs = np.clip(oof.values, 1e-15, 1)
        logs = np.log(np.where(shares > 0, shares, 1)) - np.log(probs)
        meta = json.loads((tmp_path / "models/tiny" / name / "meta.json").read_text())
        assert meta["oof_score"] == pytest.approx((shares * logs).sum(axis=1).mean())
    linear = load(tmp_path, "linear", "oof").values
    # Shares are learnt, not the class of most votes: that is as sure as the label.
    assert np.abs(linear.max(axis=1) - shares.max(axis=1)).mean() < 0.15
    written = pd.read_csv(submission(tmp_path), dtype={"id": str}).set_index("id")
    assert written.columns.tolist() == VOTES[::-1]
    np.testing.assert_allclose(written.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "task", "said"),
    [
        (["0", "0", "0"], TASK, r"1 rows of \[.*\] have no votes, or some below 0.*\['000\.png'\]"),
        (["-1", "2", "1"], TASK, r"1 rows of .*have no votes, or some below 0"),
        (["?", "2", "1"], TASK, r"1 cells of 'blue_vote' are no numbers"),
        (["1", "2", "1"], TASK | {"votes": False}, r"`task\.votes: true`"),
    ],
)
def test_what_are_no_votes_is_refused(tmp_path, cells, task, said):
    folder, _ = with_votes(tmp_path)
    table = pd.read_csv(folder / "train.csv", dtype=str)
    table.loc[0, VOTES] = cells
    table.to_csv(folder / "train.csv", index=False)
    with pytest.raises(UserError, match=said):
        read_competition(folder, Task(**task), Data())


def test_votes_need_a_column_for_each_class():
    with pytest.raises(ValueError, match="`votes` is for a multiclass task with a column for each"):
        Task(kind="multiclass", target="label", votes=True)
    with pytest.raises(ValueError, match="`votes` is for a multiclass task"):
        Task(kind="multilabel", target=["a", "b"], votes=True)
