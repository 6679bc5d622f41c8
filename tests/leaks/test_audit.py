"""Audit: findings of the folds stage, shift on blocks, the permutation test, what is written."""

import json
import logging
import shutil

import numpy as np
import pytest
from PIL import Image
from planted import (
    NUM_TRAIN,
    by_border,
    by_camera,
    by_number,
    by_person,
    with_twins,
    write_competition,
)

from pipeline.config.schema import Config
from pipeline.core.finding import PERMUTATION_TEST, Finding
from pipeline.leaks.permutation_test import permutation_test
from pipeline.members import trial
from pipeline.members.fold_data import fold_data
from pipeline.members.member import FoldData
from pipeline.project import open_project
from pipeline.stages import audit
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.plan import Plan

SETTINGS = {
    "competition": "planted",
    "task": {"kind": "multiclass", "target": "label", "metric": "accuracy"},
    "backbones": {"small": {"arch": "test_efficientnet", "weights": "random", "image_size": 32}},
    "members": {"linear": {"learner": "logistic", "blocks": {"small": 1.0}}},
}


def with_folds(root, **changes):
    """The project after `make folds`."""
    project = open_project(Config(**SETTINGS | changes), root)
    LocalExecutor().execute([Plan(project).folds()])
    return project


def current(project) -> list[str]:
    return project.current_blocks(Plan(project).block_fingerprints(project.config.backbones))


def write_block(project, block: np.ndarray) -> None:
    """A finished block, as the features stage leaves it."""
    job = Plan(project).block("small")
    job.folder.mkdir(parents=True)
    np.save(job.folder / "features.npy", block.astype(np.float32))
    (job.folder / "meta.json").write_text(json.dumps({"fingerprint": job.fingerprint}))
    assert job.is_done()


def listing(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A project with nothing wrong, after `make folds`."""
    root = tmp_path_factory.mktemp("clean")
    write_competition(root)
    return with_folds(root)


def test_folds_write_findings_and_nothing_under_input(tmp_path, caplog):
    def plant(table, images):
        table.loc[: NUM_TRAIN - 1, "label"] = np.sort(table["label"][:NUM_TRAIN])

    folder = write_competition(tmp_path, plant=plant)
    before = listing(folder)
    with caplog.at_level(logging.WARNING):
        project = with_folds(tmp_path)
    assert listing(folder) == before
    found = json.loads((project.workspace.features / "audit.json").read_text())
    grades = {finding["name"]: finding["grade"] for finding in found["findings"]}
    assert [name for name, grade in grades.items() if grade != "quiet"] == ["row order"]
    assert any(note.startswith("suspicious: row order: predicts") for note in found["notes"])
    assert "suspicious: row order" in caplog.text


@pytest.mark.parametrize(
    ("leak", "suspicious", "notes"),
    [
        ({"plant": by_number}, ["file name", "file number"], []),
        ({"plant": by_border}, ["border pixels"], ["file size"]),  # it is encoded, too
        ({"exif": by_camera}, ["EXIF camera"], []),
        (
            {"plant": with_twins},
            ["near-duplicates of training images in test"],
            ["near-duplicates with different targets"],
        ),
        ({"scene_of": by_person}, ["scenes across folds", "test against train on thumbnails"], []),
    ],
)
def test_each_planted_leak_is_named_by_make_folds_and_nothing_else_is(
    tmp_path, leak, suspicious, notes
):
    write_competition(tmp_path, **leak)
    project = with_folds(tmp_path)
    found = json.loads(project.workspace.audit_json.read_text())["findings"]
    graded = {
        grade: sorted(finding["name"] for finding in found if finding["grade"] == grade)
        for grade in ("suspicious", "note")
    }
    assert graded == {"suspicious": suspicious, "note": notes}
    loud = [finding for finding in found if finding["grade"] != "quiet"]
    assert all(finding["advice"] and finding["examples"] for finding in loud)


def test_measurements_of_one_thing_contradict_where_they_are_far_apart(tmp_path):
    def plant(table, images):
        for row in (10, 20):
            images[row] = images[row + 1]
        table.loc[[10, 11], "value"] = [0.0, 0.1]  # of a standard deviation near 1
        table.loc[[20, 21], "value"] = [0.0, 2.0]

    write_competition(tmp_path, plant=plant)
    ridge = {"ridge": {"learner": "ridge", "blocks": {"small": 1.0}}}
    task = {"kind": "regression", "target": "value"}
    project = with_folds(tmp_path, task=task, members=ridge)
    found = json.loads((project.workspace.features / "audit.json").read_text())
    assert len(found["duplicates"]) == 2
    assert len(found["contradicting"]) == 1


def test_twins_across_the_split_are_named(tmp_path):
    folder = write_competition(tmp_path)
    train, test = (sorted((folder / part).iterdir()) for part in ("train", "test"))
    shutil.copy(train[0], test[0])
    Image.open(train[1]).resize((50, 43)).save(test[1], quality=80)
    project = with_folds(tmp_path)
    found = json.loads((project.workspace.features / "audit.json").read_text())["findings"][0]
    assert (found["name"], found["grade"]) == (
        "near-duplicates of training images in test",
        "suspicious",
    )
    assert found["seen"] == "2 of 60 test images have a near-duplicate in train"
    pairs = [f"train/{train[row].name} = test/{test[row].name}" for row in range(2)]
    assert sorted(found["examples"]) == sorted(pairs)


def test_a_clean_project_has_quiet_findings_only(clean, capsys):
    before = listing(clean.workspace.input)
    findings = audit.audit_competition(
        clean, Plan(clean).block_fingerprints(clean.config.backbones)
    )
    assert {finding.grade for finding in findings} == {"quiet"}
    assert findings[-1].name == PERMUTATION_TEST
    assert findings[-1].seen.startswith("ridge on thumbnails")
    written = json.loads((clean.workspace.submissions / "audit" / "findings.json").read_text())
    assert [finding["name"] for finding in written] == [finding.name for finding in findings]
    assert PERMUTATION_TEST in capsys.readouterr().out
    assert listing(clean.workspace.input) == before


@pytest.mark.parametrize(
    "task",
    [
        {"kind": "multiclass", "target": "label", "metric": "accuracy"},
        {"kind": "multiclass", "target": "label", "metric": "log_loss"},
        {"kind": "regression", "target": "value", "metric": "rmse"},
    ],
)
def test_it_is_suspicious_where_a_model_sees_what_it_is_scored_on(
    clean, tmp_path, monkeypatch, task
):
    def leaky(project, member, fold):
        rows, targets = np.arange(project.num_train), project.competition.targets
        held_out = fold_data(project, member, fold).held_out
        return FoldData(fold, rows, targets, np.ones(len(rows)), held_out)

    write_competition(tmp_path)
    shutil.copytree(clean.workspace.features, tmp_path / "features" / "planted")
    members = {"linear": {"learner": "ridge", "blocks": {"small": 1.0}}}
    project = open_project(Config(**SETTINGS | {"task": task, "members": members}), tmp_path)
    assert permutation_test(project, current(project)).grade == "quiet"
    monkeypatch.setattr(trial, "fold_data", leaky)
    assert permutation_test(project, current(project)).grade == "suspicious"


def test_blocks_that_are_there_are_used(tmp_path, clean):
    write_competition(tmp_path)
    shutil.copytree(clean.workspace.features, tmp_path / "features" / "planted")
    project = open_project(Config(**SETTINGS), tmp_path)
    assert audit.find_shift_on_block(project, current(project)) == []
    block = np.random.default_rng(0).normal(size=(len(project.index.paths), 2, 6))
    block[NUM_TRAIN:] += 1
    write_block(project, block)
    (finding,) = audit.find_shift_on_block(project, current(project))
    assert (finding.name, finding.grade) == ("test against train on small", "suspicious")
    assert set(finding.examples) <= set(project.test_index.paths)
    assert permutation_test(project, current(project)).seen.startswith("logistic on small")
    (project.workspace.block("small") / "meta.json").write_text(json.dumps({"fingerprint": "old"}))
    assert audit.find_shift_on_block(project, current(project)) == []  # law 7: of another recipe


def test_a_learner_that_stacks_others_is_tested_on_its_features_alone(tmp_path, clean):
    write_competition(tmp_path)
    shutil.copytree(clean.workspace.features, tmp_path / "features" / "planted")
    members = {
        "mlp": {"learner": "mlp", "blocks": {"small": 1.0}},
        "trees": {"learner": "extra_trees", "blocks": {"small": 1.0}, "stacks": ["mlp"]},
    }
    project = open_project(Config(**SETTINGS | {"members": members}), tmp_path)
    write_block(project, np.random.default_rng(0).normal(size=(len(project.index.paths), 2, 6)))
    assert permutation_test(project, current(project)).seen.startswith("extra_trees on small")


def test_findings_are_printed_worst_first_with_what_to_do(capsys):
    findings = [
        Finding("b", "note", "seen b", "do b", examples=["[x].jpg"]),
        Finding("a", "suspicious", "seen a", "do a"),
        Finding("c", "quiet", "seen c", "do c"),
    ]
    audit.print_findings(findings, title="t")
    printed = capsys.readouterr().out
    places = [printed.index(text) for text in ("seen a", "seen b", "seen c", "do a", "do b")]
    assert places == sorted(places)
    assert "[x].jpg" in printed
    assert "do c" not in printed
