"""Pooling: feature maps of a backbone's last stages to one vector per image."""

import torch
from timm.layers import SelectAdaptivePool2d
from torch import nn

from pipeline.backbones.sizes import SIZE_ERRORS, size_refused
from pipeline.config.schema import Backbone, Network
from pipeline.errors import UserError

TIMM_POOLS = {"auto": "avg", "avg": "avg", "max": "max", "avgmax": "avgmax", "concat": "catavgmax"}


class GeneralisedMean(nn.Module):
    """Pooling of (B, D, H, W) to (B, D): the p-th root of the mean of p-th powers, p learned.

    At p = 1 it is the average, towards infinity the maximum. Source: Radenovic 2018 (GeM).
    """

    def __init__(self, p: float = 3.0, smallest: float = 1e-6) -> None:
        super().__init__()
        self.p, self.smallest = nn.Parameter(torch.tensor(p)), smallest

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool; powers are taken in float32, because 16 bits overflow."""
        return maps.float().clamp_min(self.smallest).pow(self.p).mean((2, 3)).pow(1 / self.p)


class Pooling(nn.Module):
    """Pooled features of a backbone's last map, and of earlier stages beside it.

    Args:
        pool: as in the config; auto: the last map as the backbone pools it, the others' averages.
        stages: of timm's forward_intermediates, which counts them from the stem; negative from the
            last.
    """

    def __init__(self, pool: str, stages: list[int]) -> None:
        super().__init__()
        self.stages, self.own_last = stages, pool == "auto"
        self.of_positive = pool == "gem"  # tokens have both signs
        make = (
            GeneralisedMean
            if pool == "gem"
            else lambda: SelectAdaptivePool2d(pool_type=TIMM_POOLS[pool], flatten=True)
        )
        self.pools = nn.ModuleList(make() for _ in (*stages, *([] if self.own_last else ["last"])))

    def forward(self, backbone: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return features (B, D) of normalised images (B, channels, H, W)."""
        return torch.cat(self.parts(backbone, images), 1)

    def parts(self, backbone: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
        """Return features (B, D) of each of the stages, then of the last map."""
        if self.stages:
            last, maps = backbone.forward_intermediates(images, indices=self.stages)
        else:
            last, maps = backbone.forward_features(images), []
        if self.own_last:
            pooled = [pool(m) for pool, m in zip(self.pools, maps, strict=True)]
            return [*pooled, backbone.forward_head(last, pre_logits=True)]
        if last.ndim == 3 and not self.of_positive:
            last = _patches_as_map(backbone, last)
        if last.ndim != 4:
            raise ValueError("tokens, not maps")
        if getattr(backbone, "output_fmt", "NCHW") == "NHWC":
            last = last.permute(0, 3, 1, 2)
        return [pool(m) for pool, m in zip(self.pools, (*maps, last), strict=True)]


def _patches_as_map(backbone: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Return a transformer's patch tokens (B, T, D) as (B, D, T, 1), without its class token."""
    return tokens[:, getattr(backbone, "num_prefix_tokens", 0) :].transpose(1, 2).unsqueeze(3)


def create_pooling(
    settings: Network | Backbone, backbone: nn.Module, *, arch: str
) -> Pooling | None:
    """Create the pooling that the config asks for; None keeps the backbone's own.

    Raises:
        UserError: if the backbone has no such stages or gives no maps (B, D, H, W).
    """
    if settings.pool == "auto" and not settings.stages:
        return None
    stages = settings.stages
    if stages:
        if not hasattr(backbone, "forward_intermediates"):
            raise UserError(f"stages: timm's {arch} gives no intermediate maps. Say `stages: []`.")
        num_stages = len(getattr(backbone, "feature_info", None) or [])
        if wrong := [stage for stage in stages if not -num_stages <= stage < num_stages]:
            raise UserError(f"stages: {arch} has {num_stages}, counted from 0; got {wrong}.")
        stages = sorted({stage % num_stages for stage in stages})
    return Pooling(settings.pool, stages)


def num_features_of(
    pooling: Pooling | None,
    backbone: nn.Module,
    *,
    image_size: int,
    arch: str,
    channels: int = 3,
    remedy: str = "",
) -> int:
    """Find D of the pooled features by a forward pass of one image.

    Args:
        remedy: what to do where the backbone does not take images of this size; another size, by
            default.
    Raises:
        UserError: it does not, or it gives nothing that can be pooled so.
    """
    device = next(backbone.parameters()).device
    image = torch.zeros(1, channels, image_size, image_size, device=device)
    was_training = backbone.training
    backbone.eval()
    try:
        features = _features(None, backbone, image)
    except SIZE_ERRORS as error:
        raise UserError(size_refused(arch, image_size, error, remedy=remedy)) from None
    try:
        features = features if pooling is None else _features(pooling, backbone, image)
    except SIZE_ERRORS as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:150]
        raise UserError(
            f"pool and stages: {arch} does not give maps that can be pooled ({reason}). "
            "Say `pool: auto` and `stages: []`."
        ) from None
    backbone.train(was_training)
    if features.ndim != 2:
        raise UserError(f"{arch} gives features {tuple(features.shape)}, expected (1, D).")
    return features.shape[1]


@torch.no_grad()
def _features(pooling: Pooling | None, backbone: nn.Module, image: torch.Tensor) -> torch.Tensor:
    return backbone(image) if pooling is None else pooling(backbone, image)
