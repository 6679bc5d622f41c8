"""Labels of a held-out fold: whatever they are, its models are the same to the byte (law 3).

What a fold's own labels had a say in (an epoch, a penalty, a threshold) would score too well on
them. Rows that decide are rows to learn from, kept aside.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_project import CONFIG, NETWORK, SEARCHED, run, write_competition

from pipeline.config.load import load_config
from pipeline.core.folds import ALL_ROWS
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.members.fold_data import fold_data
from pipeline.members.network import training_data
from pipeline.networks.training_data import set_aside
from pipeline.project import Project, open_project
from pipeline.workflow import make
from pipeline.workflow.plan import Plan

PATIENT = NETWORK | {"epochs": 4, "patience": 1, "lr": 0.03, "patience_share": 0.25}
PSEUDO = {"teacher": "logistic", "threshold": 0.2, "labels": "soft", "weight": 0.5}
WEIGHTS = ("weights.safetensors", "learner.json", "arrays.npz", "trees_*.txt")


def learner(name: str, **more) -> dict:
    return {"learner": name, "blocks": {"small": 1.0}, **more}


LEARNERS = {
    **{name: learner(name) for name in ("logistic", "svm", "ridge", "lightgbm", "extra_trees")},
    "knn": learner("knn", scale="whiten"),
    "mlp": learner("mlp", params={"epochs": 2}),
    "smote": learner("logistic", sampling="smote", concatenate="importance"),
    "balanced": learner("ridge", class_weights="balanced", pseudo=PSEUDO),
    "searched": SEARCHED,
    "searched_trees": learner("lightgbm", search={"params": {"num_leaves": [3, 7]}, "trials": 2}),
    "stacked": learner("extra_trees", stacks=["logistic"]),
}
NETWORKS = {
    "net": NETWORK | {"class_weights": "balanced", "sampling": "balanced"},
    "patient": PATIENT | {"cycles": 2},
    "patient_student": PATIENT | {"pseudo": PSEUDO},
    "patient_pupil": PATIENT | {"distill": {"teacher": "logistic"}, "swa_epochs": 2},
}


@pytest.fixture(scope="module")
def right_and_wrong(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Fold 0's models of all members, by the labels as they are and by others in fold 0."""
    roots = []
    for name in ("right", "wrong"):
        root = tmp_path_factory.mktemp(name)
        roots.append(root)
        folder = write_competition(root)
        if name == "wrong":
            table = pd.read_csv(folder / "train.csv")
            held_out = table["given_fold"] == 0
            table.loc[held_out, "label"] = np.roll(table.loc[held_out, "label"], 1)
            table.to_csv(folder / "train.csv", index=False)
        (root / "tiny.yaml").write_text(yaml.safe_dump(CONFIG | {"members": LEARNERS | NETWORKS}))
        before = Path.cwd()
        os.chdir(root)
        try:
            make.run("train", "tiny.yaml", [], folds="0")
        finally:
            os.chdir(before)
    return roots


def project_of(root: Path, *overrides: str) -> Project:
    return open_project(load_config(str(root / "tiny.yaml"), list(overrides)), root)


@pytest.mark.slow
@pytest.mark.parametrize("member", [*LEARNERS, *NETWORKS, "patient_2"])
def test_labels_of_the_held_out_fold_reach_no_byte_of_its_model(
    right_and_wrong: list[Path], member: str
) -> None:
    found = []
    for root in right_and_wrong:
        folder = root / "models" / "tiny" / member / "fold0"
        files = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
        found.append({path.name: path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert found[0]


@pytest.mark.slow
def test_rows_that_decide_are_neither_scored_nor_learnt_from(right_and_wrong: list[Path]) -> None:
    project, asides = project_of(right_and_wrong[0]), {}
    for member in (*NETWORKS, "patient_2"):
        rows = fold_data(project, member, 0)
        data = training_data(project, member, rows)
        parts = [data.rows, data.inner_rows, data.valid_rows]
        everything = np.concatenate([rows.rows, rows.held_out])
        assert np.array_equal(np.sort(np.concatenate(parts)), np.sort(everything))
        asides[member] = data.inner_rows.tolist()
        own = project.competition.targets[data.inner_rows]  # no pseudo-labelled row among them
        assert np.array_equal(data.inner_targets, own)
        if member == "patient_student":
            assert set(data.weights.tolist()) == {1.0, 0.5}
    assert asides.pop("net") == []
    assert len({tuple(aside) for aside in asides.values()}) == 1  # also where one starts anew
    assert len(asides["patient"]) == 5


@pytest.mark.slow
def test_a_model_of_all_rows_keeps_none_aside(right_and_wrong: list[Path]) -> None:
    project = project_of(right_and_wrong[0])
    rows = fold_data(project, "patient", ALL_ROWS)
    data = training_data(project, "patient", rows)
    assert data.rows.tolist() == list(range(30))
    assert not len(data.inner_rows)


@pytest.mark.slow
def test_weights_that_have_seen_the_rows_that_decide_are_named(
    right_and_wrong: list[Path], caplog
) -> None:
    late = yaml.safe_dump(PATIENT | {"start": {"member": "net"}}, default_flow_style=True)
    project = project_of(right_and_wrong[0], f"members.late={late}")
    for member in ("patient_2", "late"):
        training_data(project, member, fold_data(project, member, 0))
    assert "the weights that late starts from have seen" in caplog.text
    assert "patient_2 starts" not in caplog.text


@pytest.mark.slow
def test_groups_and_threshold_matter_to_early_stopping_alone(tmp_path: Path) -> None:
    write_competition(tmp_path)
    run(tmp_path, "folds", members={"net": NETWORK, "patient": PATIENT})

    def recipes(*overrides: str) -> dict[str, str]:
        plan = Plan(project_of(tmp_path, *overrides))
        return {name: plan.train(name, 0).fingerprint for name in ("net", "patient")}

    before, csv = recipes(), tmp_path / "features" / "tiny" / "folds.csv"
    share = recipes("members.net.patience_share=0.2", "members.patient.patience_share=0.2")
    threshold = recipes("submission.threshold=0.3")
    csv.write_text(csv.read_text().replace("001.png\n", "000.png\n"))
    for after in (share, threshold, recipes()):
        assert after["net"] == before["net"]
        assert after["patient"] != before["patient"]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=40),
    share=st.floats(0.02, 0.5),
    kind=st.sampled_from(["multiclass", "multilabel", "regression", "ordinal"]),
    seed=st.integers(0, 10**6),
)
def test_whole_groups_are_kept_aside_and_no_class_with_all_its_rows(sizes, share, kind, seed):
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes).astype(str)
    targets = np.eye(3)[rng.choice(3, p=[0.7, 0.2, 0.1], size=len(groups))]
    if kind == "multilabel":
        targets = np.maximum(targets, rng.integers(0, 2, targets.shape))
    elif kind == "regression":
        targets = rng.normal(size=(len(groups), 2))
    how = {"share": share, "task": Task(kind), "seed": seed}
    try:
        aside = set_aside(targets, groups, **how)
    except UserError:  # each group holds the only rows of a class
        assert len(sizes) < 10
        return
    assert aside.any()
    assert not set(groups[aside]) & set(groups[~aside])
    assert np.array_equal(aside, set_aside(targets, groups, **how))
    if kind != "regression":
        assert np.array_equal(targets.any(axis=0), targets[~aside].any(axis=0))


@pytest.mark.parametrize(
    ("num_rows", "share", "expected"),
    [(1000, 0.1, 100), (1000, 0.02, 20), (100, 0.1, 20), (60, 0.1, 15), (1000, 0.5, 500)],
)
def test_as_many_rows_are_kept_aside_as_are_asked_for_or_enough(num_rows, share, expected):
    targets, groups = np.eye(2)[np.arange(num_rows) % 2], np.arange(num_rows).astype(str)
    asides = [set_aside(targets, groups, share=share, task=Task("binary"), seed=s) for s in (0, 1)]
    assert [aside.sum() for aside in asides] == [expected] * 2
    assert abs(targets[asides[0]].sum(axis=0) - expected / 2).max() <= 0.5
    assert not np.array_equal(*asides)


def test_a_row_that_is_its_class_s_only_one_is_learnt_from():
    targets = np.eye(10)[[0] * 11 + list(range(1, 10))]
    groups = np.arange(20).astype(str)
    for seed in range(20):
        aside = set_aside(targets, groups, share=0.25, task=Task("multiclass"), seed=seed)
        assert aside[:11].sum() == aside.sum() > 0


def test_what_cannot_be_parted_is_refused():
    targets = np.eye(2)[[0, 1, 0, 1]]
    with pytest.raises(UserError, match="patience: all 4 training rows are of one group"):
        set_aside(targets, np.array(["a"] * 4), share=0.1, task=Task("binary"), seed=0)
    with pytest.raises(UserError, match="each group holds a class's only rows"):
        set_aside(np.eye(2), np.array(["a", "b"]), share=0.1, task=Task("binary"), seed=0)
