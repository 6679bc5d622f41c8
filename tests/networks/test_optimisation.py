"""The optimizer: which one, over what."""

import pytest
import timm
import torch
from torch import nn

from pipeline.config.schema import Network
from pipeline.errors import UserError
from pipeline.networks.adabound import AdaBound
from pipeline.networks.optimisation import create_optimizer

SETTINGS = Network(network="b", lr=1e-2, backbone_lr=0.1, weight_decay=0.5)


class Tiny(nn.Module):
    """The parts of an ImageNetwork."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("test_efficientnet", num_classes=0)
        self.head = nn.Linear(self.backbone.num_features, 3)


def optimizer_named(name: str, **keys) -> torch.optim.Optimizer:
    return create_optimizer(Tiny(), SETTINGS.model_copy(update={"optimizer": name, **keys}))


@pytest.mark.parametrize(("name", "expected"), [("adamw", "AdamW"), ("lamb", "Lamb")])
def test_timms_are_found_by_name(name, expected):
    assert type(optimizer_named(name)).__name__ == expected


@pytest.mark.parametrize("name", ["adamw", "sgd", "adabound"])
def test_groups_reach_the_optimizer(name):
    groups = [(g["name"], g["lr"], g["weight_decay"]) for g in optimizer_named(name).param_groups]
    backbone = pytest.approx(1e-3)
    assert groups == [
        *(("head", 1e-2, 0.5), ("head", 1e-2, 0.0)),
        *(("backbone", backbone, 0.5), ("backbone", backbone, 0.0)),
    ]


def test_sgd_has_nesterovs_momentum():
    for group in optimizer_named("sgd").param_groups:
        assert (group["momentum"], group["nesterov"]) == (0.9, True)


def test_adabound_knows_the_scaled_rate():
    optimizer = optimizer_named("adabound", scale_lr=True, batch_size=64)
    assert isinstance(optimizer, AdaBound)
    assert optimizer.defaults["lr"] == optimizer.param_groups[0]["lr"] == pytest.approx(2.5e-3)


@pytest.mark.parametrize(
    ("name", "near"),
    [("adamww", "adamw"), ("adabond", "adabound"), ("adahessian", "did you mean `adan`")],
)
def test_an_unknown_optimizer_is_refused(name, near):
    with pytest.raises(UserError, match=f"'{name}'.*{near}"):
        optimizer_named(name)
