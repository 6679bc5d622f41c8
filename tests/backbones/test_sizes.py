"""Image sizes of architectures: resampled as timm does it, or refused with sizes that work."""

import pytest
import timm
import torch
from tiny_project import NETWORK, run, write_competition

from pipeline.backbones.create import create_backbone
from pipeline.backbones.frozen import create_frozen, try_frozen
from pipeline.backbones.sizes import check_size, nearest_sizes
from pipeline.config.schema import Backbone, Network
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.networks.network import (
    WEIGHTS,
    create_network,
    load_network,
    save_weights,
    weights_of,
)


def create(arch: str, side: int):
    return create_backbone(Backbone(arch=arch, weights="random", image_size=side)).eval()


@torch.inference_mode()
def features(model, side: int) -> torch.Tensor:
    return model(torch.rand(2, 3, side, side, generator=torch.manual_seed(1)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "native", "side"),
    [
        ("test_vit", 160, 96),
        ("eva02_tiny_patch14_224", 224, 112),
        ("vit_small_patch14_reg4_dinov2", 518, 224),
        ("vit_small_patch16_dinov3", 256, 128),
        ("maxvit_rmlp_pico_rw_256", 256, 128),
        ("coat_lite_tiny", 224, 256),  # has no `set_input_size`
    ],
)
def test_another_size_is_what_timm_makes_of_the_same_weights(arch, native, side):
    overlay = {"state_dict": create(arch, native).state_dict()}
    theirs = timm.create_model(
        arch, num_classes=0, pretrained=True, pretrained_cfg_overlay=overlay, img_size=(side, side)
    )
    torch.testing.assert_close(features(create(arch, side), side), features(theirs.eval(), side))


@pytest.mark.slow
def test_images_of_a_transformer_may_have_other_sizes_than_its_own():
    """Views of test-time augmentation do; the result is that of a model of their size."""
    arch = "vit_tiny_patch16_224"
    model = create(arch, 224)
    expected = features(create(arch, 128), 128)
    torch.testing.assert_close(features(model, 128), expected)
    try_frozen(Backbone(arch=arch, weights="random", image_size=128), ["original", "scale_1.25"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "side", "message"),
    [
        ("vit_small_patch14_dinov2", 230, r"patches of 14 px.*Say `image_size: 224` or `238`"),
        (
            "maxvit_rmlp_pico_rw_256",
            240,
            r"240 x 240 px \(.*window.*Say `image_size: 224` or `256`",
        ),
        ("hiera_tiny_224", 256, r"256 x 256 px \(.*Say `image_size: 224`\."),
        ("coatnet_pico_rw_224", 250, r"250 x 250 px \(.*Say `image_size: 256` or `224`"),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_the_nearest_that_do(arch, side, message):
    with pytest.raises(UserError, match=message):
        try_frozen(Backbone(arch=arch, weights="random", image_size=side), ["original"])


def test_nearest_sizes_are_found_without_the_memory_of_weights():
    """1.1 billion parameters would need 4.5 GB."""
    assert nearest_sizes("vit_giant_patch14_dinov2", 225) == [224, 238]


@torch.inference_mode()
def test_the_mean_of_patches_leaves_the_class_token_out():
    model = create_frozen(Backbone(arch="test_vit", weights="random", image_size=160, pool="avg"))
    images = torch.rand(2, 3, 160, 160)
    tokens = model.backbone.forward_features(images)
    torch.testing.assert_close(model(images), tokens[:, 1:].mean(1))


@pytest.mark.slow
def test_a_fine_tuned_network_of_another_size_is_resampled_and_comes_back(tmp_path):
    """A network of 96 px on a backbone of 160 px; its saved weights fit what is built empty."""
    settings = Network(network="vit", image_size=96, epochs=1)
    backbone = Backbone(arch="test_vit", weights="random", image_size=160)
    task = Task("multiclass")
    network = create_network(settings, backbone, num_classes=3, task=task)
    expected = create("test_vit", 96)
    assert torch.equal(network.backbone.pos_embed, expected.pos_embed)
    save_weights(weights_of(network), tmp_path / WEIGHTS)
    loaded = load_network(tmp_path, settings, backbone, num_classes=3, task=task)
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network.eval()(images))
    wrong = settings.model_copy(update={"image_size": 100})
    with pytest.raises(UserError, match=r"100 px .*Say `image_size: 96` or `112`"):
        create_network(wrong, backbone, num_classes=3, task=task)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"backbones": {"small": {"arch": "test_vit", "weights": "random", "image_size": 70}}},
        {
            "backbones": {"small": {"arch": "test_vit", "weights": "random"}},
            "members": {"net": NETWORK | {"image_size": 70}},
        },
    ],
)
def test_a_size_that_does_not_fit_is_refused_before_any_image_is_read(tmp_path, changes):
    write_competition(tmp_path)
    with pytest.raises(UserError, match=r"70 px .*Say `image_size: 64` or `80`"):
        run(tmp_path, **changes)
    assert not list(tmp_path.glob("features/tiny/*"))


def test_sizes_of_an_unknown_architecture_are_left_to_building_it():
    check_size("resnet1", 224)
    check_size("convnext_atto", 250)
