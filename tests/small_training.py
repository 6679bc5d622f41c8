"""A training of seconds: tiny images, a tiny network, and what it writes."""

from pathlib import Path

import numpy as np
import torch

from pipeline.backbones.device import Hardware
from pipeline.config.schema import Backbone, Network
from pipeline.core.task import Task
from pipeline.metrics.find_metric import get_metric
from pipeline.networks import training_run
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import TrainingData

SIZE = 32
BACKBONE = Backbone(arch="test_efficientnet", weights="random", image_size=SIZE)
SETTINGS = Network(
    network="b",
    epochs=3,
    batch_size=8,
    augment="light",
    mixup=0.4,
    lr=1e-2,
    backbone_lr=1.0,
    dropout=0.2,
    drop_path=0.1,
)


class Patches:
    """Stands for the image cache: row r is noise, bright in the channel r % 3."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, row: int) -> np.ndarray:
        image = np.random.default_rng(row).integers(0, 120, (37, 41, 3), dtype=np.uint8)
        image[..., row % 3] += 120
        return image


CLASSES = np.eye(3)[np.arange(60) % 3]
TARGETS = {
    "multiclass": CLASSES,
    "ordinal": CLASSES,
    "multilabel": 1 - CLASSES,
    "regression": 1000 + 50 * CLASSES[:, :1],
    "binary": np.eye(2)[(np.arange(60) % 3 == 0).astype(int)],
}
METRICS = {"regression": "rmse", "ordinal": "mae"}


# All keys that are not of a kind that excludes another.
EVERYTHING = {
    "channels": 4,
    "pool": "gem",
    "stages": [1],
    "head": "mlp",
    "hidden": 64,
    "dropout_samples": 2,
    "init": "xavier",
    "bias": "rare",
    "loss": {"cross_entropy": 1.0, "focal": 0.5},
    "loss_balance": "learned",
    "class_weights": "effective",
    "sampling": "balanced",
    "augment": [{"RandAugment": {}}, {"ColorJitter": {"brightness": "measured"}}],
    "cutmix": 1.0,
    "ricap": 0.3,
    "mosaic": 1.0,
    "mix_probability": 0.8,
    "optimizer": "adabound",
    "scale_lr": True,
    "layer_decay": 0.7,
    "freeze": 1,
    "unfreeze_every": 1,
    "batch_norm": "freeze",
    "schedule": "restarts",
    "swa_epochs": 2,
}


def training_data(
    kind="multiclass", *, image_size=SIZE, targets=None, num_inner=0, **more
) -> TrainingData:
    """45 rows to learn from, the last of which decide when to stop, and 15 held out."""
    targets = TARGETS[kind] if targets is None else targets
    num_learnt = 45 - num_inner
    return TrainingData(
        cache=Patches(),
        image_size=image_size,
        cut="crop",
        task=Task(kind, levels=np.array([1.0, 2.0, 4.0]) if kind == "ordinal" else None),
        rows=np.arange(num_learnt),
        targets=targets[:num_learnt],
        weights=np.ones(num_learnt),
        inner_rows=np.arange(num_learnt, 45),
        inner_targets=targets[num_learnt:45],
        valid_rows=np.arange(45, 60),
        valid_targets=targets[45:],
        **more,
    )


def fit(
    folder,
    *,
    kind="multiclass",
    device="cpu",
    precision="32",
    workers=0,
    seed=0,
    settings=SETTINGS,
    data=None,
    metric=None,
    **changes,
):
    run = training_run.TrainingRun(
        folder,
        settings.model_copy(update={"seed": seed, **changes}),
        BACKBONE,
        data or training_data(kind),
        metric=get_metric(metric or METRICS.get(kind, "accuracy"), kind),
        hardware=Hardware(torch.device(device), precision, workers),
        name="net fold 0",
    )
    return run.train()


def written(folder):
    names = ("weights.safetensors", "log.csv", "snapshot.json")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def new_trainer(backbone=BACKBONE, *, folder=None, data=None, **changes):
    return Trainer(
        training_run.create_fabric(Hardware(torch.device("cpu"), "32")),
        SETTINGS.model_copy(update=changes),
        backbone,
        data or training_data(image_size=backbone.image_size),
        folder=folder or Path("unused"),
        name="net fold 0",
        seed=0,
    )
