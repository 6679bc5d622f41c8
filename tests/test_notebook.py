"""docs/digits.ipynb: its cells run as they are written, here with a small network."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import yaml
from tiny_project import BACKBONE, NETWORK

NOTEBOOK = Path(__file__).parents[1] / "docs" / "digits.ipynb"
LEARNER = {"blocks": {"small": 1.0}}
SMALL = {
    "competition": "digits",
    "task": {"kind": "multiclass", "target": "label", "metric": "accuracy"},
    "data": {"subset": 0.15},
    "folds": {"n": 2},
    "backbones": {"small": BACKBONE},
    "members": {
        "linear": LEARNER | {"learner": "logistic"},
        "trees": LEARNER | {"learner": "extra_trees"},
        "net": NETWORK,
    },
    "tta": {"views": ["original"]},
    "runtime": {"device": "cpu", "workers": 0},
}


@pytest.mark.slow
def test_the_notebook_runs_cell_by_cell(tmp_path, monkeypatch):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (tmp_path / "input").mkdir()
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", plt.close)
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    summary, predictions = names["summary"], names["predictions"]
    assert (tmp_path / summary.submission).exists()
    assert predictions.shape == (5, 10)
    assert {entry.name for entry in summary.contestants} >= {"linear", "trees", "net"}


def test_the_notebook_was_executed_and_names_no_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert "/home/" not in text
    assert "site-packages" not in text
