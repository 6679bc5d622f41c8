"""Engines: each gives eager's features, or is not used."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from pipeline.backbones import engines
from pipeline.backbones.device import Hardware
from pipeline.backbones.engines import FEW_PASSES, choose_engine, compare, in_parts, make_engine
from pipeline.errors import UserError

pytestmark = pytest.mark.numeric

CPU = Hardware(torch.device("cpu"), "32")
OPENVINO = replace(CPU, engine="openvino")


def images(count: int, side: int = 32) -> torch.Tensor:
    pixels = torch.randn(count, 3, side, side, generator=torch.manual_seed(1))
    return pixels.contiguous(memory_format=torch.channels_last)


def network(arch: str = "test_efficientnet") -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(arch, num_classes=0).eval()


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.fixture
def installed(monkeypatch):
    """Say whether OpenVINO is installed, whatever is here."""

    def say(is_there: bool) -> None:
        monkeypatch.setattr(
            engines.importlib.util, "find_spec", lambda name: object() if is_there else None
        )

    return say


def test_auto_takes_openvino_for_many_passes_on_a_cpu(installed):
    installed(True)
    assert choose_engine(CPU, FEW_PASSES) == "openvino"
    assert choose_engine(CPU, FEW_PASSES - 1) == "eager"
    assert choose_engine(replace(CPU, precision="bf16"), FEW_PASSES) == "openvino"
    assert choose_engine(replace(CPU, precision="16"), FEW_PASSES) == "eager"
    assert choose_engine(replace(CPU, device=torch.device("cuda")), FEW_PASSES) == "eager"
    installed(False)
    assert choose_engine(CPU, FEW_PASSES) == "eager"


def test_an_engine_that_is_not_there_or_does_not_fit_is_refused(installed):
    installed(False)
    with pytest.raises(UserError, match=r"runtime\.engine: openvino is not installed.*EXTRAS="):
        choose_engine(OPENVINO, 1)
    installed(True)
    with pytest.raises(UserError, match="precision 32 or bf16; this is cpu in 16"):
        choose_engine(replace(OPENVINO, precision="16"), 1)
    with pytest.raises(UserError, match="this is cuda in 32"):
        choose_engine(replace(OPENVINO, device=torch.device("cuda")), 1)


def test_comparing_by_hand():
    wanted = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert compare(wanted, wanted) == (pytest.approx(1.0), 0.0)
    found = torch.tensor([[3.0, 4.4], [2.0, 0.0]])  # the second row at a right angle
    cosine = (3 * 3 + 4 * 4.4) / 5 / (3**2 + 4.4**2) ** 0.5
    assert compare(found, wanted) == (pytest.approx(cosine / 2), pytest.approx(2 / 4))


@pytest.mark.skipif("ONEDNN_MAX_CPU_ISA" in os.environ, reason="OpenVINO wants newer processors")
@torch.inference_mode()
@pytest.mark.parametrize("arch", ["test_efficientnet", "vit_tiny_patch16_224", "test_convnext"])
def test_openvino_gives_eagers_features_for_every_number_of_images(arch, caplog):
    pytest.importorskip("openvino", reason="openvino is an extra")
    model, side = network(arch), 224
    engine = make_engine(model, OPENVINO, passes=1)
    for count in (3, 4, 9, 1):
        assert_same(engine(images(count, side)), model(images(count, side)))
    assert "eager" not in caplog.text  # the engine itself was used
    assert len({*engine(images(2, side))[:, 0].tolist()}) == 2  # images differ


@torch.inference_mode()
def test_openvino_takes_images_of_several_sizes_and_each_image_alone():
    pytest.importorskip("openvino", reason="openvino is an extra")
    model = network()
    engine = make_engine(model, OPENVINO, passes=1)
    for side in (32, 48, 32):
        assert_same(engine(images(5, side)), model(images(5, side)))
    # A run that continues another has other batches, and must end with the same bytes.
    assert torch.equal(engine(images(7))[2:5], engine(images(7)[2:5]))


@torch.inference_mode()
def test_openvino_that_cannot_convert_a_network_says_so(caplog):
    pytest.importorskip("openvino", reason="openvino is an extra")
    model = network("test_vit")  # resamples its position embeddings in every pass
    engine = make_engine(model, OPENVINO, passes=1)
    assert torch.equal(engine(images(2, 192)), model(images(2, 192)))
    assert "openvino at (192, 192) px does not run this network" in caplog.text


# Engines are dropped in the order in which they were made; then a process ends, which is a signal.
DROPPED_ENGINES = """
import signal, subprocess, timm, torch
from pipeline.backbones.device import Hardware
from pipeline.backbones.engines import make_engine

signal.signal(signal.SIGCHLD, lambda *_: print("handled"))
model = timm.create_model("test_efficientnet", num_classes=0).eval()
hardware = Hardware(torch.device("cpu"), "32", engine="openvino")
with torch.inference_mode():
    engines = [make_engine(model, hardware, passes=9999) for _ in range(2)]
    for engine in engines:
        engine(torch.rand(4, 3, 32, 32))
    del engine
    while engines:
        del engines[0]
subprocess.run(["true"])
"""


def test_signals_are_handled_after_engines_are_dropped():
    pytest.importorskip("openvino")
    ran = subprocess.run([sys.executable, "-c", DROPPED_ENGINES], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "handled"), ran.stderr


@torch.inference_mode()
def test_openvino_in_bf16_points_where_eager_points():
    pytest.importorskip("openvino", reason="openvino is an extra")
    model = network("resnet18")
    engine = make_engine(model, replace(OPENVINO, precision="bf16"), passes=1)
    cosine, _ = compare(engine(images(8, 64)), model(images(8, 64)))
    assert cosine > 0.998


class Doubles(nn.Module):
    """Says 2x in place of x, as a wrong engine."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels):
        return 2 * self.model(pixels)


@torch.inference_mode()
def test_an_engine_that_says_something_else_is_not_used(monkeypatch, caplog):
    model = network()
    monkeypatch.setattr(engines, "_compiled", lambda model, images, hardware: Doubles(model))
    engine = make_engine(model, replace(CPU, engine="compiled"), passes=1)
    assert torch.equal(engine(images(2)), model(images(2)))
    assert "compiled at (32, 32) px says something else than eager" in caplog.text


class Swaps(Doubles):
    """Says the features of another image, in part."""

    def __init__(self, model: nn.Module, share: float) -> None:
        super().__init__(model)
        self.share = share

    def forward(self, pixels):
        features = self.model(pixels)
        return features.lerp(features.roll(1, 1), self.share)


@torch.inference_mode()
@pytest.mark.parametrize(("share", "used"), [(1e-4, True), (0.5, False)])
def test_in_fewer_bits_the_direction_counts(monkeypatch, share, used):
    model = network("resnet18")
    monkeypatch.setattr(engines, "_compiled", lambda model, images, hardware: Swaps(model, share))
    bf16 = replace(CPU, engine="compiled", precision="bf16")
    found = make_engine(model, bf16, passes=1)(images(2, 64))
    assert torch.equal(found, Swaps(model, share)(images(2, 64))) == used


@torch.inference_mode()
def test_an_engine_that_fails_is_not_used(monkeypatch, caplog):
    def fails(model, images, hardware):
        raise RuntimeError("no compiler\nhere")

    model = network()
    monkeypatch.setattr(engines, "_compiled", fails)
    engine = make_engine(model, replace(CPU, engine="compiled"), passes=1)
    for _ in range(2):
        assert torch.equal(engine(images(2)), model(images(2)))
    assert (
        caplog.text.count("does not run this network (RuntimeError: no compiler); eager is used")
        == 1
    )


@torch.inference_mode()
def test_compiled_fills_up_the_last_batch(monkeypatch):
    sizes = []
    monkeypatch.setattr(torch, "compile", lambda model: lambda x: sizes.append(len(x)) or model(x))
    model = network()
    engine = make_engine(model, replace(CPU, engine="compiled"), passes=1)
    for count in (4, 3, 4):
        assert_same(engine(images(count)), model(images(count)))
    assert {*sizes} == {4}


def test_batches_that_do_not_fit_are_halved_from_then_on(caplog):
    asked = []

    def run(images):
        asked.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images.flatten(1) * 2

    engine, given = in_parts(run), torch.rand(10, 1, 2, 2)
    torch.testing.assert_close(engine(given), given.flatten(1) * 2)
    assert asked == [10, 5, 3, 3, 3, 1]
    del asked[:]
    engine(given[:4])
    assert asked == [3, 1]
    assert "3 images are computed at once" in caplog.text


def test_one_image_that_does_not_fit_is_an_error():
    def run(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        in_parts(run)(torch.rand(2, 1, 2, 2))
