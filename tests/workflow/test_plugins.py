"""Plugins: parts of the user's own, from a module beside the config to the submission."""

import json
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_project import BACKBONE, CONFIG, run, write_competition

from pipeline.config.load import load_config
from pipeline.config.own_parts import ITEMS, code_of, import_plugins
from pipeline.config.schema import Learner, Network
from pipeline.core.summary import Summary, path_of_last
from pipeline.core.task import Task
from pipeline.ensembles.blends import fit_blend
from pipeline.ensembles.fitting import BlendFitting
from pipeline.errors import JobFailed, UserError
from pipeline.images.augmentation import create_augmentation
from pipeline.learners.fit import fit_learner
from pipeline.learners.fit import load as read_learner
from pipeline.metrics.find_metric import get_metric
from pipeline.networks.losses import create_loss, try_loss
from pipeline.report.sections.own import own_sections

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
PARTS = [name for name in FILES if name != "own_network"]
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
        "own_learner": {"centres", "stacked", "submissions", "report"},
        "own_loss": {"net", "submissions", "report"},
        "own_augmentation": {"net", "submissions", "report"},
        "own_network": {"own", "audit", "centres", "net", "submissions", "report"},
        "own_blend": {"submissions", "report"},
        "own_section": {"report"},
    }
    for name, expected in makes_anew.items():
        before = made(tmp_path)
        write_plugins(tmp_path, **{name: FILES[name] + "\n# changed\n"})
        run(tmp_path, "report", **CHANGES)
        after = made(tmp_path)
        parts = [key.split("/") for key in after if after[key] != before.get(key)]
        assert {part[2] if len(part) > 2 else part[0] for part in parts} == expected, name

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
    path.write_text(yaml.safe_dump(CONFIG | {"plugins": PARTS} | changes))
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
        r"; did you mean `own_learner`\.$",
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
    found = error_of(folder, plugins=[*PARTS, "b"])
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


REFUSED_MODELS = {
    "an estimator of scikit-learn": (
        "from sklearn.dummy import DummyClassifier\n\n\n{}    return DummyClassifier()\n",
        r"learner odd: its function returned a sklearn\.dummy\.DummyClassifier; expected a",
    ),
    "an estimator in a field": (
        "from dataclasses import dataclass\n\nfrom sklearn.dummy import DummyClassifier\n\n\n"
        "@dataclass\nclass Odd:\n    inner: object\n    predict = None\n\n\n"
        "{}    return Odd(DummyClassifier())\n",
        "learner odd: field inner of Odd holds DummyClassifier; expected an array of numbers, a te",
    ),
    "an array of objects": (
        "from dataclasses import dataclass\n\nimport numpy as np\n\n\n"
        "@dataclass\nclass Odd:\n    inner: object\n    predict = None\n\n\n"
        "{}    return Odd(np.array([print]))\n",
        "field inner of Odd holds ndarray; expected an array of numbers",
    ),
}
FIT_ODD = """
from pipeline.plugins import learner


@learner("odd")
def fit(rows, *, strengths, seed):
"""


def fitted(learner: str):
    blocks = {"a": np.random.default_rng(0).normal(size=(12, 1, 4))}
    settings = Learner(learner=learner, blocks={"a": 1.0})
    return fit_learner(settings, blocks, np.eye(3)[np.arange(12) % 3], Task("multiclass"), seed=0)


def test_a_learner_that_fails_is_named_with_its_line(folder):
    write_plugins(folder, own_odd=f"{FIT_ODD}    return 1 / 0\n")
    load_config(a_config(folder, plugins=["own_odd"]))
    expected = r"learner odd failed: ZeroDivisionError: .* \(own_odd\.py, line 7: return 1 / 0\)\.$"
    with pytest.raises(JobFailed, match=expected):
        fitted("odd")


@pytest.mark.parametrize("case", REFUSED_MODELS)
def test_a_model_that_needs_a_pickle_is_refused(folder, case):
    text, expected = REFUSED_MODELS[case]
    write_plugins(folder, own_odd=text.format(FIT_ODD))
    load_config(a_config(folder, plugins=["own_odd"]))
    with pytest.raises(UserError, match=expected):
        fitted("odd")


def test_a_saved_model_names_a_class_of_a_plugin_in_use_or_ours(folder):
    load_config(a_config(folder))
    fitted("centres").save(folder)
    blocks = {"a": np.ones((2, 1, 4))}
    assert read_learner(folder).predict(blocks).shape == (2, 3)
    description = json.loads((folder / "learner.json").read_text())
    for model in ("os:system", "own_learner:fit_centres", "own_learner:np", "own_section:Section"):
        (folder / "learner.json").write_text(json.dumps(description | {"model": model}))
        with pytest.raises(UserError, match=f"{model} is no model of ours, nor of a plugin that"):
            read_learner(folder)
    (folder / "learner.json").write_text(json.dumps(description))
    sys.modules.pop("own_learner")
    load_config(a_config(folder, plugins=[]))
    with pytest.raises(UserError, match="Name the plugin that it was fitted with"):
        read_learner(folder)
    assert "own_learner" not in sys.modules


WRONG_RESULTS = {
    "a mean": (
        "return outputs.mean()",
        r"loss odd: its function returned \(\) for outputs \(2, 3\)",
    ),
    "no tensor": (
        "return 1.0",
        r"returned float for outputs \(2, 3\); expected \(2,\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_RESULTS)
def test_a_loss_gives_one_value_for_each_row(folder, case):
    text, expected = WRONG_RESULTS[case]
    text = f"@loss('odd', kinds=['multiclass'])\ndef odd(outputs, targets):\n    {text}\n"
    write_plugins(folder, own_odd=f"from pipeline.plugins import loss\n\n\n{text}")
    load_config(a_config(folder, plugins=["own_odd"]))
    settings = Network(network="small", loss="odd")
    with pytest.raises(UserError, match=expected):
        create_loss(settings, Task("multiclass"))(torch.zeros(2, 3), torch.eye(3)[:2])
    with pytest.raises(UserError, match=r"loss odd(: its function returned| failed on)"):
        try_loss(settings, Task("multiclass"))
    with pytest.raises(UserError, match="loss odd: a regression task takes mse, mae, huber"):
        create_loss(settings, Task("regression"))
    weighted = settings.model_copy(update={"class_weights": "balanced"})
    with pytest.raises(UserError, match="loss odd: its function takes no `class_weights`, but"):
        create_loss(weighted, Task("multiclass"), class_weights=torch.ones(3))


WRONG_BLENDS = {
    "an error": ("1 / 0", r"blend odd failed: ZeroDivisionError.*\(own_odd\.py, line 6: return 1"),
    "an error later": (
        "lambda v: v[7]",
        r"blend odd failed: IndexError.*own_odd\.py, line 6",
    ),
    "too few weights": (
        "[1.0]",
        r"blend odd: its function returned \[1\.0\] for 2 members",
    ),
    "a negative weight": ("[2.0, -1.0]", r"returned \[2\.0, -1\.0\] for 2 members"),
    "members in place of a mean": (
        "lambda v: v",
        r"made \(2, 6, 3\) of members \(2, 6, 3\)",
    ),
}


def blended(name: str, kind: str = "multiclass") -> np.ndarray:
    members = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 6))
    fitting = BlendFitting(Task(kind), get_metric("log_loss", kind), 0, prune=False, cautious=False)
    return fit_blend(name, members, np.eye(3)[np.arange(6) % 3], None, fitting).apply(members)


@pytest.mark.parametrize("case", WRONG_BLENDS)
def test_a_blend_gives_weights_or_a_mean(folder, case):
    made, expected = WRONG_BLENDS[case]
    text = f"@blend('odd')\ndef odd(members, targets, fitting):\n    return {made}\n"
    write_plugins(folder, own_odd=f"from pipeline.plugins import blend\n\n\n{text}")
    load_config(a_config(folder, plugins=["own_odd"]))
    with pytest.raises(UserError, match=expected):
        blended("odd")


def test_weights_of_a_blend_are_shares(folder):
    load_config(a_config(folder))
    members = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 6))
    np.testing.assert_allclose(blended("first_only"), members[0])


def test_a_blend_that_learns_gives_way_where_it_does_not_gain(folder):
    """The first member is noise, the second knows; a blend that takes the first is no soft vote."""
    load_config(a_config(folder))
    rng, targets = np.random.default_rng(0), np.eye(3)[np.arange(90) % 3]
    members = np.stack([rng.dirichlet(np.ones(3), size=90), 0.8 * targets + 0.2 / 3])
    fitting = BlendFitting(Task("multiclass"), get_metric("log_loss", "multiclass"), 0, prune=False)
    assert fit_blend("first_only", members, targets, np.arange(90) % 5, fitting).is_equal
    assert not fit_blend("median", members, targets, np.arange(90) % 5, fitting).is_equal


def test_a_blend_of_probabilities_is_no_blend_of_values(folder):
    text = "@blend('odd', of_probabilities=True)\ndef odd(members, targets, fitting):\n    pass\n"
    write_plugins(folder, own_odd=f"from pipeline.plugins import blend\n\n\n{text}")
    task = {"kind": "regression", "target": "label"}
    members = {"a": {"learner": "ridge", "blocks": {"small": 1.0}}}
    found = error_of(folder, plugins=["own_odd"], task=task, members=members, blends=["odd"])
    assert "odd is for probabilities, but task.kind is regression" in found
    found = error_of(folder, members={"Median": members["a"]})
    assert "members name 'Median' is taken; call it otherwise" in found


def test_a_metric_is_checked_like_a_function_of_the_user_s_own(folder):
    load_config(a_config(folder))
    metric = get_metric("worst_recall", "binary")
    assert (metric.wants, metric.greater_is_better) == ("labels", True)
    assert metric.score(np.eye(2)[[0, 0, 1, 1]], np.eye(2)[[0, 0, 0, 1]], Task("binary")) == 0.5
    with pytest.raises(UserError, match="worst_recall wants classes, which a regression task"):
        get_metric("worst_recall", "regression")


@pytest.mark.parametrize("body", ["1 / 0", "'text'"])
def test_a_section_that_fails_is_one_message(folder, body):
    text = f"@report_section\ndef odd(inputs):\n    return {body}\n"
    write_plugins(folder, own_odd=f"from pipeline.plugins import report_section\n\n\n{text}")
    load_config(a_config(folder, plugins=["own_odd"]))
    expected = r"failed: ZeroDivisionError: .*own_odd\.py, line 6: return 1 / 0|returned str"
    with pytest.raises(UserError, match=f"report section odd ({expected})"):
        own_sections(None)


def test_a_spawned_process_finds_a_plugin(folder):
    """As workers of a DataLoader do: what they get is pickled, the plugin's class by its name."""
    load_config(a_config(folder))
    dim = create_augmentation([{"Dim": {"least": 0.3, "p": 1.0}}], image_size=8)
    image = np.full((8, 8, 3), 200, np.uint8)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(dim, image, seed=3).result()
    assert torch.equal(there, dim(image, seed=3))
    assert there.max() < 200


@pytest.mark.parametrize("name", ["xgboost", "catboost"])
def test_an_optional_learner_that_is_missing_says_how_to_install_it(folder, monkeypatch, name):
    monkeypatch.setattr("pipeline.config.learners.find_spec", lambda package: None)
    members = {"trees": {"learner": name, "blocks": {"small": 1.0}}}
    assert re.search(
        rf"c\.yaml:\d+: members\.trees: {name} needs a package that is not installed; run "
        rf"`pip install {name}`",
        error_of(folder, plugins=[], members=members),
    )
