"""Settings written as YAML load to equal settings."""

from pathlib import Path

import pytest
import yaml

from pipeline.config.as_yaml import as_yaml
from pipeline.config.load import CONFIGS, load_config

SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
PRESETS = sorted(path.stem for path in (CONFIGS / "presets").glob("*.yaml"))
# Names and values that YAML reads otherwise; seeds, values, cycles and rounds; a blend as teacher.
OWN = """
extends: quick
competition: "007"
task: {kind: multiclass, target: label, class_weights: {no: 2.0, 1e3: 1.0, "été: a": 0.5}}
data: {id: id, train_images: "train/{id}.jpg"}
backbones:
  on: {arch: test_resnet, weights: random, image_size: 64}
members:
  no: {learner: logistic, blocks: {on: 0.5}, strength: 1.0e-05, seeds: [0, 1]}
  007: {network: on, epochs: 2, vary: {lr: [1.0e-4, 3.0e-4]}, augment: [{HorizontalFlip: {p: 0.5}}]}
  student: {extends: no, pseudo: {teacher: soft_vote, threshold: 0.9, rounds: 2}}
  circle: {network: on, epochs: 2, cycles: 2}
  elsewhere: {external: "from a friend"}
tta: {views: [original, crop_center_0.8]}
submission: {public_share: null, empty: "yes"}
"""


def round_trip(tmp_path: Path, name: str, *overrides: str) -> str:
    config = load_config(name, overrides)
    path = tmp_path / "again.yaml"
    path.write_text(as_yaml(config), encoding="utf-8")
    again = load_config(str(path))
    assert again == config
    for section in ("members", "backbones", "blends"):
        assert list(getattr(again, section)) == list(getattr(config, section))
    for member, other in zip(again.members.values(), config.members.values(), strict=True):
        assert list(getattr(member, "blocks", {})) == list(getattr(other, "blocks", {}))
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configs_come_back(tmp_path, name):
    round_trip(tmp_path, name)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_back_with_overrides(tmp_path, name):
    own = tmp_path / "own.yaml"
    own.write_text(f"extends: {name}\ncompetition: c\ntask: {{kind: multiclass, target: label}}\n")
    text = round_trip(tmp_path, str(own), "folds.n=3", "seed=7", "calibrate=isotonic")
    assert yaml.safe_load(text)["folds"]["n"] == 3


def test_own_members_with_names_that_yaml_reads_otherwise_come_back(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(OWN, encoding="utf-8")
    text = round_trip(tmp_path, str(own), "members.student.pseudo.threshold=0.8")
    assert list(yaml.safe_load(text))[:3] == ["competition", "task", "data"]
    assert "&" not in text  # no anchors
    assert not {"seeds", "vary", "cycles", "rounds"} & set(text.replace(":", " ").split())


def test_only_keys_that_differ_from_defaults_are_written(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "competition: c\ntask: {kind: binary, target: y}\nfolds: {n: 5, seed: 9}\nseed: 42\n"
        "backbones: {b: {arch: resnet18, image_size: 224}}\n"
        "members: {net: {network: b, epochs: 3}}\n"
    )
    text = round_trip(tmp_path, str(own))
    settings = yaml.safe_load(text)
    assert settings["folds"] == {"seed": 9}
    assert settings["members"] == {"net": {"network": "b", "epochs": 3}}
    assert list(settings) == ["competition", "task", "folds", "backbones", "members"]
