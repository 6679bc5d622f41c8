"""Heads: pooling of feature maps, and what turns pooled features into outputs."""

import math

import torch
from timm.layers import SelectAdaptivePool2d
from torch import nn
from torch.nn import functional as F

from pipeline.config.errors import UserError
from pipeline.config.schema import Backbone, Network

TIMM_POOLS = {"auto": "avg", "avg": "avg", "max": "max", "avgmax": "avgmax", "concat": "catavgmax"}


class GeneralisedMean(nn.Module):
    """(B, D, H, W) to (B, D): the p-th root of the mean of p-th powers, p learned.

    At p = 1 it is the average, towards infinity the maximum. Source: Radenovic 2018 (GeM).
    """

    def __init__(self, p: float = 3.0, smallest: float = 1e-6) -> None:
        super().__init__()
        self.p, self.smallest = nn.Parameter(torch.tensor(p)), smallest

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Powers are taken in float32: 16 bits overflow."""
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
        make = (
            GeneralisedMean
            if pool == "gem"
            else lambda: SelectAdaptivePool2d(pool_type=TIMM_POOLS[pool], flatten=True)
        )
        self.pools = nn.ModuleList(make() for _ in (*stages, *([] if self.own_last else ["last"])))

    def forward(self, backbone: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Features (B, D) of normalised images (B, channels, H, W)."""
        return torch.cat(self.parts(backbone, images), 1)

    def parts(self, backbone: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
        """Features (B, D) of each of the stages, then of the last map."""
        if self.stages:
            last, maps = backbone.forward_intermediates(images, indices=self.stages)
        else:
            last, maps = backbone.forward_features(images), []
        if self.own_last:
            pooled = [pool(m) for pool, m in zip(self.pools, maps, strict=True)]
            return [*pooled, backbone.forward_head(last, pre_logits=True)]
        if last.ndim != 4:
            raise ValueError("tokens, not maps")
        if getattr(backbone, "output_fmt", "NCHW") == "NHWC":
            last = last.permute(0, 3, 1, 2)
        return [pool(m) for pool, m in zip(self.pools, (*maps, last), strict=True)]


class CosineLinear(nn.Linear):
    """scale * cosine between features and each class's weights; no bias."""

    def __init__(self, in_features: int, out_features: int, *, scale: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) in [-scale, scale]."""
        return self.scale * F.linear(F.normalize(features.float()), F.normalize(self.weight))


class Head(nn.Module):
    """Features (B, D) to outputs (B, C); in training (S*B, C), one block of B per dropout mask."""

    def __init__(self, settings: Network, *, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Identity()
        if settings.head == "mlp":
            first = nn.Linear(num_features, settings.hidden)
            nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
            nn.init.zeros_(first.bias)
            self.hidden, num_features = nn.Sequential(first, nn.ReLU()), settings.hidden
        self.dropout, self.num_samples = nn.Dropout(settings.dropout), settings.dropout_samples
        if settings.head == "cosine":
            self.last = CosineLinear(num_features, num_classes, scale=settings.scale)
        else:
            self.last = nn.Linear(num_features, num_classes)
        if settings.head == "cosine" or settings.init == "kaiming":
            nn.init.kaiming_normal_(self.last.weight, nonlinearity="linear")
        elif settings.init == "xavier":
            nn.init.xavier_uniform_(self.last.weight)
        else:
            nn.init.zeros_(self.last.weight)
        self.set_bias(torch.zeros(num_classes))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Several masks share one pass of the backbone (Inoue 2019)."""
        features = self.hidden(features)
        if self.training and self.num_samples > 1:
            features = features.repeat(self.num_samples, 1)
        return self.last(self.dropout(features))

    @torch.no_grad()
    def set_bias(self, bias: torch.Tensor) -> None:
        """Fill the last layer's bias (C,), if it has one."""
        if self.last.bias is not None:
            self.last.bias.copy_(bias)


def create_pooling(
    settings: Network | Backbone, backbone: nn.Module, *, arch: str
) -> Pooling | None:
    """What the config asks for, or None: the backbone pools as it was pretrained to.

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
    remedy: str = "Say another `image_size`.",
) -> int:
    """D of what pooling makes of a backbone's maps, found by one image.

    Args:
        remedy: what to do where the backbone does not take images of this size.
    Raises:
        UserError: it does not, or it gives nothing that can be pooled so.
    """
    device = next(backbone.parameters()).device
    image = torch.zeros(1, channels, image_size, image_size, device=device)
    was_training = backbone.training
    backbone.eval()
    what = f"{arch} does not take images of {image_size} x {image_size} px"
    try:
        with torch.no_grad():
            features = backbone(image)
            if pooling is not None:
                what = f"pool and stages: {arch} does not give maps that can be pooled"
                remedy = "Say `pool: auto` and `stages: []`."
                features = pooling(backbone, image)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:150]
        raise UserError(f"{what} ({reason}). {remedy}") from None
    finally:
        backbone.train(was_training)
    if features.ndim != 2:
        raise UserError(f"{arch} gives features {tuple(features.shape)}, expected (1, D).")
    return features.shape[1]


def rare_bias(share: float = 0.01) -> float:
    """Log-odds of a rare class: so that focal loss does not start with a flood (Lin 2017)."""
    return -math.log((1 - share) / share)
