"""Presets fit every kind of task, groups, and 60 rows, without an edit."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.config.load import load_config
from pipeline.workflow import make

NUM_TRAIN, NUM_TEST = 60, 12
TINY = "arch: test_efficientnet, weights: random, image_size: 32"
KINDS = {
    "binary": {"target": "warm", "metric": "roc_auc"},
    "multiclass": {"target": "colour", "metric": "accuracy"},
    "multilabel": {"target": ["warm", "bright"], "metric": "average_precision"},
    "ordinal": {"target": "level", "metric": "rmse"},
    "regression": {"target": "price", "metric": "rmse"},
}


def write_competition(root: Path, kind: str) -> None:
    """Squares of three colours and two levels of light, which the targets follow."""
    folder, rng, rows = root / "input" / "odd", np.random.default_rng(0), []
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    for row in range(NUM_TRAIN + NUM_TEST):
        colour, bright = row % 3, row // 3 % 2
        pixels = rng.integers(0, 90, (32, 32, 3)) + 60 * bright
        pixels[..., colour] += 100
        split = "train" if row < NUM_TRAIN else "test"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / split / f"{row}.png")
        rows.append(
            {
                "id": f"{row}.png",
                "colour": "rgb"[colour],
                "warm": int(colour == 0),
                "bright": bright,
                "level": colour,
                "price": 10 + 5 * colour + bright + rng.normal(0, 0.3),
                "person": f"p{row // 6}",
            }
        )
    table = pd.DataFrame(rows)
    targets = KINDS[kind]["target"]
    targets = [targets] if isinstance(targets, str) else targets
    train, test = table[:NUM_TRAIN], table[NUM_TRAIN:]
    train[["id", "person", *targets]].to_csv(folder / "train.csv", index=False)
    test[["id", "person"]].to_csv(folder / "test.csv", index=False)
    test[["id"]].assign(**{name: train[name].iloc[0] for name in targets}).to_csv(
        folder / "sample_submission.csv", index=False
    )


def write_config(root: Path, preset: str, kind: str, **more) -> Path:
    config = {"extends": preset, "competition": "odd", "task": {"kind": kind, **KINDS[kind]}}
    path = root / "odd.yaml"
    path.write_text(yaml.safe_dump(config | more))
    return path


@pytest.mark.parametrize("preset", ["quick", "good", "best", "strong"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_preset_fits_each_kind_of_task(tmp_path, preset, kind):
    config = load_config(str(write_config(tmp_path, preset, kind)))
    assert len(config.members) >= 2
    assert ("linear" in config.members) == (kind != "regression")


def test_a_members_own_line_is_refused_and_not_left_out(tmp_path):
    members = {"mine": {"extends": "linear"}}
    path = write_config(tmp_path, "quick", "regression", members=members)
    with pytest.raises(Exception, match=r"odd.yaml:\d+: members.mine: logistic predicts classes"):
        load_config(str(path))


@pytest.mark.parametrize(
    ("preset", "kind", "data"),
    [
        ("good", "regression", {}),
        ("good", "ordinal", {}),
        ("good", "multilabel", {}),
        ("quick", "binary", {}),
        ("good", "multiclass", {"group": "person"}),
    ],
)
def test_a_preset_ends_in_a_submission(tmp_path, monkeypatch, preset, kind, data):
    write_competition(tmp_path, kind)
    path = write_config(tmp_path, preset, kind, data=data)
    monkeypatch.chdir(tmp_path)
    backbones = [f"backbones.{name}={{{TINY}}}" for name in load_config(str(path)).backbones]
    quick = ["folds.n=2", "runtime.device=cpu", "runtime.workers=0"]
    if preset == "good":
        quick += ["members.net.image_size=32", "members.net.epochs=1"]
    make.run("ensemble", str(path), [*backbones, *quick])
    (summary,) = Path("submissions/odd").glob("best_*[0-9a-f].json")
    found = json.loads(summary.read_text())
    assert set(found["members"]) == set(load_config(str(path)).members)
    submission = pd.read_csv(summary.with_suffix(".csv"))
    assert submission["id"].tolist() == [f"{row}.png" for row in range(NUM_TRAIN, 72)]
    assert submission.notna().all(axis=None)
