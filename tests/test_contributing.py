"""CONTRIBUTING.md: its patches apply, and what they add works."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATCHES = dict(
    re.findall(
        r"^### An? ([^\n]+)\n(?:(?!^###).)*?^```diff\n(.*?)^```",
        (ROOT / "CONTRIBUTING.md").read_text(),
        re.M | re.S,
    )
)
USES = {
    "learner": """
from pipeline.config.schema import Learner
from pipeline.learners.fit import fit_learner, load
rng = np.random.default_rng(0)
for classes in (2, 3):
    labels = rng.integers(classes, size=90)
    block = {"a": rng.normal(size=(90, 1, 6)) + 3 * np.eye(6)[labels][:, None]}
    learner, task = Learner(learner="discriminant", blocks={"a": 1.0}), Task("multiclass")
    fitted = fit_learner(learner, block, np.eye(classes + 1)[labels], task, seed=0)
    fitted.save(folder)
    values = load(folder).predict(block)
    assert np.allclose(values.sum(1), 1) and (values.argmax(1) == labels).mean() > 0.9
""",
    "loss": """
import torch
from pipeline.config.schema import Network
from pipeline.core.task import Task
from pipeline.networks.losses import create_loss
loss = create_loss(Network(network="b", loss="poly", label_smoothing=0), Task("multiclass"))
even, targets = torch.zeros(2, 4), torch.eye(4)[:2]
assert torch.allclose(loss(even, targets), torch.full((2,), np.log(4) + 0.75).float())
""",
    "blend": """
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.fitting import BlendFitting
from pipeline.metrics.find_metric import get_metric
members = np.array([[[0.9, 0.1]], [[0.5, 0.5]], [[0.8, 0.2]]])
metric = get_metric("log_loss", "binary")
fitting = BlendFitting(Task("binary"), metric, 0, prune=False, cautious=False)
blend = fit_blend("median", members, np.eye(2)[[0]], None, fitting)
assert np.allclose(blend.apply(members), [[0.8, 0.2]])
""",
    "metric": """
from pipeline.metrics.find_metric import get_metric
metric = get_metric("worst_recall", "binary")
assert metric.score(np.eye(2)[[0, 0, 1, 1]], np.eye(2)[[0, 0, 0, 1]], Task("binary")) == 0.5
""",
    "report section": """
from types import SimpleNamespace as N
import pipeline.stages.report
from pipeline.report.sections.folds import folds_section
inputs = N(summary=N(estimate=N(fold_scores=[0.5, 0.75])))
assert folds_section(inputs).facts == [("fold 0", "0.5000"), ("fold 1", "0.7500")]
""",
    "augmentation": """
from pipeline.config.schema import Network
assert Network(network="b", augment="turns").augment == "turns"
from pipeline.images.augmentation_presets import PRESETS
assert PRESETS["turns"] == [{"D4": {"p": 1.0}}]
""",
}


def test_every_patch_is_used():
    assert set(PATCHES) == set(USES)


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_a_patch_applies_touches_two_files_and_works(tmp_path, name):
    shutil.copytree(
        ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    apply = ["git", "apply", "-C1", "-"]
    subprocess.run(apply, input=PATCHES[name], text=True, check=True, cwd=tmp_path)
    assert len(re.findall(r"^\+\+\+ ", PATCHES[name], re.M)) <= 2
    start = "from pathlib import Path\nimport numpy as np\nfrom pipeline.core.task import Task\n"
    code = f"{start}folder = Path({str(tmp_path)!r})\n{USES[name]}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
