"""Permutation importance of metadata columns, and what a network looked at, of a finished chain."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prices import CONFIG, run, write_prices

from pipeline.config.schema import Config
from pipeline.members.attention import can_show_attention, images_with_attention
from pipeline.members.metadata_importance import metadata_importance, metadata_learners
from pipeline.project import Project, open_project

DATA = {"numeric": ["area", "noise"], "categorical": ["site"]}
NETWORK = {"network": "large", "epochs": 1, "batch_size": 16, "augment": "none"}
LARGE = {"arch": "test_efficientnet", "weights": "random", "image_size": 96}
BLIND = {"learner": "ridge", "blocks": {"small": 1.0}, "metadata": False}
CHANGES = {
    "data": DATA,
    "members": {"ridge": CONFIG["members"]["ridge"], "blind": BLIND, "net": NETWORK},
    "backbones": {**CONFIG["backbones"], "large": LARGE},
    "folds": {"n": 2, "seed": 1},
    "blends": ["soft_vote"],
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain whose prices depend on the column `area`, up to the report."""
    root, rng = tmp_path_factory.mktemp("prices"), np.random.default_rng(0)
    folder = write_prices(root, num_train=60, num_test=10, signal=0.3)
    for name in ("train.csv", "test.csv"):
        table = pd.read_csv(folder / name, dtype={"id": str})
        table["area"], table["noise"] = rng.normal(size=(2, len(table)))
        table["site"] = rng.choice(["<b>north", "south"], len(table))
        if name == "train.csv":
            table["price"] *= np.exp(table["area"])
        table.to_csv(folder / name, index=False)
    run(root, "report", **CHANGES)
    return root


@pytest.fixture
def project(root: Path) -> Project:
    return open_project(Config.model_validate(CONFIG | CHANGES), root)


def test_the_column_that_drives_the_target_is_worth_most(project: Project):
    assert metadata_learners(project) == ["ridge"]
    found = metadata_importance(project, "ridge")
    assert list(found) == ["area", "noise", "site"]
    assert found["area"] > 0.2
    assert max(abs(found["noise"]), abs(found["site"])) < found["area"] / 3
    assert metadata_importance(project, "ridge") == found  # the same draws


def test_what_a_network_looked_at_is_the_image_reddened(project: Project):
    assert can_show_attention(project, "net", 0)
    assert not can_show_attention(project, "net", 7)
    rows = np.flatnonzero(project.folds.held_out(0))[:2]
    images = images_with_attention(project, "net", 0, rows=rows, columns=np.zeros(2, dtype=int))
    assert [image.shape for image in images] == [(96, 96, 3)] * 2
    assert images[0].dtype == np.uint8


def test_the_report_shows_groups_columns_and_times(root: Path):
    html = (root / "submissions" / "prices" / "report.html").read_text(encoding="utf-8")
    assert "<h3>rmsle by site</h3>" in html
    assert "&lt;b&gt;north" in html
    assert "<b>north" not in html
    assert "<h3>Importance of metadata columns</h3>" in html
    assert "<h3>What the network looked at</h3>" in html
    times = html[html.index("<h2>Time and disk") : html.index("<h2>Submissions")]
    assert "net</td><td" in "".join(times.split("\n"))
    numbers = [cell for cell in times.split('<td class="">') if cell[:1].isdigit()]
    assert len(numbers) >= 3 * 3  # seconds to train and predict, megabytes
