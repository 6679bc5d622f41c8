"""Backbones: any timm architecture, with weights from the hub, a package, a file, or none.

Weights are found and digested without torch (`weights.py`), because a block's fingerprint
needs their digest; `create_backbone` then loads them and refuses what does not fit.
"""

import logging
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from pipeline.backbones.hub import from_hub, kept_weights
from pipeline.backbones.sizes import fit_to_size
from pipeline.backbones.weights import weights_file
from pipeline.config.schema import Backbone
from pipeline.core.artifacts import replacing
from pipeline.errors import UserError, did_you_mean, first_line

log = logging.getLogger(__name__)


def create_backbone(
    backbone: Backbone,
    *,
    image_size: int | None = None,
    drop_path: float = 0.0,
    weights: bool = True,
) -> nn.Module:
    """Build a timm model without its classifier: it returns pooled features (B, D).

    Args:
        backbone: architecture and where its weights come from.
        image_size: side of the square images that it will see, the backbone's own by default.
            ViT, Swin and others have position embeddings and windows for one size: timm
            resamples them after the weights were loaded.
        weights: False builds without pretrained weights, to load a snapshot into.
    Raises:
        UserError: unknown architecture, hub out of reach, weights or a size that do not fit.
    """
    with torch.random.fork_rng(devices=[]):  # building a model must not change other draws
        settings = {"drop_path_rate": drop_path} if drop_path else {}
        model, settings = _at_native_size(backbone, settings, weights=weights)
        side = image_size or backbone.image_size
        return fit_to_size(model, side, arch=backbone.arch, settings=settings)


def save_native_weights(backbone: Backbone, path: Path) -> None:
    """Write a backbone's weights, at their own size, as a .safetensors that `file:PATH` reads."""
    with torch.random.fork_rng(devices=[]):
        model, _ = _at_native_size(backbone, {}, weights=True)
    # Cloned: safetensors refuses tensors that share memory.
    state = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    with replacing(path) as temporary:
        save_file(state, temporary)


def _at_native_size(
    backbone: Backbone, settings: dict[str, Any], *, weights: bool
) -> tuple[nn.Module, dict[str, Any]]:
    """Return a model of the size of its weights, and the settings that it was created with."""
    arch = backbone.arch
    if not timm.is_model(arch):
        near = did_you_mean(arch.split(".")[0], timm.list_models(), most=3, list_all=False)
        raise UserError(
            f"backbone arch {arch!r}: timm {timm.__version__} does not know it"
            f"{near or '; `timm.list_models()` lists what it knows'}"
        )
    if weights and backbone.weights == "random":
        log.warning(
            "backbone %s has RANDOM weights: its features are not trained on any images", arch
        )
        # The same draw each time: a block is made by one model, however often it is resumed.
        torch.default_generator.manual_seed(0)
    path = _weights_path(backbone) if weights else None
    pretrained = weights and backbone.weights == "hub" and path is None
    with from_hub(arch) if pretrained else nullcontext():
        model, settings = _create(arch, {"num_classes": 0, **settings}, pretrained=pretrained)
    if path is not None:
        _load_weights(model, arch, path)
    return model, settings


def _weights_path(backbone: Backbone) -> Path | None:
    """Return the file that the weights are read from; None: random, or the hub's."""
    if backbone.weights == "random":
        return None
    return (
        kept_weights(backbone.arch) if backbone.weights == "hub" else weights_file(backbone.weights)
    )


def _create(
    arch: str, settings: dict[str, Any], *, pretrained: bool
) -> tuple[nn.Module, dict[str, Any]]:
    """Create a timm model of the size of its weights; return it and the settings that it took.

    Where timm can, it resamples position embeddings for images of any other size, too: views of
    test-time augmentation may have one.
    """
    resampling = settings | {"dynamic_img_size": True}
    try:
        with suppress(TypeError):  # most architectures have no such argument
            return timm.create_model(arch, pretrained=pretrained, **resampling), resampling
        return timm.create_model(arch, pretrained=pretrained, **settings), settings
    except (TypeError, RuntimeError) as error:
        if pretrained and isinstance(error, RuntimeError):
            raise  # of the hub
        raise UserError(f"backbone arch {arch!r} cannot be built so: {first_line(error)}") from None


def normalisation(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation that the weights expect, per channel, from 0 to 1."""
    return tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"])


def change_channels(model: nn.Module, channels: int) -> nn.Module:
    """Change a model's first convolution to 1 or 4 input channels, in place.

    One: its weights are summed, so that a grey image gives what its three equal channels gave,
    up to the differences between the channels' normalisations.
    Four: the fourth's weights are zero, so that predictions stay.

    Raises:
        UserError: if timm does not say which convolution is the first.
    """
    if channels == 3:
        return model
    name = model.pretrained_cfg.get("first_conv")
    first = model.get_submodule(name) if isinstance(name, str) else None
    if not isinstance(first, nn.Conv2d) or first.groups != 1:
        arch = model.pretrained_cfg.get("architecture")
        raise UserError(f"channels {channels}: {arch} has no single first convolution. Say 3.")
    weight = first.weight.detach()
    changed = weight.sum(1, keepdim=True) if channels == 1 else F.pad(weight, (0, 0, 0, 0, 0, 1))
    first.weight, first.in_channels = nn.Parameter(changed), channels
    return model


def _load_weights(model: nn.Module, arch: str, path: Path) -> None:
    """Copy weights from a file into all of a model without classifier.

    Equal names are taken as they are. Files of another project may hold the same tensors in the
    same order under other names: they are paired by position, and every shape must agree. Not so
    for .safetensors, which keeps no order.
    """
    found, own = _read_tensors(path), model.state_dict()
    body = list(own)
    if not all(name in found for name in body) and path.suffix != ".safetensors":
        with torch.device("meta"):
            with_classifier = timm.create_model(arch).state_dict()
        if len(found) == len(with_classifier):
            found = dict(zip(with_classifier, found.values(), strict=True))
    wrong = [name for name in body if name not in found or found[name].shape != own[name].shape]
    if wrong:
        raise UserError(
            f"{path}: these weights do not fit {arch}: {len(wrong)} of {len(body)} "
            f"tensors are absent or have another shape, e.g. {wrong[:3]}. "
            "Name the architecture that they were trained for."
        )
    model.load_state_dict({name: found[name] for name in body})


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the named tensors of a .safetensors or torch file, without running code in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path}: not readable as weights ({first_line(error)}).") from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}, expected tensors by name.")
    return {name: value for name, value in content.items() if torch.is_tensor(value)}
