"""The network: it starts from the prior, takes other channels, and continues from weights."""

import numpy as np
import pytest
import torch

from pipeline.backbones.create import change_channels
from pipeline.config.schema import Backbone, Network
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.networks.network import create_network, load_weights, save_weights, weights_of

pytestmark = pytest.mark.numeric

SIZE = 32
BACKBONE = Backbone(arch="test_efficientnet", weights="random", image_size=SIZE)
SETTINGS = Network(network="b")


def images(num_images=4) -> torch.Tensor:
    return torch.randint(0, 256, (num_images, 3, SIZE, SIZE), generator=torch.manual_seed(0))


def create(num_classes=3, kind="multiclass", **settings):
    torch.manual_seed(0)
    network = create_network(
        Network(network="b", **settings), BACKBONE, num_classes=num_classes, task=Task(kind)
    )
    return network.eval()


@pytest.mark.parametrize(
    ("kind", "class_weights", "expected"),
    [
        ("multiclass", None, [0.5, 0.3, 0.2]),
        ("multiclass", [2 / 3, 10 / 9, 5 / 3], [1 / 3, 1 / 3, 1 / 3]),
        ("multilabel", None, [0.5, 0.3, 0.2]),
        ("multilabel", [1, 7 / 3, 4], [0.5, 0.5, 0.5]),
        ("regression", None, [0.5, 0.3, 0.2]),
    ],
)
def test_an_untrained_network_predicts_the_shares(kind, class_weights, expected):
    network = create_network(SETTINGS, BACKBONE, num_classes=3, task=Task(kind)).eval()
    targets = np.eye(3)[[0] * 5 + [1] * 3 + [2] * 2 + [2] * 4]
    weights = np.array([1.0] * 10 + [0.0] * 4)
    class_weights = None if class_weights is None else np.array(class_weights)
    network.start_from(targets, weights, class_weights=class_weights)
    values = network.predict_values(torch.randint(0, 256, (4, 3, SIZE, SIZE)))
    torch.testing.assert_close(values, torch.tensor(expected).expand(4, 3))


def test_rare_and_zero_biases():
    for bias, expected in (("rare", 0.01), ("zero", 0.5)):
        network = create(kind="multilabel")
        network.start_from(np.eye(3), np.ones(3), bias=bias)
        values = network.predict_values(images())
        torch.testing.assert_close(values, torch.full((4, 3), expected))


def test_a_fourth_channel_changes_nothing():
    three, four = (create(channels=channels, init="xavier") for channels in (3, 4))
    torch.testing.assert_close(three(images()), four(images()), rtol=1e-4, atol=1e-5)


def equally_normalised(network):
    network.pixel_mean.fill_(127.5)
    network.pixel_std.fill_(127.5)
    return network


def test_one_channel_sees_a_grey_image_as_three_equal_ones():
    three, one = (
        equally_normalised(create(channels=channels, init="xavier")) for channels in (3, 1)
    )
    grey = images()[:, :1].expand(4, 3, SIZE, SIZE)
    torch.testing.assert_close(three(grey), one(grey), rtol=1e-4, atol=1e-5)


def test_one_channel_weighs_colours_by_luminance():
    one = equally_normalised(create(channels=1, init="xavier"))
    green, grey = torch.zeros(1, 3, SIZE, SIZE), torch.full((1, 3, SIZE, SIZE), 58.7)
    green[:, 1] = 100
    torch.testing.assert_close(one(green), one(grey), rtol=1e-4, atol=1e-5)


def test_an_architecture_without_one_first_convolution_keeps_three_channels():
    odd = Backbone(arch="cs3darknet_s", weights="random", image_size=SIZE)
    network = create_network(SETTINGS, odd, num_classes=2, task=Task("binary"))
    network.backbone.pretrained_cfg["first_conv"] = ("stem", "other")
    with pytest.raises(UserError, match="has no single first convolution"):
        change_channels(network.backbone, 4)


def test_weights_of_another_member_with_a_new_head(tmp_path):
    path = tmp_path / "weights.safetensors"
    first, other = create(init="xavier"), create(num_classes=5, init="xavier")
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1.0)
    save_weights(weights_of(first), path)
    head = other.head.last.weight.clone()
    load_weights(other, path, what="b", but=("head.", "target_"))
    torch.testing.assert_close(other.backbone.state_dict(), first.backbone.state_dict())
    torch.testing.assert_close(other.head.last.weight, head)
    with pytest.raises(UserError, match=r"does not fit b .* Run `make train` again"):
        load_weights(other, path, what="b")


def test_weights_of_another_pooling_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(weights_of(create()), path)
    with pytest.raises(UserError, match=r"pooling.pools.0.p"):
        load_weights(create(pool="gem"), path, what="b")
