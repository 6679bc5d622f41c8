"""The optimizer: which one, over which parameters; AdaBound: Adam first, SGD last."""

import pytest
import timm
import torch
from torch import nn

from pipeline.config.schema import Network
from pipeline.errors import UserError
from pipeline.networks.optimisation import AdaBound, create_optimizer

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


def weight(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def step(optimizer: AdaBound, parameter: nn.Parameter, gradient: list[float]) -> torch.Tensor:
    """The change that one step makes."""
    before = parameter.detach().clone()
    parameter.grad = torch.tensor(gradient, dtype=parameter.dtype)
    optimizer.step()
    return parameter.detach() - before


def test_the_first_step_by_hand():
    # Adam's rate for a gradient of 2: 0.001 * sqrt(0.001) / 0.1 / (2 * sqrt(0.001)) = 0.005,
    # for 0.01: 1; for 1000: 1e-5. Bounds at t = 1: 0.1 * (1 - 1 / 1.001) = 9.99e-5 and
    # 0.1 * 1001 = 100.1. The mean is 0.1 of the gradient.
    parameter = weight(1.0, 1.0, 1.0)
    change = step(AdaBound([{"params": [parameter]}]), parameter, [2.0, 0.01, 1000.0])
    lower = 0.1 * (1 - 1 / 1.001)
    expected = torch.tensor([-0.005 * 0.2, -0.001, -lower * 100.0], dtype=torch.float64)
    torch.testing.assert_close(change, expected, rtol=1e-4, atol=0)


def test_with_open_bounds_it_is_adam():
    ours, adams = weight(1.0, -2.0), weight(1.0, -2.0)
    optimizer = AdaBound([{"params": [ours]}], lr=0.01, final_lr=1.0, gamma=1e-12)
    adam = torch.optim.Adam([adams], lr=0.01)
    for gradient in ([1.0, 2.0], [-3.0, 0.5], [0.1, 0.2]):
        step(optimizer, ours, gradient)
        step(adam, adams, gradient)
    torch.testing.assert_close(ours, adams, rtol=1e-6, atol=0)


def test_late_it_is_sgd_with_the_final_rate():
    parameter = weight(0.0, 0.0)
    optimizer = AdaBound([{"params": [parameter]}], betas=(0.0, 0.999))
    step(optimizer, parameter, [1.0, 1.0])
    optimizer.state[parameter]["step"] = 10**9
    change = step(optimizer, parameter, [3.0, -0.01])
    torch.testing.assert_close(
        change, torch.tensor([-0.3, 0.001], dtype=torch.float64), rtol=1e-4, atol=0
    )


def test_the_final_rate_obeys_schedules_and_shares():
    head, backbone = weight(0.0), weight(0.0)
    groups = [{"params": [head]}, {"params": [backbone], "lr": 3e-4}]
    optimizer = AdaBound(groups, lr=1e-3, betas=(0.0, 0.999))
    for parameter in (head, backbone):
        optimizer.state[parameter].update(
            step=10**9, mean=torch.zeros(1).double(), square=torch.ones(1).double()
        )
    for group in optimizer.param_groups:
        group["lr"] /= 2
    head.grad = backbone.grad = torch.ones(1).double()
    optimizer.step()
    assert head.item() == pytest.approx(-0.05, rel=1e-4)
    assert backbone.item() == pytest.approx(-0.015, rel=1e-4)


def test_decay_is_decoupled_and_in_proportion_to_the_rate():
    parameter = weight(4.0)
    optimizer = AdaBound([{"params": [parameter]}], lr=0.01, weight_decay=0.5)
    assert step(optimizer, parameter, [0.0]).item() == pytest.approx(-4.0 * 0.01 * 0.5)


def test_no_gradient_is_no_step_and_no_decay():
    parameter = weight(4.0)
    optimizer = AdaBound([{"params": [parameter]}], weight_decay=0.5)
    optimizer.step()
    assert parameter.item() == 4.0
    assert not optimizer.state


def test_a_resumed_run_takes_the_same_steps():
    whole, resumed = weight(1.0, 2.0), weight(1.0, 2.0)
    first, second = (AdaBound([{"params": [p]}]) for p in (whole, resumed))
    for optimizer, parameter in ((first, whole), (second, resumed)):
        step(optimizer, parameter, [1.0, -1.0])
    third = AdaBound([{"params": [resumed]}])
    third.load_state_dict(second.state_dict())
    assert torch.equal(step(first, whole, [0.5, 3.0]), step(third, resumed, [0.5, 3.0]))
