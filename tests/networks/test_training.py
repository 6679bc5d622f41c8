"""Training: it learns, starts from the prior, and resumes to the same bytes."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_training import (
    BACKBONE,
    SETTINGS,
    SIZE,
    TARGETS,
    Patches,
    fit,
    new_trainer,
    training_data,
    written,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.config.schema import Backbone
from pipeline.core.task import Task
from pipeline.errors import JobFailed, UserError
from pipeline.images.batches import FoldImages
from pipeline.networks import trainer as trainer_module
from pipeline.networks import training_run
from pipeline.networks.network import load_network
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_run import TrainingRun

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an uninterrupted run leaves."""
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    return written(folder)


@pytest.fixture
def dying(monkeypatch):
    """Let the run die at a step, counted over epochs from 1, or at the n-th call of a function."""

    def arrange(owner, function, call):
        original, calls = getattr(owner, function), []

        def dies(*args, **kwargs):
            calls.append(1)
            if len(calls) == call:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, function, dies)
        return lambda: monkeypatch.setattr(owner, function, original)

    return arrange


@pytest.fixture
def scored(monkeypatch):
    """Let epochs score and lose as told, also of a run that is continued."""

    def arrange(**columns):
        validate = TrainingRun._validate

        def given(run):
            found = {key: values[run.loaders.batches.epoch] for key, values in columns.items()}
            return validate(run) | found

        monkeypatch.setattr(TrainingRun, "_validate", given)

    return arrange


@pytest.mark.parametrize(
    ("owner", "function", "call"),
    [
        (Trainer, "gradients", 9),
        (training_run, "_save_checkpoint", 2),
        (training_run, "save_weights", 1),
        (TrainingRun, "_write_snapshot", 1),
    ],
)
def test_a_killed_run_with_patience_ends_with_the_same_bytes(
    scored, dying, tmp_path, owner, function, call
):
    data = training_data(num_inner=9)
    scored(inner_score=[0.5, 0.9, 0.7])
    assert fit(tmp_path / "whole", data=data, patience=2)["epoch_used"] == 2
    revive = dying(owner, function, call)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "killed", data=data, patience=2)
    revive()
    fit(tmp_path / "killed", data=data, patience=2)
    assert written(tmp_path / "killed") == written(tmp_path / "whole")


@pytest.mark.parametrize(
    ("owner", "function", "call"),
    [
        (Trainer, "gradients", 3),  # in the first epoch
        (Trainer, "gradients", 9),  # in the second
        (training_run, "save_weights", 1),
        (training_run, "_save_checkpoint", 2),  # the epoch is in log.csv, not in last.pt
        (TrainingRun, "_write_snapshot", 1),
    ],
)
def test_a_killed_run_ends_with_the_same_bytes(whole, dying, tmp_path, owner, function, call):
    revive = dying(owner, function, call)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path)
    assert (tmp_path / "weights.safetensors").exists() == (function == "_write_snapshot")
    revive()
    fit(tmp_path)
    assert written(tmp_path) == whole
    assert [path.name for path in tmp_path.glob(".*")] == [".last.pt.sha256"]


def test_each_step_and_each_epoch_is_logged_for_tensorboard(tmp_path):
    fit(tmp_path)
    (folder,) = (tmp_path / "tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    steps = [entry.step for entry in events.Scalars("step/loss")]
    losses = [entry.value for entry in events.Scalars("step/loss")]
    assert steps == list(range(len(steps)))
    of_epochs = [entry.value for entry in events.Scalars("loss")]
    assert len(steps) > len(of_epochs) == SETTINGS.epochs
    means = np.mean(np.reshape(losses, (SETTINGS.epochs, -1)), axis=1)
    assert of_epochs == pytest.approx(means, rel=1e-5)
    assert {"step/lr", "step/gradient_norm"} <= set(events.Tags()["scalars"])


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_under_tensorboard_is_one_error(tmp_path, monkeypatch):
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", b"events.out")

    monkeypatch.setattr("tensorboard.compat.tensorflow_stub.io.gfile.GFile.write", write)
    with pytest.raises(OSError, match="No space left"):
        fit(tmp_path)


def test_a_run_continues_and_does_not_start_over(dying, tmp_path, monkeypatch):
    revive = dying(Trainer, "gradients", 9)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path)
    revive()
    epochs, original = [], Trainer.train_epoch

    def noted(self, loader, epoch):
        epochs.append(epoch)
        return original(self, loader, epoch)

    monkeypatch.setattr(Trainer, "train_epoch", noted)
    fit(tmp_path)
    assert epochs == [1, 2]


def test_workers_change_nothing(whole, tmp_path):
    fit(tmp_path, workers=2)
    assert written(tmp_path) == whole


def test_another_seed_gives_other_weights(whole, tmp_path):
    fit(tmp_path, seed=1)
    assert written(tmp_path)["weights.safetensors"] != whole["weights.safetensors"]


@pytest.mark.parametrize("kind", TARGETS)
def test_each_task_learns_colours(kind, tmp_path):
    scores = fit(tmp_path, kind=kind, epochs=8, mixup=0.0, dropout=0.0, drop_path=0.0)
    if kind == "regression":
        assert scores["score"] < 8  # standard deviation: 24
    elif kind == "ordinal":
        assert scores["score"] < 0.7  # the mean absolute deviation of a constant: 1
    else:
        assert scores["score"] > 0.9


def test_the_loaded_network_predicts_what_was_scored(tmp_path):
    fit(tmp_path, kind="regression")
    network = load_network(tmp_path, SETTINGS, BACKBONE, num_classes=1, task=Task("regression"))
    images = FoldImages(Patches(), np.arange(45, 60), image_size=SIZE, cut="crop")
    batch = torch.stack([images[0, position, 0][0] for position in range(15)])
    values = network.predict_values(batch).numpy()
    rmse = np.sqrt(np.mean((values - TARGETS["regression"][45:]) ** 2))
    snapshot = json.loads((tmp_path / "snapshot.json").read_text())
    assert snapshot["scores"]["score"] == pytest.approx(rmse, rel=1e-5)


def test_parts_of_a_batch_add_up_to_its_gradient():
    # A transformer: BatchNorm's statistics are those of a part, which is as it should be.
    vit = Backbone(arch="test_vit", weights="random", image_size=160)
    images = torch.randint(0, 256, (7, 3, 160, 160), generator=torch.manual_seed(0))
    gradients = []
    for accumulate in (1, 3):
        trainer = new_trainer(vit, accumulate=accumulate, dropout=0.0, drop_path=0.0, clip_norm=0.0)
        torch.nn.init.normal_(trainer.network.head.last.weight, std=0.02)
        trainer.gradients(images, trainer.targets[:7], torch.arange(7.0))
        gradients.append([parameter.grad for parameter in trainer.network.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


@pytest.fixture
def full_memory(monkeypatch):
    """Memory for four images; return how many were asked for, each time."""
    original, asked = Trainer.loss_of, []

    def loss_of(trainer, images, targets, weights):
        asked.append(len(images))
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return original(trainer, images, targets, weights)

    monkeypatch.setattr(Trainer, "loss_of", loss_of)
    return asked


def test_a_batch_that_does_not_fit_is_split_from_then_on_and_trains_the_same(
    full_memory, tmp_path, caplog
):
    fit(tmp_path / "split", batch_size=16)
    # Of 45 rows there are three batches of 15; the first finds the number of parts.
    assert full_memory[:6] == [15, 8, 4, 4, 4, 3]
    assert max(full_memory[2:]) == 4
    assert len([text for text in caplog.messages if "out of memory" in text]) == 2
    assert "computed in 4 parts from now on. accumulate: 4" in caplog.messages[-1]
    fit(tmp_path / "asked", batch_size=16, accumulate=4)
    names = ("weights.safetensors", "log.csv")
    for name in names:
        assert (tmp_path / "split" / name).read_bytes() == (tmp_path / "asked" / name).read_bytes()


def test_a_resumed_run_knows_that_memory_ran_out(full_memory, dying, tmp_path):
    mend = dying(Trainer, "train_epoch", 2)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, batch_size=16)
    mend()
    del full_memory[:]
    fit(tmp_path, batch_size=16)
    assert max(full_memory) == 4


def test_two_images_that_do_not_fit_end_the_fold(monkeypatch, tmp_path):
    def loss_of(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "loss_of", loss_of)
    with pytest.raises(torch.OutOfMemoryError):
        fit(tmp_path, batch_size=16)


def test_gradients_are_clipped_to_their_norm():
    images = torch.randint(0, 256, (8, 3, SIZE, SIZE), generator=torch.manual_seed(0))
    trainer = new_trainer(clip_norm=0.01)
    _, norm = trainer.gradients(images, trainer.targets[:8], torch.ones(8))
    squares = [parameter.grad.square().sum() for parameter in trainer.network.parameters()]
    assert norm > 0.01
    assert torch.stack(squares).sum().sqrt().item() == pytest.approx(0.01, rel=1e-3)


def test_balanced_classes_weigh_in_loss_and_start():
    targets = np.eye(3)[[0] * 6 + [1] * 2 + [2]]
    trainer = new_trainer(
        data=training_data(targets=np.tile(targets, (5, 1))),
        class_weights="balanced",
        label_smoothing=0.0,
    )
    trainer.network.eval()
    values = trainer.network.predict_values(torch.zeros(2, 3, SIZE, SIZE))
    torch.testing.assert_close(values, torch.full((2, 3), 1 / 3))
    losses = trainer.loss(torch.zeros(3, 3), torch.eye(3))
    torch.testing.assert_close(losses / losses[0], torch.tensor([1.0, 3.0, 6.0]))


NAN = float("nan")


@pytest.mark.parametrize(
    ("inner_score", "inner_loss", "used"),
    [
        ([0.5, 0.7, 0.6, 0.7], [0.9, 0.8, 0.1, 0.8], 2),
        ([0.5, 0.7, 0.7, 0.6, 0.7], [0.9, 0.8, 0.7, 0.1, 0.9], 3),  # of equals the lower loss
        ([NAN, NAN, NAN, NAN], [0.9, 0.7, 0.8, 0.7], 2),
        ([NAN, 0.1, NAN, 0.05], [0.2, 0.9, 0.1, 0.1], 2),
    ],
)
def test_patience_takes_the_epoch_that_is_best_on_inner_rows(
    tmp_path, scored, inner_score, inner_loss, used
):
    scored(inner_score=inner_score, inner_loss=inner_loss, val_score=[0.9, 0.1, 0.2, 0.8, 0.95])
    found = fit(tmp_path, data=training_data(num_inner=9), epochs=9, patience=2)
    assert (found["epochs"], found["epoch_used"]) == (len(inner_score), used)
    assert found["score"] == [0.9, 0.1, 0.2][used - 1]
    assert found["inner_loss"] == inner_loss[used - 1]
    kept = torch.load(tmp_path / "last.pt", weights_only=True)["best"]
    torch.testing.assert_close(load_file(tmp_path / "weights.safetensors"), kept, rtol=0, atol=0)


def test_a_run_that_ends_before_its_patience_takes_the_best_epoch_too(tmp_path, scored):
    scored(inner_score=[0.5, 0.9, 0.7])
    found = fit(tmp_path, data=training_data(num_inner=9), patience=5)
    assert (found["epochs"], found["epoch_used"]) == (3, 2)


def test_a_metric_that_inner_rows_leave_undefined_is_named(tmp_path, caplog):
    data = replace(training_data("binary", num_inner=9), inner_targets=np.eye(2)[[0] * 9])
    fit(tmp_path, kind="binary", metric="roc_auc", data=data, epochs=1, patience=1)
    assert "roc_auc is undefined on the 9 rows that decide when to stop" in caplog.text


def test_labels_of_held_out_rows_reach_no_weight(tmp_path):
    """Their scores and losses do change, and with them what early stopping would do by them."""
    wrong = TARGETS["multiclass"].copy()
    wrong[45:] = np.roll(wrong[45:], 1, axis=1)
    folders, found = (tmp_path / "right", tmp_path / "wrong"), []
    for folder, targets in zip(folders, (None, wrong), strict=True):
        data = training_data(targets=targets, num_inner=9)
        found.append(fit(folder, data=data, epochs=8, patience=2, lr=3e-3, mixup=0.0))
    right, other = map(written, folders)
    assert right["weights.safetensors"] == other["weights.safetensors"]
    assert found[0]["epoch_used"] == found[1]["epoch_used"]
    assert found[0]["epochs"] == found[1]["epochs"]
    assert found[0]["val_loss"] != found[1]["val_loss"]


def test_without_patience_the_last_epoch_is_used(whole, tmp_path, scored):
    scored(val_score=[0.9, 0.7, 0.6])
    found = fit(tmp_path)
    assert (found["epoch_used"], found["score"]) == (3, 0.6)
    assert written(tmp_path)["weights.safetensors"] == whole["weights.safetensors"]
    kept = torch.load(tmp_path / "last.pt", weights_only=True)["best"]
    assert kept is None  # nothing is chosen by the held-out rows


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    original, calls = training_run.Trainer.gradients, []

    def poisoned(self, images, targets, weights):
        calls.append(1)
        if len(calls) == 9:
            with torch.no_grad():
                self.network.backbone.conv_head.weight[0] = float("inf")
        return original(self, images, targets, weights)

    monkeypatch.setattr(training_run.Trainer, "gradients", poisoned)
    with pytest.raises(JobFailed, match="net fold 0 epoch 2 step 3: the loss is nan") as caught:
        fit(tmp_path)
    assert "first in the forward pass of backbone.conv_head." in str(caught.value)
    batch = torch.load(tmp_path / "failed_batch.pt")
    assert batch["images"].shape[1:] == (3, SIZE, SIZE)
    torch.testing.assert_close(batch["targets"].sum(1), torch.ones(len(batch["images"])))
    assert not (tmp_path / "weights.safetensors").exists()
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


def test_a_gradient_that_is_not_finite_is_traced_to_its_module(tmp_path, monkeypatch):
    create = trainer_module.create_network

    def spoiled(*args, **kwargs):
        network = create(*args, **kwargs)
        torch.nn.init.normal_(network.head.last.weight)  # zeros let no gradient through
        network.backbone.bn2.weight.register_hook(lambda gradient: gradient * float("nan"))
        return network

    monkeypatch.setattr(trainer_module, "create_network", spoiled)
    with pytest.raises(JobFailed, match=r"gradient is nan.* backward pass of backbone\.bn2"):
        fit(tmp_path)


def test_plain_is_without_chance(tmp_path, monkeypatch):
    seen = []
    original = training_run.Trainer.gradients

    def noted(self, images, targets, weights):
        seen.append((images.dtype, targets.max(1).values.min().item()))
        return original(self, images, targets, weights)

    monkeypatch.setattr(training_run.Trainer, "gradients", noted)
    fit(tmp_path, plain=True, epochs=1)
    assert set(seen) == {(torch.uint8, 1.0)}


def test_weights_that_are_absent_or_do_not_fit_are_refused(tmp_path):
    with pytest.raises(UserError, match="make train"):
        load_network(tmp_path, SETTINGS, BACKBONE, num_classes=3, task=Task("multiclass"))
    fit(tmp_path, epochs=1)
    with pytest.raises(UserError, match="does not fit test_efficientnet with 4 outputs"):
        load_network(tmp_path, SETTINGS, BACKBONE, num_classes=4, task=Task("multiclass"))


def test_epochs_are_scored_at_the_threshold_of_the_submission(tmp_path):
    data = replace(training_data("multilabel"), task=Task("multilabel", threshold=0.999))
    found = fit(tmp_path, kind="multilabel", metric="f1_macro", data=data, epochs=1)
    assert found["score"] == 0  # at 0.5 most columns would be yes
