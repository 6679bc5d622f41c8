"""Averaged weights: the moving average's formula, the plain mean, BatchNorm's statistics."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from pipeline.networks.weight_averages import (
    create_average,
    create_weight_mean,
    refresh_batch_norm,
)


def fill(network: nn.Module, value: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)


def batches(*sizes: int, shape: tuple[int, ...] = (3,)) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(images, positions), as a loader gives them."""
    noise = torch.Generator().manual_seed(0)
    return [
        (5 + 2 * torch.randn(size, *shape, generator=noise), torch.arange(size)) for size in sizes
    ]


def test_the_average_follows_its_formula():
    model = nn.BatchNorm1d(1)
    average = create_average(model, decay=0.5)
    expected = 0.0
    for step, value in enumerate([4.0, 8.0, 16.0, 32.0], start=1):
        fill(model, value)
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


def test_the_weight_mean_is_the_mean_and_forgets_where_it_began():
    network = nn.Linear(2, 1)
    fill(network, 100.0)
    mean = create_weight_mean(network)
    for value in (1.0, 2.0, 6.0):
        fill(network, value)
        mean.update_parameters(network)
    torch.testing.assert_close(mean.module.weight, torch.full((1, 2), 3.0))
    torch.testing.assert_close(mean.module.bias, torch.full((1,), 3.0))


def test_a_weight_mean_goes_on_from_its_state():
    network = nn.Linear(2, 1)
    whole = create_weight_mean(network)
    for value in (1.0, 2.0, 6.0):
        fill(network, value)
        whole.update_parameters(network)
        if value == 2.0:
            resumed = create_weight_mean(nn.Linear(2, 1))
            resumed.load_state_dict(whole.state_dict())
    resumed.update_parameters(network)
    assert torch.equal(resumed.module.weight, whole.module.weight)


def test_refreshed_statistics_are_those_of_the_images():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    with torch.no_grad():
        network(torch.full((4, 3), 1e6))  # statistics of a network that is no more
    given = batches(8, 8, 3)
    refresh_batch_norm(network, given)
    everything = torch.cat([images for images, _ in given])
    torch.testing.assert_close(network[0].running_mean, everything.mean(0))
    # Within batches, each counted by its size: what BatchNorm itself would normalise by.
    variance = sum(len(images) * images.var(0) for images, _ in given) / 19
    torch.testing.assert_close(network[0].running_var, variance)
    assert network[0].momentum == 0.1
    assert not any(module.training for module in network.modules())


def test_with_equal_batches_and_no_dropout_it_is_torchs():
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)]
    ours, torchs = (nn.Sequential(*parts, nn.BatchNorm2d(2)) for _ in range(2))
    given = batches(4, 4, shape=(3, 8, 8))
    update_bn(given, torchs)
    expected = {name: buffer.clone() for name, buffer in torchs.named_buffers()}
    ours.train()
    refresh_batch_norm(ours, given)
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(buffer, expected[name])


def test_refreshing_runs_no_dropout_and_draws_nothing():
    network = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(3))
    before, given = torch.get_rng_state(), batches(8)
    refresh_batch_norm(network, given)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(network[1].running_mean, given[0][0].mean(0))


def test_frozen_statistics_are_left():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    network[0].eval()
    refresh_batch_norm(network, batches(8))
    assert torch.equal(network[0].running_mean, torch.zeros(3))
    assert network[1].running_mean.min() > 3


def test_a_network_without_batch_norm_needs_no_images():
    network = nn.Linear(3, 1).train()
    refresh_batch_norm(network, iter(lambda: pytest.fail("read a batch"), None))
    assert not network.training
