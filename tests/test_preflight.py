"""What is tried before a night's work begins."""

import pytest
import torch

from pipeline.config.errors import UserError
from pipeline.config.schema import Config
from pipeline.stages.preflight import try_networks

SMALL = {"arch": "test_efficientnet", "weights": "random", "image_size": 32}


def config(**changes) -> Config:
    raw = {
        "competition": "tiny",
        "task": {"kind": "multiclass", "target": "label"},
        "backbones": {"small": SMALL},
        "members": {"net": {"network": "small"}},
    }
    return Config.model_validate(raw | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbones": {"small": SMALL | {"arch": "test_eficientnet"}}}, "test_efficientnet"),
        ({"backbones": {"small": SMALL | {"weights": "file:nowhere.pth"}}}, "no such file"),
        ({"members": {"net": {"network": "small", "loss": "mse"}}}, "loss mse"),
        (
            {"members": {"net": {"network": "small", "augment": [{"HorizontalFlp": {}}]}}},
            "HorizontalFlip",
        ),
    ],
)
def test_what_would_fail_later_fails_now(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        try_networks(config(**changes), backbones=["small"], members=["net"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"runtime.device: cuda is not there.*cpu"):
        try_networks(config(runtime={"device": "cuda"}), backbones=["small"], members=["net"])


def test_what_fits_passes() -> None:
    try_networks(config(), backbones=["small"], members=["net"])
