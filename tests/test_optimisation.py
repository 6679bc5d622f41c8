"""Parameter groups, learning rates and averaged weights."""

import math

import pytest
import timm
import torch
from torch import nn

from pipeline.config.errors import UserError
from pipeline.config.schema import Network
from pipeline.networks.optimisation import (
    create_average,
    create_optimizer,
    learning_rate_factor,
    set_learning_rate,
)

SETTINGS = Network(network="b", epochs=4, lr=1e-2, backbone_lr=0.1, weight_decay=0.5, min_lr=1e-3)


@pytest.mark.parametrize("arch", ["test_efficientnet", "test_vit", "test_convnext"])
def test_each_parameter_has_its_rate_and_decay_once(arch):
    model = timm.create_model(arch, num_classes=3)
    optimizer = create_optimizer(model, SETTINGS)
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(found)
    head = model.get_classifier()
    for name, parameter in model.named_parameters():
        lr = 1e-2 if parameter is head.weight or parameter is head.bias else 1e-3
        exempt = parameter.ndim == 1 or name in ("cls_token", "pos_embed", "reg_token")
        assert found[id(parameter)] == (lr, 0.0 if exempt else 0.5), name


def test_the_curve_goes_through_its_points():
    def factor(step):
        return learning_rate_factor(step, total=101, warmup=20, floor=0.1)

    assert factor(0) == pytest.approx(1 / 21)
    assert factor(9) == pytest.approx(10 / 21)
    assert factor(20) == 1
    assert factor(60) == pytest.approx(0.55)  # half way down
    assert factor(40) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert factor(100) == pytest.approx(0.1)


def test_groups_keep_their_proportion_down_to_the_floor():
    optimizer = create_optimizer(timm.create_model("test_efficientnet", num_classes=3), SETTINGS)
    for step, head in {0: 1e-2 / 11, 10: 1e-2, 39: 1e-3}.items():
        assert set_learning_rate(
            optimizer, step, settings=SETTINGS, steps_per_epoch=10
        ) == pytest.approx(head)
        for group in optimizer.param_groups:
            share = 1.0 if group["name"] == "head" else 0.1
            assert group["lr"] == pytest.approx(head * share)


def test_warm_up_leaves_a_short_run_half_of_its_steps():
    optimizer = create_optimizer(timm.create_model("test_efficientnet", num_classes=3), SETTINGS)
    short = SETTINGS.model_copy(update={"epochs": 1, "warmup_epochs": 5.0})
    rates = [
        set_learning_rate(optimizer, step, settings=short, steps_per_epoch=10) for step in range(10)
    ]
    assert rates.index(max(rates)) == 5
    assert rates[-1] == pytest.approx(1e-3)


def test_the_average_follows_its_formula():
    model = nn.BatchNorm1d(1)
    average = create_average(model, decay=0.5)
    expected = 0.0
    for step, value in enumerate([4.0, 8.0, 16.0, 32.0], start=1):
        with torch.no_grad():
            model.bias.fill_(value)
            model.running_mean.fill_(value)
        average.update(model, step=step)
        # The decay warms up: 0, 1 - 2^(-2/3) = 0.37, then 1 - 3^(-2/3) = 0.52, held at 0.5.
        decay = min(0.5, 1 - step ** (-2 / 3))
        expected = decay * expected + (1 - decay) * value
        assert average.module.bias.item() == pytest.approx(expected, rel=1e-6)
        assert average.module.running_mean.item() == pytest.approx(expected, rel=1e-6)


def test_no_decay_is_no_average():
    model = nn.Linear(2, 1)
    average = create_average(model, decay=0.0)
    for step in range(1, 6):
        with torch.no_grad():
            model.weight.normal_()
        average.update(model, step=step)
        assert torch.equal(average.module.weight, model.weight)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(UserError, match="adamw"):
        create_optimizer(nn.Linear(1, 1), SETTINGS.model_copy(update={"optimizer": "adamww"}))
