"""Image sizes: fit a timm model to squares of another size than its weights', or say which fit."""

import warnings
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

import timm
import torch
from torch import nn

from pipeline.errors import UserError

MOST_TRIES = 8  # sizes tried on either side of one that does not work
# What architectures raise for a size that they do not take.
SIZE_ERRORS = (RuntimeError, ValueError, IndexError, TypeError, AssertionError)


def fit_to_size(model: nn.Module, side: int, *, arch: str, settings: dict[str, Any]) -> nn.Module:
    """Return a model for square images of one size, with position embeddings resampled by timm.

    Args:
        model: of the size that its weights have; it may be changed in place.
        settings: of `timm.create_model`.
    Raises:
        UserError: if the architecture does not take this size, with the nearest sizes that work.
    """
    if _native_side(model) == (side, side) or not model.pretrained_cfg.get("fixed_input_size"):
        return model
    if not hasattr(model, "set_input_size") and _runs(_on_meta(arch), side):
        return model
    patch = _patch_side(model)
    if side % patch:  # timm would leave the last pixels out, in silence
        raise UserError(
            f"{arch} cuts images into patches of {patch} px, and {side} px are no multiple of it. "
            f"{say_nearest_sizes(arch, side)}"
        )
    try:
        return _resized(model, side, arch=arch, settings=settings)
    except SIZE_ERRORS as error:
        raise UserError(size_refused(arch, side, error)) from None


def check_size(arch: str, side: int) -> None:
    """Check that an architecture takes square images of one size, without its weights.

    An architecture that timm does not know, or whose shapes cannot be computed, passes: building it
    says more.

    Raises:
        UserError: if it does not, with the nearest sizes that work.
    """
    try:
        model = _on_meta(arch)
    except SIZE_ERRORS:
        return
    if not _runs(model, *_native_side(model)[:1]):
        return
    with torch.device("meta"):
        model = fit_to_size(model, side, arch=arch, settings={"num_classes": 0})
    try:
        _run(model, side)
    except SIZE_ERRORS as error:
        raise UserError(size_refused(arch, side, error)) from None


def size_refused(arch: str, side: int, error: Exception, *, remedy: str = "") -> str:
    """Return the message for a size that an architecture does not take.

    Args:
        remedy: what to do about it; the nearest sizes that work by default.
    """
    reason = " ".join(str(error).split())[:150] or type(error).__name__
    return (
        f"{arch} does not take images of {side} x {side} px ({reason}). "
        f"{remedy or say_nearest_sizes(arch, side)}"
    )


def say_nearest_sizes(arch: str, side: int) -> str:
    """Return a sentence with the nearest sizes that an architecture takes."""
    near = nearest_sizes(arch, side)
    if not near:
        return "Say another `image_size`."
    return f"Say `image_size: {near[0]}`" + (f" or `{near[1]}`." if near[1:] else ".")


def nearest_sizes(arch: str, side: int) -> list[int]:
    """Find the nearest smaller and larger size that an architecture takes, the nearer one first.

    Sizes are tried on torch's meta device, which computes shapes only. If none of them works, the
    size of the weights is returned; without that, nothing.
    """
    if not timm.is_model(arch):
        return []
    model = _on_meta(arch)
    step = _patch_side(model)
    if step == 1:  # no patches: sizes that the last map divides
        step = (getattr(model, "feature_info", None) or [{}])[-1].get("reduction", 32)
    down, up = (
        range((side - 1) // step * step, 0, -step),
        range((side // step + 1) * step, 4096, step),
    )
    found = [size for sizes in (down, up) for size in _first_that_works(arch, sizes)]
    if not found:
        return [size for size in _native_side(model)[:1] if size != side]
    return sorted(found, key=lambda size: abs(size - side))


def _first_that_works(arch: str, sizes: Iterable[int]) -> list[int]:
    return list(islice((s for s in islice(sizes, MOST_TRIES) if _takes(arch, s)), 1))


def _takes(arch: str, side: int) -> bool:
    model = _on_meta(arch)
    if model.pretrained_cfg.get("fixed_input_size"):
        with suppress(*SIZE_ERRORS), torch.device("meta"):
            model = _resized(model, side, arch=arch, settings={"num_classes": 0})
    return _runs(model, side)


def _runs(model: nn.Module, side: int = 224) -> bool:
    try:
        _run(model, side)
    except (*SIZE_ERRORS, NotImplementedError):
        return False
    return True


@torch.no_grad()
def _run(model: nn.Module, side: int) -> None:
    model.eval()(torch.zeros(1, 3, side, side, device="meta"))


def _on_meta(arch: str) -> nn.Module:
    """Build a model without memory for its weights."""
    with torch.device("meta"):
        return timm.create_model(arch, num_classes=0)


def _resized(model: nn.Module, side: int, *, arch: str, settings: dict[str, Any]) -> nn.Module:
    """Resize a model in place where it can, else load its weights into a new one of that size."""
    with warnings.catch_warnings():  # of torch, on how timm indexes tensors
        warnings.simplefilter("ignore")
        if hasattr(model, "set_input_size"):
            model.set_input_size(img_size=(side, side))
            return model
        resized = timm.create_model(
            arch,
            pretrained=True,
            pretrained_cfg_overlay={"state_dict": model.state_dict()},
            img_size=(side, side),
            **settings,
        )
    resized.pretrained_cfg = resized.default_cfg = model.pretrained_cfg  # without the weights
    return resized


def _native_side(model: nn.Module) -> tuple[int, ...]:
    return tuple(model.pretrained_cfg.get("input_size", ())[1:])


def _patch_side(model: nn.Module) -> int:
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    return patch if isinstance(patch, int) else max(patch)
