"""Losses and mixing against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.config.errors import UserError
from pipeline.config.schema import Network
from pipeline.networks.losses import (
    balanced_class_weights,
    binary_cross_entropy,
    create_loss,
    soft_cross_entropy,
)
from pipeline.networks.mixing import mixup


def test_smoothing_moves_a_share_to_every_class():
    # Probabilities 1/2, 1/4, 1/4; smoothed by 0.3 the target is 0.8, 0.1, 0.1.
    outputs = torch.tensor([[2.0, 1.0, 1.0]]).log()
    target = torch.tensor([[1.0, 0.0, 0.0]])
    expected = 0.8 * np.log(2) + 0.2 * np.log(4)
    assert soft_cross_entropy(outputs, target, smoothing=0.3).item() == pytest.approx(expected)


def test_hard_targets_give_torchs_cross_entropy():
    outputs, labels = torch.randn(6, 4, generator=torch.manual_seed(0)), torch.arange(6) % 4
    ours = soft_cross_entropy(outputs, F.one_hot(labels, 4).float(), smoothing=0.1)
    theirs = F.cross_entropy(outputs, labels, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(ours, theirs)


def test_a_soft_target_weighs_the_losses_of_its_classes():
    outputs = torch.tensor([[0.3, -0.2], [0.3, -0.2], [0.3, -0.2]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]])
    weights = torch.tensor([2.0, 0.5])
    first, second, mixed = soft_cross_entropy(outputs, targets, class_weights=weights)
    torch.testing.assert_close(mixed, 0.25 * first + 0.75 * second)
    torch.testing.assert_close(first, 2 * soft_cross_entropy(outputs, targets)[0])


def test_binary_cross_entropy_is_a_mean_over_columns():
    outputs, targets = torch.tensor([[0.0, np.log(3)]]), torch.tensor([[1.0, 0.0]])
    expected = (np.log(2) + np.log(4)) / 2
    assert binary_cross_entropy(outputs, targets).item() == pytest.approx(expected)


def test_errors_of_regression():
    outputs, targets = torch.tensor([[0.0, 3.0]]), torch.tensor([[2.0, 3.0]])
    expected = {"auto": 2.0, "mse": 2.0, "mae": 1.0, "huber": 0.75}
    for name, value in expected.items():
        loss = create_loss(Network(network="b", loss=name), "regression", class_weights=None)
        assert loss(outputs, targets).tolist() == [value]


def test_balanced_classes_count_alike_and_the_mean_row_weighs_one():
    targets, weights = np.eye(3)[[0, 0, 0, 0, 1, 1, 2, 2]], np.ones(8)
    found = balanced_class_weights(targets, weights, "multiclass")
    np.testing.assert_allclose(found, [8 / 12, 8 / 6, 8 / 6])
    np.testing.assert_allclose((targets @ found).mean(), 1)


def test_balanced_columns_weigh_positives_like_negatives():
    targets = np.array([[1, 1], [0, 1], [0, 0], [0, 1]])
    found = balanced_class_weights(targets, np.ones(4), "multilabel")
    np.testing.assert_allclose(found, [3, 1 / 3])


def test_a_loss_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="a multilabel task takes bce"):
        create_loss(Network(network="b", loss="mse"), "multilabel", class_weights=None)
    with pytest.raises(UserError, match="regression has no classes"):
        balanced_class_weights(np.zeros((3, 1)), np.ones(3), "regression")


def test_mixed_targets_are_the_mix_of_the_images():
    # Images whose pixels are their target: what is mixed alike stays equal.
    targets = torch.eye(6)[[0, 3, 1, 5, 2, 4, 0]]
    images = targets[:, :, None, None].expand(7, 6, 2, 2).contiguous()
    weights = torch.arange(7.0)
    mixed, mixed_targets, mixed_weights = mixup(
        images, targets, weights, alpha=1.0, rng=np.random.default_rng(3)
    )
    torch.testing.assert_close(mixed[:, :, 0, 0], mixed_targets)
    torch.testing.assert_close(mixed_targets.sum(1), torch.ones(7))
    rng = np.random.default_rng(3)
    share, others = rng.beta(1.0, 1.0), rng.permutation(7)
    torch.testing.assert_close(mixed_targets, share * targets + (1 - share) * targets[others])
    torch.testing.assert_close(mixed_weights, share * weights + (1 - share) * weights[others])


def test_the_share_follows_its_beta_distribution():
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
    images, targets = torch.zeros(2, 3, 1, 1), torch.eye(2)
    rng, shares = np.random.default_rng(0), []
    for _ in range(2000):
        _, mixed, _ = mixup(images, targets, torch.ones(2), alpha=0.2, rng=rng)
        if mixed[0, 0] != 1:
            shares.append(mixed[0, 0].item())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)
    assert np.var(shares) == pytest.approx(1 / (4 * 1.4), abs=0.02)
