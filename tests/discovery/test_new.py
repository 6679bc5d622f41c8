"""make new: what it finds in each layout, and that `make folds` takes what it writes."""

from pathlib import Path

import pytest
from competition_layouts import LAYOUTS, NEED_DATA_LAYER

from pipeline.config.competition import Data
from pipeline.discovery.discover import Asked, discover
from pipeline.stages.new import write_config
from pipeline.workflow import make

NOT_THERE = "class_folders" not in Data.model_fields


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_recognised_and_folds_take_the_config(name: str, root: Path, capsys) -> None:
    folder = root / "input" / name
    folder.mkdir(parents=True)
    expected = LAYOUTS[name](folder)
    found = discover(root, name, Asked())
    known = {key: guess.value for key, guess in found.decisions.items() if key in expected}
    assert known == expected
    write_config(root, name, Asked())
    if name in NEED_DATA_LAYER and NOT_THERE:
        pytest.skip("the layers below do not read this layout yet")
    assert "would refuse" not in capsys.readouterr().out
    make.run("folds", name, [])
    assert (root / "features" / name / "folds.csv").exists()
