"""Checks before a night of training: each finds what it is there for, and passes what is well."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.backbones.device import Hardware
from pipeline.config.schema import Backbone, Network
from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.networks import trainer as trainer_module
from pipeline.networks.checks import learning
from pipeline.networks.checks.gradients import check_gradients, note_reached, zero_shares
from pipeline.networks.checks.learning import (
    check_lr_range,
    check_overfit,
    check_repeats,
)
from pipeline.networks.checks.start import check_start
from pipeline.networks.checks.trial_network import TrialNetwork, seen_batches, varied_positions
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import TrainingData, create_loaders
from pipeline.report.check_figures import batches, label_text, lr_range, one_batch, save
from pipeline.workflow import make

pytestmark = pytest.mark.numeric

SIZE, ROWS = 32, 45
BACKBONE = Backbone(arch="test_efficientnet", weights="random", image_size=SIZE)
SETTINGS = Network(
    network="b", epochs=3, batch_size=8, augment="light", mixup=0.4, lr=1e-2, backbone_lr=1.0
)
# Classes of 30, 10 and 5 rows.
LABELS = np.repeat([0, 1, 2], [30, 10, 5])[np.random.default_rng(0).permutation(ROWS)]
CLASSES = np.eye(3)[LABELS]
TARGETS = {
    "multiclass": CLASSES,
    "ordinal": CLASSES,
    "multilabel": 1 - CLASSES,
    "regression": 1000 + 50 * CLASSES[:, :1] + 3 * np.arange(ROWS)[:, None],
    "binary": np.eye(2)[(LABELS == 0).astype(int)],
}


class Patches:
    """Stands for the image cache: row r is noise, bright in the channel of its class."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> np.ndarray:
        image = np.random.default_rng(row).integers(0, 120, (37, 41, 3), dtype=np.uint8)
        image[..., LABELS[row]] += 120
        return image


def trial(
    kind="multiclass",
    *,
    folder=Path("unused"),
    shuffled=False,
    arch="test_efficientnet",
    size=SIZE,
    **changes,
) -> TrialNetwork:
    """A network to check; with `shuffled` targets only a sane learning rate gets them by heart."""
    order = np.random.default_rng(1).permutation(ROWS) if shuffled else np.arange(ROWS)
    data = TrainingData(
        cache=Patches(),
        image_size=size,
        cut="crop",
        task=Task(kind),
        rows=np.arange(ROWS),
        targets=TARGETS[kind][order],
        weights=np.ones(ROWS),
        valid_rows=np.arange(5),
        valid_targets=TARGETS[kind][:5],
    )
    return TrialNetwork(
        settings=SETTINGS.model_copy(update=changes),
        backbone=Backbone(arch=arch, weights="random", image_size=size),
        data=data,
        folder=folder,
        name="net fold 0",
        seed=0,
        hardware=Hardware(torch.device("cpu"), "32"),
    )


@pytest.fixture
def spoil(monkeypatch):
    """Let every network that is created be changed first."""
    create = trainer_module.create_network

    def arrange(change):
        def spoiled(*args, **kwargs):
            network = create(*args, **kwargs)
            change(network)
            return network

        monkeypatch.setattr(trainer_module, "create_network", spoiled)

    return arrange


def test_a_varied_batch_has_each_class_before_any_twice():
    chosen = varied_positions(CLASSES, 9, rng=stream(0, "x"))
    assert len(set(chosen)) == 9
    assert np.bincount(LABELS[chosen]).tolist() == [3, 3, 3]
    # The third class has five rows; the rest is filled with others.
    chosen = varied_positions(CLASSES, 20, rng=stream(0, "x"))
    assert np.bincount(LABELS[chosen]).tolist() == [8, 7, 5]
    assert len(varied_positions(CLASSES, 99, rng=stream(0, "x"))) == ROWS


def test_a_small_batch_learns_at_the_same_rate():
    big = trial(batch_size=64, scale_lr=True, lr=0.1)
    assert (big.small.batch_size, big.quiet.batch_size) == (16, 16)
    assert big.small.lr == big.quiet.lr == 0.1 * 64 / 256
    assert not big.small.scale_lr
    on_gpu = replace(big, hardware=Hardware(torch.device("cuda"), "32"))
    assert on_gpu.small.batch_size == 64


ENTROPY = -(30 * math.log(30 / 45) + 10 * math.log(10 / 45) + 5 * math.log(5 / 45)) / 45


@pytest.mark.parametrize(
    ("kind", "changes", "overall"),
    [
        ("multiclass", {"label_smoothing": 0.0}, ENTROPY),
        (
            "multiclass",
            {"label_smoothing": 0.3},
            0.7 * ENTROPY - 0.1 * math.log(30 * 10 * 5 / 45**3),
        ),
        ("multiclass", {"label_smoothing": 0.3, "bias": "zero"}, math.log(3)),
        ("multiclass", {"label_smoothing": 0.0, "class_weights": "balanced"}, math.log(3)),
        ("multilabel", {"bias": "zero"}, math.log(2)),
        ("regression", {}, 1.0),
        ("binary", {"label_smoothing": 0.0}, -(2 * math.log(2 / 3) + math.log(1 / 3)) / 3),
    ],
)
def test_the_loss_at_the_start_is_what_frequencies_alone_give(kind, changes, overall):
    found = check_start(trial(kind, **changes))
    assert found.status == "ok"
    assert found.numbers["expected_over_all_rows"] == pytest.approx(overall, rel=1e-4)
    assert found.numbers["loss"] == pytest.approx(found.numbers["expected"], rel=1e-4)
    assert "they agree" in found.text


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "cumulative"])
@pytest.mark.parametrize("bias", ["prior", "rare"])
def test_other_losses_start_as_expected_too(loss, bias):
    assert check_start(trial("ordinal", loss=loss, bias=bias)).status == "ok"


def test_a_start_that_is_off_is_found(spoil):
    spoil(lambda network: nn.init.normal_(network.head.last.weight, std=3))
    found = check_start(trial())
    assert found.status == "failed"
    assert "differ by more than 10%" in found.text
    # Where the config asks for random weights, a person should look.
    assert check_start(trial(init="kaiming")).status == "look"


def test_a_wrong_number_of_outputs_is_found(spoil):
    spoil(lambda network: setattr(network.head, "dropout", TwiceAsMany()))
    assert check_start(trial(bias="zero")).status == "failed"


class TwiceAsMany(nn.Module):
    def forward(self, features):
        return features.repeat(2, 1)


def test_groups_are_told():
    groups = check_start(trial(freeze=2)).numbers["groups"]
    assert any(group.startswith("head: 1 tensors") for group in groups)
    assert any(group.startswith("frozen: ") for group in groups)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_healthy_network_learns_one_batch_by_heart(kind):
    found = check_overfit(trial(kind))
    assert found.status == "ok", found.text
    assert found.numbers["losses"][-1] <= 0.05 * found.numbers["losses"][0]


@pytest.mark.parametrize("loss", ["cosface", "arcface"])
def test_with_a_margin_it_counts_that_all_rows_are_right(loss):
    found = check_overfit(trial(loss=loss, head="cosine", scale=4.0, margin=1.0, bias="zero"))
    assert (found.status, found.numbers["verdict"]) == ("ok", "learnt")
    assert found.numbers["losses"][-1] > 0.05 * found.numbers["losses"][0]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"lr": 1e-9}, "plateau"),
        ({"lr": 1e3}, "exploding"),
        ({"kind": "regression", "lr": 0.22, "optimizer": "sgd"}, "oscillating"),
        ({"lr": 1e-4}, "falling"),
    ],
)
def test_a_bad_rate_is_diagnosed(changes, verdict):
    found = check_overfit(trial(**changes, shuffled=True))
    assert found.numbers["verdict"] == verdict, found.numbers["losses"]
    assert found.status == ("look" if verdict == "falling" else "failed")
    assert "`lr`" in found.text


def test_a_negated_loss_is_diagnosed(monkeypatch):
    create = trainer_module.create_loss

    def negated(*args, **kwargs):
        loss = create(*args, **kwargs)
        return lambda outputs, targets: -loss(outputs, targets)

    monkeypatch.setattr(trainer_module, "create_loss", negated)
    assert check_overfit(trial()).numbers["verdict"] == "growing"
    assert check_start(trial()).status == "failed"


def test_a_step_uphill_is_diagnosed(monkeypatch):
    original = Trainer.gradients

    def uphill(self, *batch):
        found = original(self, *batch)
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad.neg_()
        return found

    monkeypatch.setattr(Trainer, "gradients", uphill)
    found = check_overfit(trial(lr=1e-3))
    assert (found.status, found.numbers["verdict"]) == ("failed", "growing")


@pytest.mark.parametrize("changes", [{}, {"swa_epochs": 1, "unfreeze_every": 1}])
def test_plain_mode_repeats_itself(changes):
    found = check_repeats(trial(epochs=1, **changes))
    assert found.status == "ok"
    assert found.numbers["first"] == found.numbers["second"]
    assert len(set(found.numbers["first"])) == 3


def test_what_the_seed_does_not_govern_is_found(spoil):
    rng = np.random.default_rng()
    spoil(lambda network: setattr(network.head, "dropout", Blurred(rng)))
    found = check_repeats(trial())
    assert found.status == "failed"
    assert "not depend on the seed" in found.text


class Blurred(nn.Module):
    def __init__(self, rng):
        super().__init__()
        self.rng = rng

    def forward(self, features):
        return features * (1 + 0.01 * self.rng.random())


def test_a_loss_that_is_not_finite_fails_the_check(tmp_path, spoil):
    spoil(lambda network: nn.init.constant_(network.head.last.bias, float("nan")))
    trained = trial(folder=tmp_path)
    spoil(lambda network: setattr(network.head, "dropout", Infinite()))
    found = check_repeats(trained)
    assert found.status == "failed"
    assert "expected a finite number" in found.text
    assert check_lr_range(trained).status == "failed"
    assert check_overfit(trained).numbers["verdict"] == "exploding"


class Infinite(nn.Module):
    def forward(self, features):
        return features * float("inf")


def test_the_range_test_suggests_a_rate_that_learns():
    found = check_lr_range(trial(mixup=0.0, augment="none", batch_size=16))
    numbers = found.numbers
    assert 1e-4 < numbers["suggestion"] < 0.3
    assert numbers["config"] == 1e-2
    assert len(numbers["lrs"]) == len(numbers["losses"]) == len(numbers["smooth"])
    assert numbers["losses"][0] == pytest.approx(
        check_start(trial()).numbers["expected_over_all_rows"], rel=1e-3
    )


def test_a_rate_far_from_the_suggestion_is_told():
    found = check_lr_range(trial(mixup=0.0, augment="none", batch_size=16, lr=1e-7))
    assert found.status == "look"
    assert "times less: try `lr: " in found.text


def test_a_rate_per_group_keeps_its_share(monkeypatch):
    seen = []
    monkeypatch.setattr(
        learning,
        "_step",
        lambda trainer, *_: seen.append([g["lr"] for g in trainer.optimizer.param_groups]) or 1.0,
    )
    check_lr_range(trial(backbone_lr=0.25))
    assert [max(rates) for rates in (seen[0], seen[-1])] == pytest.approx([1e-6, 1.0])
    assert all(min(rates) == pytest.approx(0.25 * max(rates)) for rates in seen)


def test_a_healthy_network_has_live_gradients():
    found = check_gradients(trial())
    assert found.status == "ok", found.text
    assert found.numbers["dead_modules"] == []
    assert found.numbers["zero_share"] < 0.2


def test_a_part_without_gradient_is_named(spoil):
    def detach(network):
        network.backbone.conv_stem.register_forward_hook(lambda *args: args[2].detach())

    spoil(detach)
    found = check_gradients(trial())
    assert found.status == "failed"
    assert found.numbers["dead_modules"] == ["backbone.conv_stem"]
    assert "backbone.conv_stem" in found.text


# Their residual blocks begin as nothing: by the last BatchNorm's weight, and by a SkipInit.
@pytest.mark.parametrize("arch", ["test_resnet", "test_nfnet"])
def test_blocks_that_begin_as_nothing_are_healthy(arch):
    found = check_gradients(trial(arch=arch, size=64, head="mlp"))
    assert found.numbers["dead_modules"] == [], found.text
    assert found.status == "ok"


def test_kernels_wider_than_their_maps_are_worth_a_look():
    """At 32 px a ResNet ends in single pixels: 8 of 9 weights of a kernel never meet one."""
    found = check_gradients(trial(arch="resnet10t", head="mlp"))
    assert (found.status, found.numbers["dead_modules"]) == ("look", [])
    assert "`image_size`" in found.text


def test_a_detached_part_of_such_a_block_is_named(spoil):
    def detach(network):
        network.backbone.layer2[0].bn1.register_forward_hook(lambda *args: args[2].detach())

    spoil(detach)
    found = check_gradients(trial(arch="test_resnet", size=64))
    assert found.status == "failed"
    branch = [f"backbone.layer2.0.{name}" for name in ("conv1", "bn1")]
    assert found.numbers["dead_modules"] == branch


def test_what_the_config_s_pooling_replaces_need_not_learn(spoil):
    pooled = {"arch": "test_convnext", "size": 64}
    found = check_gradients(trial(pool="gem", **pooled))  # the backbone's own head has a norm
    assert found.status == "ok", found.text

    def forget(network):
        network.backbone.head.norm.register_forward_hook(lambda *args: args[1][0])

    spoil(forget)
    assert check_gradients(trial(**pooled)).numbers["dead_modules"] == ["backbone.head.norm"]


def test_what_is_frozen_need_not_learn():
    found = check_gradients(trial(freeze=2))
    assert found.numbers["dead_modules"] == []


def test_silent_channels_are_counted(spoil):
    def silence(network):
        network.head.hidden = nn.Sequential(Cut(), nn.ReLU())

    spoil(silence)
    silent = check_gradients(trial()).numbers["silent"]
    assert silent["head.hidden.1"] == pytest.approx(0.25)


class Cut(nn.Module):
    """A quarter of the channels is below zero for all images, another for the first one only."""

    def forward(self, features):
        quarter = features.shape[1] // 4
        signs = torch.ones_like(features)
        signs[:, :quarter] = -1
        signs[0, quarter : 2 * quarter] = -1
        return (features.abs() + 1) * signs


def test_shares_of_zero_gradients_by_hand():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1), nn.Linear(1, 1))
    reached = {}
    for first in ([[0.0, 1.0], [0.0, 3.0]], [[0.0, 1.0], [2.0, 0.0]]):
        network[0].weight.grad = torch.tensor(first)
        network[1].weight.grad = torch.zeros(1, 2)
        network[1].bias.grad = torch.ones(1)
        note_reached(reached, network)
    network[2].bias.requires_grad_(False)
    shares = zero_shares(network, reached)
    assert shares == {"0": (0.25, 4), "1": (pytest.approx(2 / 3), 3), "2": (1.0, 1)}


def test_batches_are_those_that_training_sees(monkeypatch, tmp_path):
    trained = []
    original = Trainer.gradients

    def noted(self, images, targets, weights):
        trained.append((images, targets))
        return original(self, images, targets, weights)

    monkeypatch.setattr(Trainer, "gradients", noted)
    tried = trial(folder=tmp_path)
    loaders = create_loaders(tried.data, tried.settings, workers=0, seed=0)
    tried.trainer(tried.settings).train_epoch(loaders.train, 0)
    for (images, targets), (pixels, labels) in zip(trained, seen_batches(tried, 2), strict=False):
        np.testing.assert_allclose(pixels.transpose(0, 3, 1, 2), images.numpy(), atol=0.51)
        np.testing.assert_allclose(labels, targets.numpy())


@pytest.mark.parametrize(
    ("target", "kind", "text"),
    [
        ([0.3, 0.7, 0.0], "multiclass", "shirt 0.70,\nhat 0.30"),
        ([0.01, 0.0, 0.99], "multiclass", "a very long…"),
        ([1.0, 1.0, 0.0], "multilabel", "hat,\nshirt"),
        ([0.0, 0.0, 0.0], "multilabel", "no label"),
        ([12.345678, 0.0, -1.0], "regression", "hat 12.35,\nshirt 0,\na very long… -1"),
    ],
)
def test_labels_are_told_in_words(target, kind, text):
    assert label_text(np.array(target), ["hat", "shirt", "a very long name"], Task(kind)) == text


def test_pictures_are_pngs(tmp_path):
    pixels = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    figures = [
        batches([(pixels, ["$5"] * 5), (np.repeat(pixels, 5, 0), ["hat"] * 25)]),
        one_batch([2.0, float("nan")], "exploding"),
        lr_range([1e-3, 1e-2], [2.0, 1.0], [2.0, 1.0], suggestion=1e-2, config=1e-3),
        lr_range([1e-3, 1e-2], [0.0, 0.0], [0.0, 0.0], suggestion=None, config=1e-3),
    ]
    for figure in figures:
        save(figure, tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


CONFIG = {
    "competition": "tiny",
    "task": {"kind": "multiclass", "target": "label"},
    "folds": {"scheme": "stratified", "n": 3},
    "backbones": {"small": BACKBONE.model_dump()},
    "members": {
        "linear": {"learner": "logistic", "blocks": {"small": 1.0}},
        "net": {"network": "small", "epochs": 1, "batch_size": 4, "lr": 1e-2, "backbone_lr": 1.0},
        "student": {"extends": "net", "distill": {"teacher": "net"}, "start": {"member": "net"}},
    },
    "runtime": {"device": "cpu", "workers": 0},
}


@pytest.fixture
def root(competition_folder):
    """A project with a tiny competition, as the current folder."""
    root, before = competition_folder.parents[1], Path.cwd()
    (root / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    os.chdir(root)
    yield root
    os.chdir(before)


@pytest.mark.slow
def test_the_command_writes_a_whole_check_and_no_model(root):
    done = CliRunner().invoke(app, ["check", "--config", "tiny.yaml", "--member", "net"])
    folder = root / "submissions" / "tiny" / "check" / "net"
    content = json.loads((folder / "check.json").read_text())
    assert done.exit_code == (0 if content["passed"] else 1), done.output
    names = ["start", "one batch", "plain mode", "learning rate", "gradients"]
    assert [result["name"] for result in content["results"]] == names
    assert {path.name for path in folder.iterdir()} == {
        *("check.json", "batches.png", "one_batch.png", "lr_range.png")
    }
    assert not (root / "models").exists()
    visible = {path.name for path in (root / "features" / "tiny").iterdir() if path.name[0] != "."}
    assert visible == {"folds.csv", "groups.csv", "images", "audit.json", "meta.json", "job.log"}
    for name in names:
        assert name in done.output


@pytest.mark.slow
def test_a_student_is_checked_without_its_teacher(root):
    done = CliRunner().invoke(app, ["check", "--config", "tiny.yaml", "--member", "student"])
    assert "checked without `distill`, `start`" in done.output
    folder = root / "submissions" / "tiny" / "check" / "student"
    assert json.loads((folder / "check.json").read_text())["left_out"] == ["distill", "start"]


@pytest.mark.slow
def test_a_failed_check_is_exit_code_1(root, monkeypatch):
    monkeypatch.setattr(learning, "OVERFIT_STEPS", 5)
    overrides = ["members.net.lr=1e-9"]
    done = CliRunner().invoke(
        app, ["check", "--config", "tiny.yaml", "--member", "net", *overrides]
    )
    assert done.exit_code == 1
    assert "plateau" in done.output
    assert "net: something failed" in done.output


def test_what_is_no_network_is_refused(root):
    with pytest.raises(UserError, match=r"MEMBER=linear: no \['linear'\]"):
        make.check("tiny.yaml", [], members="linear")
    (root / "tiny.yaml").write_text(
        yaml.safe_dump(CONFIG | {"members": {"linear": CONFIG["members"]["linear"]}})
    )
    with pytest.raises(UserError, match="no network among its members"):
        make.check("tiny.yaml", [])
