"""docs/shapes.md: each YAML is a part of a config, and each shape names a test that is there."""

import re
from pathlib import Path

import pytest
import yaml

from pipeline.config.load import load_config

PAGE = Path(__file__).parents[2] / "docs" / "shapes.md"
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and "tests/" in line
]
BASE = {
    "extends": "quick",
    "competition": "shapes",
    "task": {"kind": "multiclass", "target": "label"},
}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_yaml_is_a_part_of_a_config(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = row[2].strip("`")
    own = yaml.safe_load(text) if text else {}
    own["task"] = BASE["task"] | own.get("task", {})
    (tmp_path / "shapes.yaml").write_text(yaml.safe_dump(BASE | own))
    assert load_config("shapes.yaml").competition == "shapes"


def test_a_shape_has_four_cells():
    assert len(ROWS) > 30
    assert {len(row) for row in ROWS} == {4}
