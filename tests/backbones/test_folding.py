"""BatchNorm folded into convolutions: fewer layers, the same features."""

import pytest
import timm
import torch
from torch import nn

from pipeline.backbones.folding import fold_batch_norm
from pipeline.backbones.frozen import PooledBackbone
from pipeline.backbones.pooling import create_pooling
from pipeline.config.schema import Backbone

pytestmark = pytest.mark.numeric


def trained(arch: str) -> nn.Module:
    """A network whose BatchNorm layers have something to say."""
    torch.manual_seed(0)
    model = timm.create_model(arch, num_classes=0).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return model


def num_norms(model: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())


def images(side: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.manual_seed(1))


@pytest.mark.parametrize(
    ("arch", "left"),
    [("test_efficientnet", 0), ("resnet18", 0), ("tf_efficientnet_lite0", 0), ("densenet121", 62)],
)
def test_features_stay_and_layers_go(arch, left):
    model = trained(arch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batch_norm(model, images())
    assert num_norms(folded) == left
    assert num_norms(model) > left
    with torch.inference_mode():
        expected, found = model(images()), folded(images())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("arch", ["test_efficientnet", "resnet18", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("pool", ["auto", "gem"])
def test_features_of_several_stages_stay(arch, pool):
    model = trained(arch)
    settings = Backbone(arch=arch, stages=[0, -2], pool=pool)
    model = PooledBackbone(model, create_pooling(settings, model, arch=arch)).eval()
    folded = fold_batch_norm(model, images())
    assert num_norms(folded) == 0
    with torch.inference_mode():
        for found, expected in zip(folded.parts(images()), model.parts(images()), strict=True):
            scale = expected.abs().max().item()
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * scale)


def test_a_network_without_batch_norm_stays():
    model = timm.create_model("test_vit", num_classes=0).eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            fold_batch_norm(model, images(160))(images(160)), model(images(160))
        )


class TwoReaders(nn.Module):
    """A convolution whose output goes to a BatchNorm layer and past it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.norm.running_mean.fill_(2.0)

    def forward(self, pixels):
        maps = self.convolution(pixels)
        return (maps + self.norm(maps)).mean((2, 3))


class QuietStage(TwoReaders):
    """The convolution's output is one of two stages, a thousandth as loud as the other."""

    def parts(self, pixels):
        maps = self.convolution(pixels)
        return [1e-3 * maps.mean((2, 3)), 1e3 * self.norm(maps).mean((2, 3))]

    def forward(self, pixels):
        return torch.cat(self.parts(pixels), 1)


@pytest.mark.parametrize("kind", [TwoReaders, QuietStage])
def test_what_folding_would_change_is_not_folded(kind):
    model = kind().eval()
    assert fold_batch_norm(model, images()) is model
