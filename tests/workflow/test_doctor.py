"""make doctor: what is wrong is said, and what each stage will take is predicted."""

import os
import shutil
from pathlib import Path

import pytest
from tiny_project import run, write_competition

from pipeline.stages import doctor
from pipeline.workflow import make


def examined(root: Path, capsys: pytest.CaptureFixture, *overrides: str) -> tuple[bool, str]:
    before = Path.cwd()
    os.chdir(root)
    try:
        ready = make.doctor("tiny.yaml", list(overrides))
    finally:
        os.chdir(before)
    return ready, " ".join(capsys.readouterr().out.split())


@pytest.fixture
def root(tmp_path: Path, capsys: pytest.CaptureFixture) -> Path:
    write_competition(tmp_path)
    run(tmp_path, "folds")
    capsys.readouterr()
    return tmp_path


def test_a_project_that_is_ready_gets_times_and_disk(root, capsys) -> None:
    ready, said = examined(root, capsys)
    assert ready
    for name in ("python", "libraries", "threads", "memory", "disk", "weights", "cached", "images"):
        assert f"ok {name}" in said or f"look {name}" in said
    assert "wrong" not in said
    assert " total " in said
    assert not (root / "models").exists()  # it only looks


def test_a_wrong_config_is_said_and_not_run(root, capsys) -> None:
    ready, said = examined(root, capsys, "task.kind=classification")
    assert not ready
    assert "wrong config" in said
    assert "did you mean `multiclass`?" in said


def test_images_that_cannot_be_read_are_named(root, capsys) -> None:
    for file in (root / "input" / "tiny" / "train").iterdir():
        file.write_bytes(b"no image")
    ready, said = examined(root, capsys)
    assert not ready
    assert "wrong images" in said


def test_missing_files_are_said(root, capsys) -> None:
    shutil.rmtree(root / "input" / "tiny" / "test")
    ready, said = examined(root, capsys)
    assert not ready
    assert "images are not there" in said


def test_what_is_cached_is_measured(root) -> None:
    (root / "features" / "tiny" / "attic").mkdir()
    (root / "features" / "tiny" / "attic" / "old.npy").write_bytes(bytes(2**21))
    (line,) = [
        check.text
        for check in doctor._cached(doctor.Workspace(root, "tiny"))
        if check.text.startswith("features")
    ]
    assert "0.00 GiB of it in attic/" in line


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    found = [check for check in doctor._disk(tmp_path) if check.status == "problem"]
    assert len(found) == 3
