"""Features of several stages, against the same network asked another way."""

import pytest
import timm
import torch
from torch import nn

from pipeline.backbones.create import create_backbone
from pipeline.backbones.frozen import create_frozen, try_frozen
from pipeline.config.schema import TTA, Backbone
from pipeline.errors import UserError


def frozen(arch: str, **settings) -> nn.Module:
    return create_frozen(Backbone(arch=arch, weights="random", **settings))


def images(side: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.manual_seed(1))


@torch.inference_mode()
@pytest.mark.parametrize("arch", ["test_efficientnet", "resnet18", "convnext_atto"])
@pytest.mark.parametrize("stages", [[-2], [1, 2], [2, 0]])
def test_stages_are_those_of_features_only_and_the_last_is_the_plain_block(arch, stages):
    model, plain = frozen(arch, stages=stages), frozen(arch)
    other = timm.create_model(arch, features_only=True)  # it names some weights otherwise
    weights = [value for name, value in plain.state_dict().items() if not name.startswith("head")]
    names = list(other.state_dict())
    other.load_state_dict(dict(zip(names, weights[: len(names)], strict=True)))
    maps = other.eval()(images())
    chosen = sorted(stage % len(maps) for stage in stages)
    expected = [*(maps[stage].mean((2, 3)) for stage in chosen), plain(images())]
    torch.testing.assert_close(model(images()), torch.cat(expected, 1))


@torch.inference_mode()
def test_stages_of_a_transformer_are_the_means_of_its_image_tokens():
    model = frozen("test_vit", stages=[1, -2], image_size=160)
    plain = frozen("test_vit", image_size=160)
    seen = {}
    for index in (1, 4):
        plain.blocks[index].register_forward_hook(
            lambda _, __, tokens, index=index: seen.update({index: tokens})
        )
    last = plain(images(160))
    expected = [seen[index][:, plain.num_prefix_tokens :].mean(1) for index in (1, 4)]
    torch.testing.assert_close(model(images(160)), torch.cat([*expected, last], 1))


def test_without_stages_and_pool_it_is_the_backbone():
    plain = create_backbone(Backbone(arch="resnet18", weights="random"))
    assert type(frozen("resnet18")) is type(plain)


@torch.inference_mode()
def test_pool_counts_for_every_stage():
    model = frozen("resnet18", stages=[-2], pool="concat")
    last, (before,) = model.backbone.forward_intermediates(images(), indices=[3])
    expected = [f(maps) for maps in (before, last) for f in (mean, highest)]
    torch.testing.assert_close(model(images()), torch.cat(expected, 1))


def mean(maps: torch.Tensor) -> torch.Tensor:
    return maps.mean((2, 3))


def highest(maps: torch.Tensor) -> torch.Tensor:
    return maps.amax((2, 3))


@pytest.mark.parametrize(
    ("settings", "views", "message"),
    [
        ({"stages": [6]}, ["original"], r"has 6, counted from 0; got \[6\]"),
        ({"pool": "gem"}, ["original"], "does not give maps that can be pooled.*pool: auto"),
        (
            {"image_size": 160},
            ["original", "scale_1.25"],
            r"200 x 200 px.*Leave `scale_1.25` out of `tta.views`",
        ),
        ({"image_size": 100}, ["mirrored"], "100 px are no multiple.*`image_size: 96`"),
    ],
)
def test_what_a_transformer_cannot_do_is_said_before_work_begins(settings, views, message):
    settings = {"image_size": 160} | settings
    with pytest.raises(UserError, match=f"test_vit.*{message}"):
        try_frozen(Backbone(arch="test_vit", weights="random", **settings), views)


def test_views_of_the_backbones_own_size_suit_a_transformer():
    views = TTA(views=["eight_of_square", "five_crops", "scale_1.0"]).views
    backbone = Backbone(arch="test_vit", weights="random", image_size=160, stages=[-2])
    try_frozen(backbone, views)
