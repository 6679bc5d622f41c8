"""Mixing: targets follow pixels and weights, counted; the right method, the right share."""

from functools import partial

import numpy as np
import pytest
import torch

from pipeline.config.network import Inputs
from pipeline.config.schema import Network
from pipeline.core.task import Task
from pipeline.networks import mixing
from pipeline.networks.losses import create_loss, distilled
from pipeline.networks.mixing import cutmix, mix_batch, mixup, mosaic, ricap

PASTING = [(cutmix, {"alpha": 1.0}), (ricap, {"beta": 0.5}), (mosaic, {"beta": 0.5})]
METHODS = [(mixup, {"alpha": 0.4}), *PASTING]
ALL_ON = {"mixup": 0.4, "cutmix": 1.0, "ricap": 0.3, "mosaic": 0.3}


class Drawn:
    """Stands for a generator whose draws are known; a permutation moves all by one."""

    def __init__(self, *, betas, integers=()):
        self.betas, self.whole = iter(betas), iter(integers)

    def beta(self, a, b):
        return next(self.betas)

    def integers(self, high):
        found = next(self.whole)
        assert found < high
        return found

    def permutation(self, number):
        return np.roll(np.arange(number), -1)


def colours(number, height=9, width=7):
    """Images of one level each, targets that name it, and weights."""
    levels = torch.arange(float(number))
    images = levels[:, None, None, None].expand(number, 3, height, width).clone()
    return images, torch.eye(number), 1 + levels**2


def ramps(number, side=8):
    """Images whose pixels say which image, row and column they are from: 1000 i + 100 y + x."""
    rows, columns = torch.arange(float(side))[:, None], torch.arange(float(side))
    image = (100 * rows + columns).expand(3, side, side)
    return torch.stack([image + 1000 * index for index in range(number)])


def mix_all(method, batch, strength, seed):
    return method(*batch, **strength, rng=np.random.default_rng(seed))


@pytest.mark.parametrize(("method", "strength"), PASTING)
@pytest.mark.parametrize("size", [(9, 7), (2, 5), (1, 1), (1, 6)])
def test_targets_are_the_shares_of_pixels_times_weights(method, strength, size):
    images, targets, weights = colours(5, *size)
    for seed in range(60):
        mixed, shares, mixed_weights = mix_all(method, (images, targets, weights), strength, seed)
        pixels = mixed.round().long()
        torch.testing.assert_close(mixed, pixels.float())
        counted = torch.stack([(pixels[:, 0] == level).float().mean((1, 2)) for level in range(5)])
        torch.testing.assert_close(shares * mixed_weights[:, None], counted.T * weights)
        torch.testing.assert_close(mixed_weights, counted.T @ weights)


@pytest.mark.parametrize(("method", "strength"), METHODS)
def test_what_every_method_keeps(method, strength):
    images, _, weights = colours(6)
    targets = torch.full((6, 4), 0.25).lerp(torch.eye(6, 4), 0.5)
    targets[4:] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    batch = (images, targets, weights)
    before = [values.clone() for values in batch]
    mixed = mix_all(method, batch, strength, 4)
    assert all(torch.equal(*pair) for pair in zip(batch, before, strict=True))
    assert [values.shape for values in mixed] == [values.shape for values in batch]
    assert [values.dtype for values in mixed] == [torch.float32] * 3
    torch.testing.assert_close(mixed[1].sum(1), torch.ones(6))
    again = mix_all(method, batch, strength, 4)
    assert all(torch.equal(*pair) for pair in zip(mixed, again, strict=True))
    assert not torch.equal(mix_all(method, batch, strength, 5)[0], mixed[0])


@pytest.mark.parametrize(("method", "strength"), METHODS)
def test_an_image_alone_is_mixed_with_itself(method, strength):
    images, targets, weights = colours(1)
    for seed in range(20):
        mixed = mix_all(method, (images + 3, targets, weights), strength, seed)
        torch.testing.assert_close(mixed, (images + 3, targets, weights))


def test_a_box_that_the_border_cuts_counts_for_what_is_left():
    # Share 0.75: half a side, 4 of 8 pixels. Around (0, 6): rows 0-1, columns 4-7.
    images, targets, weights = ramps(2), torch.eye(2), torch.tensor([1.0, 5.0])
    drawn = Drawn(betas=[0.75], integers=[0, 6])
    mixed, shares, mixed_weights = cutmix(images, targets, weights, alpha=1.0, rng=drawn)
    expected = images.clone()
    expected[:, :, 0:2, 4:8] = images.flip(0)[:, :, 0:2, 4:8]
    assert torch.equal(mixed, expected)
    # 7/8 of weight 1 and 1/8 of weight 5, the sum 12/8; the other way round 35/8 and 1/8.
    torch.testing.assert_close(shares[0], torch.tensor([7 / 12, 5 / 12]))
    torch.testing.assert_close(shares[1], torch.tensor([1 / 36, 35 / 36]))
    torch.testing.assert_close(mixed_weights, torch.tensor([12 / 8, 36 / 8]))


def test_ricap_crops_and_does_not_resize():
    # Split at row 2, column 6: crops of 2x6, 2x2, 6x6 and 6x2, from these corners.
    corners = [(5, 1), (6, 3), (0, 2), (1, 4)]
    drawn = Drawn(betas=[0.25, 0.75], integers=[number for pair in corners for number in pair])
    images = ramps(3)
    mixed, shares, _ = ricap(images, torch.eye(3), torch.ones(3), beta=0.3, rng=drawn)
    assert mixed[0, 0, :2, :6].equal(images[0, 0, 5:7, 1:7])
    assert mixed[0, 0, :2, 6:].equal(images[1, 0, 6:8, 3:5])
    assert mixed[0, 0, 2:, :6].equal(images[1, 0, 0:6, 2:8])
    assert mixed[2, 0, 2:, 6:].equal(images[0, 0, 1:7, 4:6])
    torch.testing.assert_close(shares[0], torch.tensor([12 / 64, 52 / 64, 0]))


def test_mosaic_shows_each_image_whole():
    images = ramps(2)
    drawn = Drawn(betas=[0.5, 0.5])
    mixed, shares, _ = mosaic(images, torch.eye(2), torch.ones(2), beta=1.0, rng=drawn)
    # Halved, a pixel is the mean of four columns weighed 1 3 3 1: 2.5 from 1 to 4, 4.5 from 3 to 6.
    torch.testing.assert_close(mixed[0, 0, 1, :4][1:3], torch.tensor([252.5, 254.5]))
    torch.testing.assert_close(mixed[0, 0, 5, 4:][1:3], torch.tensor([1252.5, 1254.5]))
    # At the border the outer 1 is missing: (3 * 0 + 3 * 1 + 1 * 2) / 7.
    torch.testing.assert_close(mixed[0, 0, 1, 0], torch.tensor(250 + 5 / 7))
    torch.testing.assert_close(shares[0], torch.tensor([0.25, 0.75]))


@pytest.mark.parametrize("draw", [0.0, 1.0])
def test_every_patch_of_a_mosaic_has_a_pixel(draw):
    images, targets, _ = colours(2, 4, 4)
    _, shares, _ = mosaic(images, targets, torch.ones(2), beta=1.0, rng=Drawn(betas=[draw, draw]))
    assert shares[0, 0].item() == (1 / 16 if draw == 0 else 9 / 16)


def test_a_row_without_weight_lends_no_label_to_one_that_has_some():
    drawn, targets = Drawn(betas=[0.25]), torch.eye(3)
    weights = torch.tensor([2.0, 0.0, 0.0])
    _, mixed, left = mixup(torch.zeros(3, 3, 2, 2), targets, weights, alpha=1.0, rng=drawn)
    # A quarter of the row itself, three of the next one; row 1 is of two that have none.
    torch.testing.assert_close(left, torch.tensor([0.5, 0.0, 1.5]))
    torch.testing.assert_close(mixed, torch.tensor([[1.0, 0, 0], [0, 0.25, 0.75], [1, 0, 0]]))


def shares_and_rows(method, strength, seed):
    """(6, 6) how much of each row is in each mixed one, counted by constant images."""
    shares = []
    for channels in (slice(0, 3), slice(3, 6)):
        images = torch.eye(6)[:, channels, None, None].expand(6, 3, 8, 8).clone()
        mixed, _, _ = method(
            images, torch.eye(6), torch.ones(6), **strength, rng=np.random.default_rng(seed)
        )
        shares.append(mixed.mean((2, 3)))
    return torch.cat(shares, dim=1)


UNEQUAL = torch.tensor([0.0, 1.0, 0.25, 3.0, 0.0, 1.5])
HARD = torch.eye(3)[[0, 1, 2, 2, 1, 0]]
SOFT = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]).repeat(3, 1)


def linear_losses():
    """Losses whose slopes are linear in the target, by name, with targets that they take."""
    columns, values = (SOFT > 0.15).float(), 10 * SOFT
    for kind, names, targets in (
        ("multiclass", ("cross_entropy", "focal"), SOFT),
        ("ordinal", ("cumulative",), HARD),
        ("multilabel", ("bce", "focal"), columns),
        ("regression", ("mse",), values),
    ):
        for name in names:
            settings = Network(network="b", loss=name)
            for of_classes in (None, torch.tensor([0.5, 1.0, 4.0])):
                if kind != "regression" or of_classes is None:
                    loss = create_loss(settings, Task(kind), class_weights=of_classes)
                    yield pytest.param(loss, targets, id=f"{name} {kind} {of_classes is not None}")
    for kind, name, targets in (("multilabel", "bce", columns), ("regression", "mse", values)):
        loss = create_loss(Network(network="b", loss=name), Task(kind))
        taught = partial(distilled, loss=loss, task=Task(kind), weight=0.5, temperature=1.0)
        yield pytest.param(taught, torch.cat([targets, SOFT], dim=1), id=f"distilled {kind}")


def slopes(loss, targets, weights):
    """Of the weighted loss (B,), by outputs (B, 3)."""
    outputs = torch.randn(6, 3, generator=torch.manual_seed(0)).requires_grad_()
    (weights * loss(outputs, targets)).sum().backward()
    return outputs.grad


@pytest.mark.parametrize(("method", "strength"), METHODS)
@pytest.mark.parametrize(("loss", "targets"), linear_losses())
def test_a_mixed_row_teaches_what_its_rows_teach_by_share_and_weight(
    method, strength, loss, targets
):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        _, mixed, weights = method(torch.zeros(6, 3, 8, 8), targets, UNEQUAL, **strength, rng=rng)
        shares = shares_and_rows(method, strength, seed)
        expected = sum(
            slopes(loss, row.expand(6, -1), shares[:, number] * UNEQUAL[number])
            for number, row in enumerate(targets)
        )
        torch.testing.assert_close(slopes(loss, mixed, weights), expected, rtol=1e-4, atol=1e-5)


def test_mixup_alone_draws_what_it_always_drew():
    images, targets, weights = colours(5)
    found = mix_batch(
        images, targets, weights, settings=Inputs(mixup=0.2), rng=np.random.default_rng(9)
    )
    before = mixup(images, targets, weights, alpha=0.2, rng=np.random.default_rng(9))
    assert all(torch.equal(*pair) for pair in zip(found, before, strict=True))


@pytest.mark.parametrize("settings", [{"mixup": 0}, {**ALL_ON, "mix_probability": 0}])
def test_a_batch_that_is_not_mixed_comes_back_as_it_was(settings):
    images, targets, weights = colours(3)
    images = images.byte()
    rng = np.random.default_rng(0)
    mixed = mix_batch(images, targets, weights, settings=Inputs(**settings), rng=rng)
    assert mixed[0] is images
    assert mixed[1] is targets
    assert mixed[2] is weights


@pytest.mark.parametrize("method", ALL_ON)
def test_bytes_are_mixed_as_floats(method):
    images, targets, weights = colours(3)
    settings = Inputs(**{"mixup": 0, method: 0.5})
    found = [
        mix_batch(values, targets, weights, settings=settings, rng=np.random.default_rng(1))[0]
        for values in (images.byte(), images)
    ]
    assert found[0].dtype == torch.float32
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("on", "probability"), [(list(ALL_ON), 0.6), (["cutmix", "mosaic"], 1.0), (["ricap"], 0.25)]
)
def test_methods_that_are_on_are_equally_likely(on, probability, monkeypatch):
    def record(name):
        return lambda images, targets, weights, *, rng, **strength: (name, strength)

    for name in ALL_ON:
        monkeypatch.setattr(mixing, name, record(name))
    off = dict.fromkeys(ALL_ON, 0.0)
    settings = Inputs(**{**off, **{name: ALL_ON[name] for name in on}}, mix_probability=probability)
    batch, rng, found = colours(2), np.random.default_rng(0), []
    for _ in range(4000):
        mixed = mix_batch(*batch, settings=settings, rng=rng)
        if len(mixed) == 2:
            found.append(mixed[0])
            assert list(mixed[1].values()) == [ALL_ON[mixed[0]]]
    assert set(found) == set(on)
    for name in on:
        assert found.count(name) / 4000 == pytest.approx(probability / len(on), abs=0.03)
