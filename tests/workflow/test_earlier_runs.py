"""Runs that look at earlier ones: RUN=last, what differs from the last, notes."""

import os
import re
from pathlib import Path

import pytest
from tiny_project import CONFIG, run, write_competition

from pipeline.config.load import load_config
from pipeline.core.find_submission import config_of
from pipeline.core.ledger import read_ledger
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.stages.restore import restore
from pipeline.workflow import make

SMALL = CONFIG["backbones"]["small"]
# In another order than of the alphabet, and with a teacher that sees the order of members.
MEMBERS = {
    "ridge": {"learner": "ridge", "blocks": {"small": 1.0, "again": 1.0}},
    "linear": {"learner": "logistic", "blocks": {"small": 1.0}},
    "pupil": {
        "learner": "logistic",
        "blocks": {"small": 1.0},
        "pseudo": {"teacher": "soft_vote", "threshold": 0.4},
    },
}
CHANGES = {"members": MEMBERS, "backbones": {"small": SMALL, "again": SMALL | {"cut": "pad"}}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("earlier")
    write_competition(root)
    run(root, "ensemble", ("backbones.small.image_size=40",), **CHANGES)
    return root


def again(root: Path, stage: str, *overrides: str, **more: str) -> None:
    """Run with the file as `run` wrote it."""
    before = Path.cwd()
    os.chdir(root)
    try:
        make.run(stage, "tiny.yaml", list(overrides), **more)
    finally:
        os.chdir(before)


def models(root: Path) -> dict[str, bytes]:
    """Content of all files of members, but for times of files."""
    files = [path for path in (root / "models").rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files if path.name != ".verified.json"}


def test_run_last_repeats_the_settings_of_the_last_run(copied, caplog):
    caplog.set_level("INFO")
    before = models(copied)
    again(copied, "ensemble", repeats="last")
    assert models(copied) == before
    assert "up to date, nothing to do" in caplog.text
    assert "settings differ" not in caplog.text
    assert len(read_ledger(copied / "submissions" / "tiny" / "ledger.jsonl")) == 1


def test_other_settings_than_the_last_runs_are_named_before_work(copied, caplog):
    caplog.set_level("INFO")
    again(copied, "features", "seed=7")
    first = caplog.messages[0]
    assert first.startswith("settings differ from the last submission's, ")
    assert first.endswith(
        "(RUN=last repeats them): backbones.small.image_size 40 -> 32; seed 42 -> 7"
    )


def test_a_run_with_settings_and_changes_of_them_is_refused(copied):
    with pytest.raises(UserError, match=re.escape("RUN=last repeats a submission's settings as")):
        again(copied, "ensemble", "seed=7", repeats="last")


def test_a_note_is_written_also_where_there_is_nothing_to_do(copied):
    again(copied, "ensemble", repeats="last", note="first try")
    (entry,) = read_ledger(copied / "submissions" / "tiny" / "ledger.jsonl")
    assert entry["note"] == "first try"


def test_restored_settings_are_those_of_the_submission_and_run_to_nothing_new(copied, caplog):
    caplog.set_level("INFO")
    before, models_before = Path.cwd(), models(copied)
    os.chdir(copied)
    try:
        workspace = Workspace(copied, "tiny")
        path = restore(workspace)
        (entry,) = read_ledger(workspace.ledger)
        assert path.name == f"restored_{Path(entry['submission']).stem}.yaml"
        assert load_config(str(path)) == config_of(entry, workspace)
        assert load_config(str(path)).backbones["small"].image_size == 40  # of SET=
        make.run("ensemble", str(path), [])
        written = path.read_bytes()
        with pytest.raises(UserError, match="is already there"):
            restore(workspace)
        assert path.read_bytes() == written
        assert restore(workspace, run="best", out="own.yaml") == Path("own.yaml")
        with pytest.raises(UserError, match=r"OUT=own: expected a name that ends in \.yaml"):
            restore(workspace, out="own")
    finally:
        os.chdir(before)
    assert "up to date, nothing to do" in caplog.text
    assert models(copied) == models_before
