"""Pooling and heads against numbers worked out by hand."""

import numpy as np
import pytest
import timm
import torch

from pipeline.backbones.pooling import GeneralisedMean, create_pooling, num_features_of
from pipeline.config.schema import Network
from pipeline.errors import UserError
from pipeline.networks.heads import CosineLinear, Head, rare_bias

MAPS = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2)


def network(**settings) -> Network:
    return Network(network="b", **settings)


def head(num_features=4, num_classes=3, **settings) -> Head:
    torch.manual_seed(0)
    return Head(network(**settings), num_features=num_features, num_classes=num_classes)


def test_a_generalised_mean_goes_from_average_to_maximum():
    assert GeneralisedMean(p=1.0)(MAPS).item() == pytest.approx(2.5)
    assert GeneralisedMean(p=3.0)(MAPS).item() == pytest.approx(25 ** (1 / 3))
    assert GeneralisedMean(p=30.0)(MAPS).item() == pytest.approx(4, rel=0.05)


def test_the_power_is_learned():
    pool = GeneralisedMean()
    pool(MAPS).sum().backward()
    assert pool.p.grad.item() > 0  # a larger power, a larger mean


class OneMap(torch.nn.Module):
    def forward_features(self, images):
        return MAPS


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ("avg", [2.5]),
        ("max", [4]),
        ("avgmax", [3.25]),
        ("concat", [2.5, 4]),
        ("gem", [25 ** (1 / 3)]),
    ],
)
def test_each_pool_by_hand(pool, expected):
    pooling = create_pooling(network(pool=pool), OneMap(), arch="one")
    np.testing.assert_allclose(pooling(OneMap(), None).detach()[0], expected, rtol=1e-6)


def test_auto_leaves_pooling_to_the_backbone():
    assert create_pooling(network(), OneMap(), arch="one") is None


def test_stages_are_joined_to_the_last():
    backbone = timm.create_model("test_efficientnet", num_classes=0).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(0))
    last, maps = backbone.forward_intermediates(images)
    for stages, chosen in (([-2], [maps[-2]]), ([2, 0], [maps[0], maps[2]])):
        pooling = create_pooling(network(pool="avg", stages=stages), backbone, arch="b")
        expected = torch.cat([m.mean((2, 3)) for m in (*chosen, last)], 1)
        torch.testing.assert_close(pooling(backbone, images), expected)
        found = num_features_of(pooling, backbone, image_size=64, channels=3, arch="b")
        assert found == expected.shape[1]


def test_pooling_finds_the_channels_of_maps_that_have_them_last():
    backbone = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0).eval()
    pooling = create_pooling(network(pool="avg", stages=[0]), backbone, arch="swin")
    images = torch.rand(1, 3, 224, 224, generator=torch.manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(pooling(backbone, images)[:, 96:], backbone(images))


def test_what_cannot_be_pooled_is_refused():
    vit = timm.create_model("test_vit", num_classes=0)
    pooling = create_pooling(network(pool="gem"), vit, arch="test_vit")
    with pytest.raises(UserError, match="test_vit does not give maps that can be pooled"):
        num_features_of(pooling, vit, image_size=160, channels=3, arch="test_vit")
    with pytest.raises(UserError, match=r"has 5, counted from 0; got \[7\]"):
        create_pooling(network(stages=[7]), timm.create_model("test_efficientnet"), arch="b")


def test_a_cosine_head_knows_angles_only():
    layer = CosineLinear(2, 2, scale=10.0)
    layer.weight.data = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    logits = layer(torch.tensor([[5.0, 0.0], [0.0, 0.1]]))
    torch.testing.assert_close(logits, 10 * torch.tensor([[1.0, 0.5**0.5], [0.0, 0.5**0.5]]))


def test_an_mlp_has_one_hidden_layer():
    layer = head(hidden=64, head="mlp").eval()
    features = torch.rand(2, 4)
    hidden = (features @ layer.hidden[0].weight.T).relu()
    torch.testing.assert_close(layer.hidden(features), hidden)
    assert layer.last.in_features == 64


@pytest.mark.parametrize(
    ("init", "expected"), [("zero", 0.0), ("kaiming", 1 / 400), ("xavier", 2 / (400 + 100))]
)
def test_weights_start_with_the_stated_variance_and_biases_at_zero(init, expected):
    layer = head(400, 100, init=init)
    variance = layer.last.weight.var().item()
    assert variance == pytest.approx(expected, rel=0.05)


def test_hidden_weights_are_kaimings():
    layer = head(400, 3, head="mlp", hidden=512)
    assert layer.hidden[0].weight.var().item() == pytest.approx(2 / 400, rel=0.05)
    assert not layer.hidden[0].bias.any()


def test_several_dropout_masks_in_training_and_none_in_use():
    layer = head(64, 3, init="xavier", dropout=0.5, dropout_samples=4)
    features = torch.rand(2, 64)
    outputs = layer.train()(features).reshape(4, 2, 3)
    assert not any(torch.equal(outputs[0], outputs[index]) for index in (1, 2, 3))
    torch.testing.assert_close(layer.eval()(features), layer.last(features))


def test_rare_classes_start_at_one_per_cent():
    assert torch.tensor(rare_bias()).sigmoid().item() == pytest.approx(0.01)
