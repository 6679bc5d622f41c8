"""Policies: AutoAugment, RandAugment, AugMix and TrivialAugmentWide, which albumentations lacks.

torchvision does the work, behind albumentations' interface: arguments are torchvision's, and `p`.
`fill` is torchvision's too: areas that a turn or a shift uncovers are black, or `fill`, a number
or a colour, e.g. the images' mean, [124, 116, 104]. All of them solarise and equalise colours and
turn the image by up to 30 degrees, TrivialAugmentWide by up to 135, which makes a 6 into a 9; where
colour or direction distinguishes classes, list single transforms instead.
"""

import os
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torchvision.transforms import InterpolationMode, v2

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it connects to the internet
import albumentations as A

Interpolation = Literal["nearest", "bilinear"]  # what torchvision turns tensors with
Fill = float | tuple[float, float, float] | None


class _Arguments(A.BasicTransform.InitSchema):
    """Arguments of all policies; albumentations checks a transform's against its `InitSchema`."""

    interpolation: Interpolation
    fill: Fill


class _Policy(A.ImageOnlyTransform):
    """A torchvision policy whose draws depend on this transform's generator only."""

    def __init__(self, policy: v2.Transform, *, p: float) -> None:
        super().__init__(p=p)
        self.torchvision_policy = policy

    def get_params(self) -> dict[str, Any]:
        return {"seed": self.py_random.getrandbits(63)}

    def apply(self, img: np.ndarray, seed: int, **_: Any) -> np.ndarray:
        """Augment (H, W, 3) uint8 to the same shape."""
        channels_first = torch.from_numpy(np.ascontiguousarray(img)).permute(2, 0, 1)
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would also seed the GPU, whose dropout would repeat its draws.
            torch.default_generator.manual_seed(seed)
            changed = self.torchvision_policy(channels_first)
        return np.ascontiguousarray(changed.permute(1, 2, 0).numpy())


class AutoAugment(_Policy):
    """One of 25 pairs of operations that a search found for a data set. Source: Cubuk 2019."""

    class InitSchema(_Arguments):
        policy: Literal["imagenet", "cifar10", "svhn"]

    def __init__(
        self,
        policy: str = "imagenet",
        interpolation: Interpolation = "nearest",
        fill: Fill = None,
        p: float = 1.0,
    ) -> None:
        chosen = v2.AutoAugmentPolicy(policy)
        super().__init__(
            v2.AutoAugment(chosen, interpolation=InterpolationMode(interpolation), fill=fill), p=p
        )


class RandAugment(_Policy):
    """`num_ops` random operations of one strength, `magnitude`. Source: Cubuk 2020."""

    class InitSchema(_Arguments):
        num_ops: int = Field(ge=0)
        magnitude: int = Field(ge=0)
        num_magnitude_bins: int = Field(ge=2)

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Interpolation = "nearest",
        fill: Fill = None,
        p: float = 1.0,
    ) -> None:
        # torchvision notices only when an operation that has a strength is drawn.
        if magnitude >= num_magnitude_bins:
            raise ValueError(f"magnitude must be below num_magnitude_bins, {num_magnitude_bins}")
        policy = v2.RandAugment(
            num_ops,
            magnitude,
            num_magnitude_bins,
            interpolation=InterpolationMode(interpolation),
            fill=fill,
        )
        super().__init__(policy, p=p)


class AugMix(_Policy):
    """The image blended with `mixture_width` chains of operations. Source: Hendrycks 2020.

    Without its loss, which compares several mixes of one image.
    """

    class InitSchema(_Arguments):
        severity: int = Field(ge=1, le=10)
        mixture_width: int = Field(ge=1)
        chain_depth: int
        alpha: float = Field(gt=0)
        all_ops: bool

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Interpolation = "bilinear",
        fill: Fill = None,
        p: float = 1.0,
    ) -> None:
        policy = v2.AugMix(
            severity,
            mixture_width,
            chain_depth,
            alpha,
            all_ops,
            interpolation=InterpolationMode(interpolation),
            fill=fill,
        )
        super().__init__(policy, p=p)


class TrivialAugmentWide(_Policy):
    """One random operation of a random strength. Source: Müller 2021, TrivialAugment."""

    class InitSchema(_Arguments):
        num_magnitude_bins: int = Field(ge=2)

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: Interpolation = "nearest",
        fill: Fill = None,
        p: float = 1.0,
    ) -> None:
        policy = v2.TrivialAugmentWide(
            num_magnitude_bins, interpolation=InterpolationMode(interpolation), fill=fill
        )
        super().__init__(policy, p=p)


POLICIES = {
    policy.__name__: policy for policy in (AutoAugment, RandAugment, AugMix, TrivialAugmentWide)
}
