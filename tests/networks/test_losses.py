"""Losses against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.config.schema import Network
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.networks.losses import (
    additive_angular_margin,
    additive_cosine_margin,
    binary_cross_entropy,
    binary_focal,
    create_loss,
    cumulative,
    distilled,
    focal,
    soft_cross_entropy,
)


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
        loss = create_loss(Network(network="b", loss=name), Task("regression"), class_weights=None)
        assert loss(outputs, targets).tolist() == [value]


def test_a_loss_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match="a multilabel task takes bce, focal"):
        create_loss(Network(network="b", loss="mse"), Task("multilabel"))
    with pytest.raises(UserError, match="a multiclass task takes"):
        create_loss(Network(network="b", loss={"focal": 1, "cumulative": 1}), Task("multiclass"))


def softmax_logits(*probs):
    return torch.tensor([probs], dtype=torch.float64).log()


def hot(label, num_classes):
    return torch.eye(num_classes, dtype=torch.float64)[[label]]


def test_focal_fades_what_is_already_right():
    # p = 3/4: (1/4)^2 * -log(3/4); the wrong class's term has a zero target.
    loss = focal(softmax_logits(0.75, 0.25), hot(0, 2), gamma=2.0)
    assert loss.item() == pytest.approx(0.0625 * np.log(4 / 3))


def test_focal_with_gamma_0_is_cross_entropy():
    outputs = torch.randn(5, 4, generator=torch.manual_seed(0))
    targets = torch.rand(5, 4, generator=torch.manual_seed(1)).softmax(1)
    torch.testing.assert_close(
        focal(outputs, targets, gamma=0.0), soft_cross_entropy(outputs, targets)
    )
    torch.testing.assert_close(
        binary_focal(outputs, targets, gamma=0.0), binary_cross_entropy(outputs, targets)
    )


def test_binary_focal_by_hand():
    # Column 1: p = 3/4, positive: (1/4)^2 * log(4/3). Column 2: p = 1/4, negative: the same.
    outputs = torch.tensor([[np.log(3), -np.log(3)]])
    loss = binary_focal(outputs, torch.tensor([[1.0, 0.0]]), gamma=2.0)
    assert loss.item() == pytest.approx(0.0625 * np.log(4 / 3))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_has_a_slope_where_it_is_certain(gamma):
    outputs = torch.tensor([[200.0, -200.0]], requires_grad=True)
    focal(outputs, torch.tensor([[1.0, 0.0]]), gamma=gamma).sum().backward()
    assert outputs.grad.isfinite().all()


def test_a_cosine_margin_is_taken_from_the_true_class_alone():
    # Cosines 0.8 and 0.5, scale 10, margin 0.35: logits 4.5 and 5.
    logits = torch.tensor([[8.0, 5.0]])
    loss = additive_cosine_margin(logits, torch.tensor([[1.0, 0.0]]), margin=0.35, scale=10.0)
    assert loss.item() == pytest.approx(np.log(1 + np.exp(0.5)), rel=1e-5)


def test_an_angular_margin_turns_the_true_class_away():
    # Angles 60 and 90 degrees, margin 30 degrees: cosines 0 and 0.
    logits = torch.tensor([[5.0, 0.0]])
    loss = additive_angular_margin(logits, torch.tensor([[1.0, 0.0]]), margin=np.pi / 6, scale=10.0)
    assert loss.item() == pytest.approx(np.log(2), rel=1e-4)


def test_an_angular_margin_never_turns_back():
    # At 170 degrees, 30 more would come round to the other side and look nearer.
    angles = torch.linspace(0, np.pi, 50)
    logits = torch.stack([10 * angles.cos(), torch.zeros(50)], dim=1)
    target = torch.tensor([[1.0, 0.0]]).expand(50, 2)
    losses = additive_angular_margin(logits, target, margin=0.5, scale=10.0)
    assert (losses.diff() > 0).all()


@pytest.mark.parametrize("loss", [additive_cosine_margin, additive_angular_margin])
def test_without_a_margin_it_is_cross_entropy(loss):
    logits = 8 * torch.rand(6, 3, generator=torch.manual_seed(0))
    targets = torch.rand(6, 3, generator=torch.manual_seed(1)).softmax(1)
    found = loss(logits, targets, margin=0.0, scale=10.0)
    torch.testing.assert_close(found, soft_cross_entropy(logits, targets))


def test_cumulative_asks_what_lies_above_each_level():
    # p = 1/2, 1/4, 1/4. Above 0: 1/2; above 1: 1/4. Truth 2: yes, yes.
    logits = softmax_logits(0.5, 0.25, 0.25)
    assert cumulative(logits, hot(2, 3)).item() == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert cumulative(logits, hot(1, 3)).item() == pytest.approx((np.log(2) + np.log(4 / 3)) / 2)


def test_cumulative_costs_more_the_further_the_miss():
    logits = softmax_logits(0.94, 0.02, 0.02, 0.02)
    losses = [cumulative(logits, hot(label, 4)).item() for label in range(4)]
    assert losses == sorted(losses)
    assert len({round(soft_cross_entropy(logits, hot(k, 4)).item(), 6) for k in (1, 2, 3)}) == 1


@pytest.mark.parametrize("loss", [soft_cross_entropy, cumulative])
def test_of_a_soft_target_each_class_counts_by_its_own_weight(loss):
    logits, weights = softmax_logits(0.5, 0.25, 0.25), torch.tensor([1.0, 2.0, 8.0]).double()
    alone = [loss(logits, hot(label, 3), class_weights=weights) for label in (0, 2)]
    half = (hot(0, 3) + hot(2, 3)) / 2
    torch.testing.assert_close(loss(logits, half, class_weights=weights), sum(alone) / 2)


def test_a_class_weight_multiplies_the_row():
    logits, weights = softmax_logits(0.5, 0.25, 0.25), torch.tensor([1.0, 3.0, 1.0]).double()
    for settings in ({"loss": "focal"}, {"loss": "cumulative"}, {"loss": "arcface"}):
        network = Network(network="b", head="cosine", **settings)
        plain = create_loss(network, Task("ordinal"))(logits, hot(1, 3))
        weighted = create_loss(network, Task("ordinal"), class_weights=weights)(logits, hot(1, 3))
        torch.testing.assert_close(weighted, 3 * plain)


def test_a_sum_adds_its_losses_by_their_shares():
    logits, target = softmax_logits(0.75, 0.25), hot(0, 2)
    settings = Network(network="b", loss={"cross_entropy": 1.0, "focal": 0.5}, label_smoothing=0)
    expected = (1 + 0.5 / 16) * np.log(4 / 3)
    assert create_loss(settings, Task("binary"))(logits, target).item() == pytest.approx(expected)


def test_a_learned_balance_settles_at_each_losss_size():
    # share * L * exp(-s) + s / 2 is least at exp(s) = 2 * share * L.
    settings = Network(network="b", loss={"mse": 1.0, "mae": 3.0}, loss_balance="learned")
    log_variances = torch.zeros(2, requires_grad=True)
    loss = create_loss(settings, Task("regression"), log_variances=log_variances)
    outputs, targets = torch.tensor([[0.0], [0.0]]), torch.tensor([[2.0], [2.0]])
    assert loss(outputs, targets)[0].item() == pytest.approx(4 + 6)
    optimizer = torch.optim.LBFGS([log_variances], max_iter=50)

    def closure():
        optimizer.zero_grad()
        value = loss(outputs, targets).mean()
        value.backward()
        return value

    optimizer.step(closure)
    np.testing.assert_allclose(log_variances.detach().exp(), [8, 12], rtol=1e-3)


def teach(kind, outputs, own, teacher, **how):
    loss = create_loss(Network(network="b", label_smoothing=0), Task(kind))
    return distilled(outputs, torch.cat([own, teacher], 1), loss=loss, task=Task(kind), **how)


def test_a_student_minimises_the_stated_mixture():
    logits, own = softmax_logits(0.5, 0.5), hot(0, 2)
    teacher = torch.tensor([[0.8, 0.2]], dtype=torch.float64)
    # Softened at T = 2: square roots, renormalised: 2/3 and 1/3 against 1/2 and 1/2.
    divergence = 2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3)
    expected = 0.7 * np.log(2) + 0.3 * 4 * divergence
    found = teach("multiclass", logits, own, teacher, weight=0.3, temperature=2.0)
    assert found.item() == pytest.approx(expected)


def test_a_multilabel_student_too():
    # Log-odds log 16, halved at T = 2: 4/5 against the student's 1/2.
    logits, own = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    teacher = torch.full((1, 1), 16 / 17).double()
    divergence = 0.8 * np.log(1.6) + 0.2 * np.log(0.4)
    found = teach("multilabel", logits, own, teacher, weight=0.5, temperature=2.0)
    assert found.item() == pytest.approx(0.5 * np.log(2) + 0.5 * 4 * divergence)


def test_a_student_that_agrees_with_its_teacher_has_only_its_labels_loss():
    logits = torch.randn(4, 3, generator=torch.manual_seed(0)).double()
    own = torch.eye(3).double()[[0, 1, 2, 0]]
    labels = soft_cross_entropy(logits, own)
    same = teach("multiclass", logits, own, logits.softmax(1), weight=0.4, temperature=3.0)
    torch.testing.assert_close(same, 0.6 * labels)


def test_a_student_of_values():
    outputs, own, teacher = torch.tensor([[1.0]]), torch.tensor([[3.0]]), torch.tensor([[2.0]])
    found = teach("regression", outputs, own, teacher, weight=0.25, temperature=2.0)
    assert found.item() == pytest.approx(0.75 * 4 + 0.25 * 1)
