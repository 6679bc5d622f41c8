"""CONTRIBUTING.md: its plugins are registered, and what they add works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
PLUGINS = dict(
    re.findall(r"^### An? ([^\n]+)\n(?:(?!^###).)*?^```python\n(.*?)^```", TEXT, re.M | re.S)
)
IN_YAML = re.findall(r"In the YAML: `([^`]+)`", TEXT)
CONFIG = {
    "competition": "x",
    "plugins": ["my_module"],
    "task": {"kind": "multiclass", "target": "label"},
    "backbones": {"lite0": {"arch": "test_efficientnet", "weights": "random"}},
}
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
from pipeline.networks.losses import create_loss
even, targets = torch.zeros(2, 4), torch.eye(4)[:2]
for weights, entropy in ((None, np.log(4)), (torch.full((4,), 2.0), 2 * np.log(4))):
    loss = create_loss(Network(network="b", loss="poly"), Task("multiclass"), class_weights=weights)
    assert torch.allclose(loss(even, targets), torch.full((2,), entropy + 0.75).float())
""",
    "blend": """
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.fitting import BlendFitting
from pipeline.metrics.find_metric import get_metric
members = np.array([[[0.9, 0.1]], [[0.5, 0.5]], [[0.8, 0.2]]])
metric = get_metric("log_loss", "binary")
fitting = BlendFitting(Task("binary"), metric, 0, prune=False)
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
from pipeline.report.sections.own import own_sections
inputs = N(summary=N(estimate=N(fold_scores=[0.5, 0.75])))
assert own_sections(inputs)[0].facts == [("fold 0", "0.5000"), ("fold 1", "0.7500")]
""",
    "augmentation": """
from pipeline.images.augmentation import create_augmentation
dim = create_augmentation([{"Dim": {"least": 0.5, "p": 1.0}}], image_size=8)
means = [dim(np.full((8, 8, 3), 200, np.uint8), seed=seed).float().mean() for seed in range(50)]
assert 100 <= min(means) < 110 and 190 < max(means) <= 200
""",
    "network": """
import torch
from pipeline.backbones.create import create_backbone
from pipeline.config.schema import Backbone
model = create_backbone(Backbone(arch="small_resnet", weights="random", image_size=64))
assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 64)
""",
}


def test_every_example_is_used():
    assert set(PLUGINS) == set(USES)


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_an_example_is_a_plugin_that_works(tmp_path, name):
    (tmp_path / "my_module.py").write_text(PLUGINS[name])
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    start = (
        "from pathlib import Path\nimport numpy as np\nfrom pipeline.core.task import Task\n"
        "from pipeline.config.load import load_config\nload_config('c.yaml')\n"
        "folder = Path('out')\n"
    )
    run = {"check": True, "cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    subprocess.run([sys.executable, "-c", f"{start}{USES[name]}"], **run)


@pytest.mark.slow
def test_what_the_examples_say_of_the_yaml_is_accepted(tmp_path):
    """All examples in one module, all keys in one config."""
    (tmp_path / "my_module.py").write_text("\n\n".join(PLUGINS.values()))
    written = dict(CONFIG)
    for number, text in enumerate(IN_YAML):
        ((key, value),) = yaml.safe_load(f"{{{text}}}").items()
        if key == "members":
            value = {f"{name}{number}": member for name, member in value.items()}
        written[key] = {**written.get(key, {}), **value} if isinstance(value, dict) else value
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(written))
    command = [sys.executable, "-m", "pipeline", "config", "--show", "-c", "c.yaml"]
    run = {"check": True, "cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    shown = yaml.safe_load(subprocess.run(command, capture_output=True, **run).stdout)
    assert {"discriminant", None} == {m.get("learner") for m in shown["members"].values()}
    assert shown["task"]["metric"] == "worst_recall"
