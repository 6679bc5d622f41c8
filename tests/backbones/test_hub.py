"""The weights folder: what `make weights` brings is what the hub gives, bit for bit."""

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from pipeline.backbones.create import create_backbone
from pipeline.backbones.hub import fetch_weights, full_name, kept_weights
from pipeline.backbones.weights import find_weights
from pipeline.config.load import load_config
from pipeline.config.schema import Backbone
from pipeline.errors import UserError
from pipeline.stages.weights import bring_weights

VIT, CNN = "test_vit.r160_in1k", "test_efficientnet.r160_in1k"
VIT_FILE = f"{VIT}.safetensors"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty project on a machine that reaches no hub, with a cache of the hub's files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEIGHTS_FOLDER", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path


def put_on_hub(root, arch: str) -> dict[str, torch.Tensor]:
    """Write weights with a classifier, as timm's repositories hold them, into the hub's cache."""
    state = timm.create_model(arch).state_dict()
    state = {name: v + 0.01 if v.is_floating_point() else v for name, v in state.items()}
    folder = root / "cache" / f"models--timm--{arch}"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    save_file(state, folder / "snapshots" / "abc" / "model.safetensors")
    return state


@torch.inference_mode()
def features(arch: str, side: int) -> torch.Tensor:
    model = create_backbone(Backbone(arch=arch, image_size=side)).eval()
    return model(torch.rand(2, 3, side, side, generator=torch.manual_seed(1)))


def forget_hub(root) -> None:
    (root / "cache").rename(root / "cache_of_another_machine")


@pytest.mark.parametrize("arch", [VIT, CNN])
def test_features_from_the_folder_are_those_from_the_hub(root, arch):
    state = put_on_hub(root, arch)
    expected = {side: features(arch, side) for side in (160, 64)}
    path, new = fetch_weights(arch)
    assert (path, new) == (root / "models" / "weights" / f"{arch}.safetensors", True)
    forget_hub(root)
    for side, wanted in expected.items():
        assert torch.equal(features(arch, side), wanted)
    kept = load_file(path)
    assert all(torch.equal(value, state[name]) for name, value in kept.items())
    assert fetch_weights(arch) == (path, False)


def test_a_name_without_its_tag_finds_the_same_file(root):
    put_on_hub(root, VIT)
    fetch_weights("test_vit")
    forget_hub(root)
    assert torch.equal(features("test_vit", 160), features(VIT, 160))
    assert full_name("test_vit") == full_name(VIT) == VIT


def test_another_folder_is_named_by_the_environment(root, monkeypatch):
    put_on_hub(root, VIT)
    fetch_weights(VIT)
    forget_hub(root)
    expected = features(VIT, 160)
    (root / "models" / "weights").rename(root / "mount")
    (root / "mount").chmod(0o555)
    monkeypatch.setenv("WEIGHTS_FOLDER", str(root / "mount"))
    assert torch.equal(features(VIT, 160), expected)
    monkeypatch.setenv("WEIGHTS_FOLDER", "elsewhere")
    with pytest.raises(UserError, match=r"backbones\.a: WEIGHTS_FOLDER=elsewhere: no such folder"):
        find_weights({"a": "hub"})


def test_a_damaged_file_is_named(root):
    put_on_hub(root, VIT)
    path, _ = fetch_weights(VIT)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{VIT_FILE}: damaged: .*run `make weights` again"):
        features(VIT, 160)
    path.write_bytes(content[:500])
    (path.parent / f".{VIT_FILE}.sha256").unlink()  # copying may skip dotfiles
    with pytest.raises(UserError, match=rf"{VIT_FILE}: not readable as safetensors"):
        features(VIT, 160)


def test_other_weights_under_the_same_name_are_refused(root):
    """Its fingerprint is `hub`: nothing else may be read as the hub's weights."""
    folder = root / "models" / "weights"
    folder.mkdir(parents=True)
    save_file(timm.create_model(VIT, num_classes=0).state_dict(), folder / VIT_FILE)
    with pytest.raises(
        UserError, match=r"expected the weights of test_vit\.r160_in1k as `make wei"
    ):
        kept_weights(VIT)


def test_the_file_can_also_be_named(root):
    put_on_hub(root, VIT)
    path, _ = fetch_weights(VIT)
    named = create_backbone(Backbone(arch=VIT, weights=f"file:{path}", image_size=64)).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(named(images), features(VIT, 64))


def test_make_weights_fetches_what_there_is_and_says_what_to_do_about_the_rest(root, caplog):
    put_on_hub(root, VIT)
    (root / "c.yaml").write_text(
        "competition: x\ntask: {kind: multiclass, target: y}\nbackbones:\n"
        f"  a: {{arch: {CNN}}}\n  b: {{arch: {VIT}}}\n  c: {{arch: {VIT}, image_size: 64}}\n"
        "  d: {arch: resnet18, weights: random}\n"
    )
    with caplog.at_level("INFO"), pytest.raises(UserError) as caught:
        bring_weights(load_config("c.yaml"))
    assert f"weights {VIT}: 1 MiB -> " in caplog.text or f"weights {VIT}: 2 MiB -> " in caplog.text
    assert len(str(caught.value).splitlines()) == 1
    assert f"'{CNN}': no weights from the hub" in str(caught.value)
    assert "copy models/weights/ here" in str(caught.value)
    assert [path.name for path in root.glob("models/weights/[!.]*")] == [VIT_FILE]
