"""Plugins: parts of the user's own, from a module beside the config to the submission."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from tiny_project import BACKBONE, CONFIG, run, write_competition

from pipeline.config.load import load_config
from pipeline.config.own_parts import ITEMS, code_of, import_plugins
from pipeline.core.summary import Summary, path_of_last
from pipeline.errors import UserError
from pipeline.images.augmentation import create_augmentation
from pipeline.metrics.find_metric import get_metric

LEARNER = """
from dataclasses import dataclass

import numpy as np

from pipeline.plugins import learner


@dataclass(frozen=True)
class Centres:
    centres: np.ndarray
    sharpness: float

    def predict(self, features):
        distances = ((features[:, None] - self.centres) ** 2).mean(axis=2)
        odds = np.exp(-self.sharpness * (distances - distances.min(axis=1, keepdims=True)))
        return odds / odds.sum(axis=1, keepdims=True)


@learner("centres", only_classes=True, chooses=False)
def fit_centres(rows, *, strengths, seed, sharpness=1.0):
    mass = rows.weights[:, None] * rows.targets
    return Centres(mass.T @ rows.features / mass.sum(axis=0)[:, None], sharpness)
"""
LOSS = """
from pipeline.plugins import loss


@loss("poly", kinds=("binary", "multiclass"))
def poly(outputs, targets, class_weights=None):
    logs = outputs.log_softmax(1)
    return -(targets * logs).sum(1) + 1 - (targets * logs.exp()).sum(1)
"""
AUGMENTATION = """
import albumentations as A

from pipeline.plugins import augmentation


@augmentation
class Dim(A.ImageOnlyTransform):
    class InitSchema(A.ImageOnlyTransform.InitSchema):
        least: float

    def __init__(self, least=0.5, p=0.5):
        super().__init__(p=p)
        self.least = least

    def get_params(self):
        return {"factor": self.py_random.uniform(self.least, 1)}

    def apply(self, img, factor, **_):
        return (img * factor).astype("uint8")
"""
BLEND = """
import numpy as np

from pipeline.plugins import blend


@blend("median", learns=False)
def median(members, targets, fitting):
    return lambda values: np.median(values, axis=0)


@blend("first_only")
def first_only(members, targets, fitting):
    return [1, *[0] * (len(members) - 1)]
"""
METRIC = """
import numpy as np

from pipeline.plugins import metric


@metric("worst_recall", greater_is_better=True, wants="classes")
def worst_recall(y_true, y_pred):
    return min(np.mean(y_pred[y_true == label] == label) for label in np.unique(y_true))
"""
SECTION = """
from pipeline.plugins import report_section
from pipeline.report.page import Section


@report_section
def folds(inputs):
    scores = inputs.summary.estimate.fold_scores
    facts = [(f"fold {fold}", f"{score:.4f}") for fold, score in enumerate(scores)]
    return Section("Scores of folds, by a plugin", "One number each.", facts=facts)
"""
NETWORK = """
import timm
from timm.models import register_model


@register_model
def own_net(pretrained=False, **settings):
    for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        settings.pop(key, None)
    return timm.create_model("test_efficientnet", pretrained=False, **settings)
"""
FILES = {
    "own_learner": LEARNER,
    "own_loss": LOSS,
    "own_augmentation": AUGMENTATION,
    "own_blend": BLEND,
    "own_metric": METRIC,
    "own_section": SECTION,
    "own_network": NETWORK,
}
SHARP = {"params": {"sharpness": 100.0}}
CHANGES = {
    "plugins": list(FILES),
    "task": {"kind": "multiclass", "target": "label", "metric": "worst_recall"},
    "backbones": {"small": BACKBONE, "own": BACKBONE | {"arch": "own_net"}},
    "members": {
        "centres": {"learner": "centres", "blocks": {"own": 1.0}, **SHARP},
        "linear": {"learner": "logistic", "blocks": {"small": 1.0}},
        "stacked": {"learner": "centres", "blocks": {"small": 1.0}, "stacks": ["linear"], **SHARP},
        "net": {
            **{"network": "own", "epochs": 1, "batch_size": 8, "loss": {"poly": 1.0}},
            "augment": [{"OneOf": {"transforms": [{"Dim": {"least": 0.3}}]}}],
        },
        "plain": {"network": "small", "epochs": 1, "batch_size": 8, "augment": "light"},
    },
    "blends": ["soft_vote", "median", "first_only"],
    "submission": {"blend": "median"},
}


@pytest.fixture(autouse=True)
def _without_plugins():
    """Leave no plugin behind, in use or imported."""
    before, path = set(sys.modules), list(sys.path)
    yield
    import_plugins(())
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]
    assert not [name for name in set(sys.modules) - before if name.startswith("own_")]


def write_plugins(root: Path, **files: str) -> None:
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)


def made(root: Path) -> dict[str, str]:
    """Fingerprint of every artifact, by its folder."""
    folders = [root / name / "tiny" for name in ("models", "features", "submissions")]
    found = [path for folder in folders for path in folder.rglob("meta.json")]
    found = [path for path in found if "attic" not in path.parts]
    return {
        str(path.parent.relative_to(root)): json.loads(path.read_text())["fingerprint"]
        for path in found
    }


@pytest.mark.slow
def test_every_part_of_a_plugin_from_the_yaml_to_the_report(tmp_path):
    write_competition(tmp_path)
    write_plugins(tmp_path, **FILES)
    run(tmp_path, "report", **CHANGES)
    folder = tmp_path / "submissions" / "tiny"
    summary = Summary.read(path_of_last(folder))
    assert (summary.metric, summary.estimate.name) == ("worst_recall", "median")
    assert "Scores of folds, by a plugin" in (folder / "report.html").read_text()
    learner = tmp_path / "models" / "tiny" / "centres" / "fold0" / "learner.json"
    assert json.loads(learner.read_text())["model"] == "own_learner:Centres"
    before = made(tmp_path)
    run(tmp_path, "report", **CHANGES)
    assert made(tmp_path) == before

    # A changed part has made anew what it takes part in.
    makes_anew = {
        "own_learner": {"centres", "stacked"},
        "own_loss": {"net"},
        "own_augmentation": {"net"},
        "own_blend": set(),
    }
    for name, expected in makes_anew.items():
        write_plugins(tmp_path, **{name: FILES[name] + "\n# changed\n"})
        run(tmp_path, "infer", **CHANGES)
        after = made(tmp_path)
        changed = {key for key in after if after[key] != before.get(key) and "models" in key}
        assert {key.split("/")[2] for key in changed} == expected, name
        before = after
    run(tmp_path, "report", **CHANGES)
    assert Summary.read(path_of_last(folder)).fingerprint != summary.fingerprint

    # What was written can be read without the plugins, and reading it imports none.
    import_plugins(())
    for name in FILES:
        sys.modules.pop(name)
    assert Summary.read(path_of_last(folder)).config.blends == CHANGES["blends"]
    assert not set(FILES) & set(sys.modules)
    members = {"linear": CHANGES["members"]["linear"]}
    run(tmp_path, "ensemble", members=members)


def a_config(root: Path, **changes) -> str:
    path = root / "c.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"plugins": list(FILES)} | changes))
    return str(path)


def error_of(root: Path, **changes) -> str:
    with pytest.raises(UserError) as caught:
        load_config(a_config(root, **changes))
    return str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with the plugins."""
    write_plugins(tmp_path, **FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


TYPOS = {
    "learner": (
        {"members": {"a": {"learner": "centers", "blocks": {"small": 1.0}}}},
        r"c\.yaml:\d+: `members\.a\.learner`: Input should be 'ridge', .* or 'centres' "
        r"\(got 'centers'\); did you mean `centres`\?",
    ),
    "loss": (
        {"members": {"a": {"network": "small", "loss": "polly"}}},
        r"`members\.a\.loss`: .*'huber' or 'poly'.*did you mean `poly`\?",
    ),
    "blend": (
        {"blends": ["soft_vote", "medien"]},
        r"`blends\.1`: .*'median' or 'first_only' \(got 'medien'\); did you mean `median`\?",
    ),
    "param of a learner": (
        {"members": {"a": {"learner": "centres", "blocks": {"small": 1}, "params": {"sharp": 1}}}},
        r"centres has no params \['sharp'\]; it knows \['sharpness'\]",
    ),
    "plugin": (
        {"plugins": ["own_lerner"]},
        r"c\.yaml:\d+: plugin own_lerner: no such module in .* or on PYTHONPATH"
        r"; did you mean `own_learner`\?\.$",
    ),
    "file of a plugin": (
        {"plugins": ["own_learner.py"]},
        "plugin own_learner.py: expected a module's name, such as my_module for the file my_m",
    ),
}


@pytest.mark.parametrize("case", TYPOS)
def test_a_typo_is_answered_with_the_nearest_name(folder, case):
    changes, expected = TYPOS[case]
    assert re.search(expected, error_of(folder, **changes))


def test_a_typo_in_a_metric_or_transform_is_answered_too(folder):
    config = load_config(a_config(folder))
    with pytest.raises(UserError, match=r"did you mean `worst_recall`"):
        get_metric("worst_recal", config.task.kind)
    with pytest.raises(UserError, match=r"no transform 'Dimm'; did you mean `Dim`"):
        create_augmentation([{"Dimm": {}}], image_size=32)


BROKEN = {
    "raises": ("x = 1\nassert x == 2, 'not two'\n", "AssertionError: not two (b.py, line 2: asse"),
    "no Python": ("def f(:\n", "SyntaxError: .* (b.py, line 1: def f(:)"),
    "ends the program": ("import sys\nsys.exit(3)\n", "SystemExit: 3 (b.py, line 2: sys.exit(3))"),
    "lacks a module": ("import not_there_at_all\n", "No module named 'not_there_at_all' (b.py, li"),
    "no metric of ours": (
        "from pipeline.plugins import metric\n\n\n"
        "@metric('AUC', greater_is_better=True)\ndef auc(a, b):\n    return 1\n",
        "metric 'AUC' is a built-in one's name; call yours otherwise (b.py, line 4",
    ),
    "taken by ours": (LEARNER.replace('"centres"', '"ridge"'), "learner 'ridge' is a built-in one"),
    "taken by another": (BLEND, "blend 'median' is registered in own_blend already; rename one of"),
    "no arguments": (
        LEARNER.replace('"centres"', '"c"').replace("*, strengths, seed", "*, seed"),
        "learner 'c': fit_centres(rows, *, seed, sharpness=1.0) takes no strengths",
    ),
    "no transform": (
        "from pipeline.plugins import augmentation\n\n\n@augmentation\nclass Dim2:\n    pass\n",
        "augmentation 'Dim2' is no class that derives from albumentations.ImageOnlyTransform",
    ),
    "taken by albumentations": (
        AUGMENTATION.replace("Dim", "Blur"), "augmentation 'Blur' is a built-in one's name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_one_message_with_its_line(folder, case):
    text, expected = BROKEN[case]
    write_plugins(folder, b=text)
    found = error_of(folder, plugins=[*FILES, "b"])
    assert re.match(r".*c\.yaml:\d+: plugin b: ", found)
    assert re.search(re.escape(expected).replace(r"\.\*", ".*"), found)
    assert "\n" not in found
    sys.modules.pop("b", None)


def test_plugins_in_use_are_those_of_the_last_config(folder):
    load_config(a_config(folder))
    assert (list(ITEMS["learner"]), list(ITEMS["blend"])) == (["centres"], ["median", "first_only"])
    load_config(a_config(folder, plugins=["own_blend"]))
    assert (list(ITEMS["learner"]), list(ITEMS["blend"])) == ([], ["median", "first_only"])
    error_of(folder, plugins=[], blends=["median"])
    load_config(a_config(folder))
    assert list(ITEMS["learner"]) == ["centres"]


def test_a_plugin_may_import_others(folder):
    """A file that names the others is one plugin; a part that is reached twice is one part."""
    write_plugins(folder, own_all="import own_blend\nfrom own_learner import fit_centres\n")
    for plugins in (["own_all"], ["own_all", "own_blend"], ["own_blend", "own_all"]):
        load_config(a_config(folder, plugins=plugins))
        assert set(ITEMS["learner"]) | set(ITEMS["blend"]) == {"centres", "median", "first_only"}
        assert ITEMS["learner"]["centres"].params == ("sharpness",)
    write_plugins(folder, own_learner=LEARNER.replace("sharpness", "sharp"))
    load_config(a_config(folder, plugins=["own_blend", "own_all"]))
    assert ITEMS["learner"]["centres"].params == ("sharp",)
    load_config(a_config(folder, plugins=["own_learner"]))
    assert (list(ITEMS["learner"]), list(ITEMS["blend"])) == (["centres"], [])


def test_a_package_is_a_plugin_and_what_it_imports_counts(folder):
    """The digest is of the part's file and of the user's files that it imports."""
    package = folder / "own_package"
    package.mkdir()
    write_plugins(package, __init__="from . import part\n", part=f"from .more import X\n{LEARNER}")
    write_plugins(package, more="import own_beside\n\nX = 1\n", unused="")
    write_plugins(folder, own_beside="import numpy\nimport pipeline\n", own_unused="")
    given = {"plugins": ["own_package"]}
    load_config(a_config(folder, **given))
    before = code_of("learner", "centres")
    for name in ("own_package/unused", "own_unused"):
        write_plugins(folder, **{name: "changed = True\n"})
        load_config(a_config(folder, **given))
        assert code_of("learner", "centres") == before
    for name in ("own_package/more", "own_beside"):
        write_plugins(folder, **{name: "X = 2\nimport own_beside\n"})
        load_config(a_config(folder, **given))
        assert code_of("learner", "centres") != before
        before = code_of("learner", "centres")


def test_a_plugin_in_another_folder_is_another_plugin(folder, monkeypatch):
    load_config(a_config(folder, plugins=["own_learner"]))
    other = folder / "other"
    other.mkdir()
    write_plugins(other, own_learner=LEARNER.replace('"centres"', '"others"'))
    monkeypatch.chdir(other)
    load_config(a_config(other, plugins=["own_learner"]))
    assert list(ITEMS["learner"]) == ["others"]
    monkeypatch.chdir(folder)
    load_config(a_config(folder, plugins=["own_learner"]))
    assert list(ITEMS["learner"]) == ["centres"]
