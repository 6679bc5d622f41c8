"""Each trick in a whole training: the key turns it on, and it does what it says."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_training import BACKBONE, EVERYTHING, SIZE, fit, new_trainer, training_data, written

from pipeline.backbones.create import create_backbone
from pipeline.config.schema import Network
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_run import TrainingRun

# Without chance: two trainings differ by what a test changes alone.
CALM = {"augment": "none", "mixup": 0.0, "dropout": 0.0, "drop_path": 0.0}


def weights_of(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def teacher_of(targets, share=0.8) -> np.ndarray:
    return share * targets + (1 - share) / targets.shape[1]


def test_all_tricks_together_are_continued_to_the_same_bytes(tmp_path, monkeypatch):
    fit(tmp_path / "whole", **EVERYTHING)
    original, calls = Trainer.train_epoch, []

    def dies(self, loader, epoch):
        calls.append(epoch)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, loader, epoch)

    monkeypatch.setattr(Trainer, "train_epoch", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "killed", **EVERYTHING)
    fit(tmp_path / "killed", **EVERYTHING)
    assert calls == [0, 1, 2, 2]
    assert written(tmp_path / "killed") == written(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["multilabel", "regression", "ordinal"])
def test_other_tasks_learn_from_a_sum_and_a_teacher(kind, tmp_path):
    sums = {
        "multilabel": {"bce": 1.0, "focal": 1.0},
        "regression": {"mse": 1.0, "huber": 0.5},
        "ordinal": {"cumulative": 1.0, "cross_entropy": 0.5},
    }
    data = training_data(kind)
    data = training_data(
        kind, teacher=teacher_of(data.targets) if kind != "regression" else data.targets
    )
    distill = Network(network="b", distill={"teacher": "t"}).distill
    scores = fit(tmp_path, kind=kind, data=data, loss=sums[kind], distill=distill, epochs=8, **CALM)
    best = {"multilabel": 0.9, "regression": 12, "ordinal": 0.7}[kind]
    assert scores["score"] > best if kind == "multilabel" else scores["score"] < best


@pytest.mark.parametrize("loss", ["am_softmax", "cosface", "arcface"])
def test_margin_losses_learn_colours(loss, tmp_path):
    scores = fit(tmp_path, loss=loss, head="cosine", epochs=8, **CALM)
    assert scores["score"] > 0.9


def test_masks_of_dropout_share_one_mean_loss():
    images = torch.randint(0, 256, (6, 3, SIZE, SIZE), generator=torch.manual_seed(0))
    losses = []
    for samples in (1, 3):
        trainer = new_trainer(dropout_samples=samples, init="xavier", **CALM)
        loss = trainer.loss_of(images, trainer.targets[:6], torch.arange(6.0))
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)  # without dropout masks are alike


def test_a_students_loss_is_the_stated_mixture():
    data = training_data()
    teacher = teacher_of(data.targets)
    distill = Network(
        network="b", distill={"teacher": "t", "weight": 0.3, "temperature": 1}
    ).distill
    trainer = new_trainer(data=training_data(teacher=teacher), distill=distill, label_smoothing=0.0)
    rows = torch.arange(4)
    logits = torch.randn(4, 3, generator=torch.manual_seed(0))
    logs = logits.log_softmax(1)
    own, taught = (torch.tensor(t[:4], dtype=torch.float32) for t in (data.targets, teacher))
    divergence = (taught * (taught.log() - logs)).sum(1)
    expected = 0.7 * -(own * logs).sum(1) + 0.3 * divergence
    torch.testing.assert_close(trainer.loss(logits, trainer.targets[rows]), expected)
    torch.testing.assert_close(trainer.labels_loss(logits, own), -(own * logs).sum(1))


def test_the_weights_to_use_are_the_mean_of_the_last_epochs(tmp_path, monkeypatch):
    original, ends = Trainer.train_epoch, []

    def noted(self, loader, epoch):
        result = original(self, loader, epoch)
        ends.append({name: p.detach().clone() for name, p in self.network.named_parameters()})
        return result

    monkeypatch.setattr(Trainer, "train_epoch", noted)
    fit(tmp_path, epochs=4, swa_epochs=3)
    found = weights_of(tmp_path)
    for name in ends[0]:
        mean = torch.stack([end[name] for end in ends[1:]]).mean(0)
        torch.testing.assert_close(found[name], mean, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found["head.last.weight"], ends[-1]["head.last.weight"], rtol=1e-3)


def test_frozen_stages_stay_as_they_were_pretrained(tmp_path):
    before = create_backbone(BACKBONE).state_dict()
    fit(tmp_path, epochs=1, freeze=2, **CALM)
    after = weights_of(tmp_path)
    same = {n for n, value in before.items() if torch.equal(value, after[f"backbone.{n}"])}
    assert {"conv_stem.weight", "bn1.running_mean", "bn1.weight", "blocks.0.0.conv.weight"} <= same
    assert not any(name.startswith("conv_head") for name in same)


def test_frozen_batch_norm_learns_weights_but_no_statistics(tmp_path):
    before = create_backbone(BACKBONE).state_dict()
    fit(tmp_path, epochs=1, batch_norm="freeze", **CALM)
    after = weights_of(tmp_path)
    assert torch.equal(before["bn1.running_mean"], after["backbone.bn1.running_mean"])
    assert not torch.equal(before["bn1.weight"], after["backbone.bn1.weight"])


def test_a_learned_balance_is_learned(tmp_path):
    sums = {"cross_entropy": 1.0, "focal": 1.0}
    fit(tmp_path, loss=sums, loss_balance="learned", epochs=2, **CALM)
    moved = weights_of(tmp_path)["loss_log_variances"]
    assert (moved != 0).all()
    assert moved[0] > moved[1]  # the larger loss counts less


@pytest.mark.parametrize("head", ["new", "keep"])
def test_a_network_starts_from_anothers_weights(tmp_path, head):
    fit(tmp_path / "first", epochs=1, init="xavier", **CALM)
    first = weights_of(tmp_path / "first")
    start = Network(network="b", start={"member": "first", "head": head}).start
    data = training_data(start_weights=tmp_path / "first" / "weights.safetensors")
    trainer = new_trainer(data=data, start=start)
    state = trainer.network.state_dict()
    body = [name for name in first if name.startswith("backbone.")]
    assert all(torch.equal(state[name], first[name]) for name in body)
    kept = torch.equal(state["head.last.weight"], first["head.last.weight"])
    assert kept is (head == "keep")
    assert torch.equal(
        trainer.average.module.state_dict()["backbone.bn1.weight"], first["backbone.bn1.weight"]
    )


def test_balanced_sampling_balances_the_start_and_is_not_balanced_again(tmp_path):
    targets = np.eye(3)[[0] * 10 + [1] * 3 + [2] * 2]
    data = training_data(targets=np.tile(targets, (4, 1)))
    trainer = new_trainer(data=data, sampling="balanced", class_weights="balanced")
    values = trainer.network.eval().predict_values(torch.zeros(2, 3, SIZE, SIZE))
    torch.testing.assert_close(values, torch.full((2, 3), 1 / 3))
    losses = trainer.labels_loss(torch.zeros(3, 3), torch.eye(3))
    torch.testing.assert_close(losses, losses[:1].expand(3))


def test_rows_that_weigh_more_are_drawn_more_and_weigh_the_same():
    data = training_data()
    data.weights[:5] = 4.0
    trainer = new_trainer(data=data, sampling="weighted")
    assert trainer.weights.tolist() == [1.0] * 45


def test_an_epoch_says_its_losses_and_how_long_those_to_come_take(tmp_path, caplog):
    with caplog.at_level("INFO"):
        fit(tmp_path, epochs=2)
    first, last = (text for text in caplog.messages if text.startswith("epoch "))
    number = r"[\d.e+-]+"
    scores = rf"loss {number} · held-out loss {number} · \w+ {number}"
    assert re.fullmatch(rf"epoch 1/2 · {scores} · \d+s left", first)
    assert re.fullmatch(rf"epoch 2/2 · {scores}", last)


def test_the_time_left_is_the_mean_of_the_epochs_so_far():
    run = SimpleNamespace(settings=SimpleNamespace(epochs=5), history=[{}, {}], seconds=[9.0, 11.0])
    assert list(TrainingRun._time_left(run)) == ["30s left"]
    run.history += [{}] * 3
    assert list(TrainingRun._time_left(run)) == []


def test_an_epochs_cost_and_what_learns_are_details(tmp_path, caplog):
    with caplog.at_level("DEBUG", logger="pipeline"):
        fit(tmp_path, epochs=1)
    (line,) = [text for text in caplog.messages if "images/s" in text]
    assert "waiting for data, peak memory" in line
    (groups,) = [text for text in caplog.messages if text.startswith("learning: ")]
    assert "head: 1 tensors" in groups
    assert "backbone: " in groups
