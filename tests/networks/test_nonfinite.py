"""A planted NaN is found where it was planted."""

import pytest
import torch
from torch import nn

from pipeline.networks.nonfinite import Origin, find_nonfinite


class Spoiler(nn.Module):
    """Passes on what it gets, but for a NaN, forward or backward."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def forward(self, features):
        if self.where == "forward":
            return features / (features - features)
        return NaNBackward.apply(features) if self.where == "backward" else features * 1


class NaNBackward(torch.autograd.Function):
    @staticmethod
    def forward(context, features):
        return features * 1

    @staticmethod
    def backward(context, gradient):
        return gradient * float("nan")


def network(where: str) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 4),
        nn.ReLU(inplace=True),
        Spoiler(where),
        nn.ReLU(inplace=True),
        nn.Linear(4, 2),
    )


def run(model, *, loss=lambda outputs: (outputs**2).sum()):
    return find_nonfinite(model, lambda: loss(model(torch.ones(3, 4))))


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_planted_nan_is_found(where):
    assert run(network(where)) == Origin(where, "2")


def test_nothing_is_found_where_all_is_finite():
    assert run(network("nowhere")) is None


def test_the_loss_itself_may_be_the_origin():
    model = network("nowhere")
    assert run(model, loss=lambda outputs: outputs.sum() / 0) == Origin("forward", "loss")
    slope = run(model, loss=lambda outputs: (outputs * 0).sqrt().sum())
    assert slope == Origin("backward", "loss")


def test_a_modules_own_weights_may_get_the_nan():
    model = network("nowhere")
    model[4].weight.register_hook(lambda gradient: gradient * float("inf"))
    assert run(model) == Origin("backward", "4")


def test_the_hooks_are_gone_afterwards():
    model = network("forward")
    run(model)
    assert not any(part._forward_hooks for part in model.modules())
