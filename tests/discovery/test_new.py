"""make new: what it finds in each layout, and that `make folds` takes what it writes."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from competition_layouts import LAYOUTS
from odd_layouts import ODD, QUESTIONS

from pipeline.__main__ import _new
from pipeline.discovery.discover import Asked, discover
from pipeline.errors import UserError
from pipeline.stages.new import write_config
from pipeline.workflow import make


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stamps(folder: Path) -> dict[str, int]:
    """Times of change of all that lies in a folder."""
    return {str(path): path.lstat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("name", [*LAYOUTS, *ODD])
def test_a_layout_is_recognised_and_folds_take_the_config(name: str, root: Path, capsys) -> None:
    folder = root / "input" / name
    folder.mkdir(parents=True)
    expected = (LAYOUTS | ODD)[name](folder)
    before = stamps(folder)
    found = discover(root, name, Asked())
    known = {key: guess.value for key, guess in found.decisions.items() if key in expected}
    assert known == expected
    write_config(root, name, Asked())
    assert "refuses" not in capsys.readouterr().out
    make.run("folds", name, [])
    assert (root / "features" / name / "folds.csv").exists()
    assert stamps(folder) == before


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_cannot_be_known_is_asked(name: str, root: Path) -> None:
    folder = root / "input" / name
    folder.mkdir(parents=True)
    said = QUESTIONS[name](folder)
    before = stamps(folder)
    text = write_config(root, name, Asked()).read_text(encoding="utf-8")
    flat = re.sub(r"\s*\n *# +", " ", text)  # wrapped comments in one line
    assert re.search(said, flat, re.DOTALL), flat
    assert stamps(folder) == before


NO_FOLDERS = {
    "empty": (lambda folder: folder.mkdir(), "The folder is empty"),
    "a link to nothing": (lambda folder: folder.symlink_to("/not/there"), "a link to /not/there"),
    "a file": (lambda folder: folder.write_text(""), "a file, not a folder"),
    "missing": (lambda _: None, r"no such folder.*ln -s /path/to/it"),
    "NIfTI": (
        lambda folder: (folder.mkdir(), (folder / "a.nii").touch()),
        "1 .nii files .*save slices as 16-bit PNG",
    ),
}


@pytest.mark.parametrize("kind", NO_FOLDERS)
def test_a_folder_without_images_is_refused_with_the_next_step(kind: str, root: Path) -> None:
    write, said = NO_FOLDERS[kind]
    os.mkdir(root / "input")
    write(root / "input" / "it")
    with pytest.raises(UserError, match=said):
        write_config(root, "it", Asked())
    assert not (root / "it.yaml").exists()


def test_a_completed_name_is_taken_and_names_are_quoted(root: Path, capsys) -> None:
    folder = root / "input" / "my comp"
    folder.mkdir(parents=True)
    LAYOUTS["default"](folder)
    _new("input/my comp/")  # as a shell completes it
    assert "next: make doctor CONFIG='my comp', then" in capsys.readouterr().out
    assert (root / "my comp.yaml").read_text().startswith("# make ensemble CONFIG='my comp'\n")
    write_config(root, "my comp", Asked(), "other")
    assert (root / "other.yaml").is_file()
    with pytest.raises(UserError, match=r"OUT=there/x\.yaml: no folder .*there"):
        write_config(root, "my comp", Asked(), "there/x.yaml")


def test_numbers_are_no_classes_whatever_the_metric(root: Path) -> None:
    folder = root / "input" / "it"
    folder.mkdir(parents=True)
    LAYOUTS["regression_with_metadata"](folder)
    found = discover(root, "it", Asked(metric="QuadraticWeightedKappa"))
    assert found.decisions["task.kind"].value == "regression"
    assert any("is no metric of a regression task" in note for note in found.notes)


def test_dates_are_no_groups(root: Path) -> None:
    folder = root / "input" / "it"
    folder.mkdir(parents=True)
    LAYOUTS["default"](folder)
    rows = pd.read_csv(folder / "train.csv")
    rows["taken"] = [f"2021-03-{1 + row % 12}" for row in range(len(rows))]
    rows.to_csv(folder / "train.csv", index=False)
    assert "data.group" not in discover(root, "it", Asked()).decisions


def test_images_that_other_libraries_read_are_looked_at(root: Path, capsys) -> None:
    folder = root / "input" / "it"
    folder.mkdir(parents=True)
    for name in "abcdefgh":
        np.save(folder / f"{name}.npy", np.full((20, 30, 4), ord(name), np.uint16))
    (folder / "scan.dcm").write_bytes(b"")
    found = discover(root, "it", Asked())
    assert "NPY 16-bit 4 channels, all 30 x 20 pixels" in str(found)
    wanted = "scan.dcm: " + ("cannot be decoded" if find_spec("pydicom") else "reading it needs")
    assert wanted in str(found)
