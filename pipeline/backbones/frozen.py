"""A frozen backbone: normalised images in, pooled features of one or several stages out."""

import torch
from torch import nn

from pipeline.backbones.create import create_backbone
from pipeline.backbones.pooling import Pooling, create_pooling, num_features_of
from pipeline.config.schema import Backbone
from pipeline.images.tta import sides


class PooledBackbone(nn.Module):
    """A timm model under another pooling than its own, or with earlier stages beside the last."""

    def __init__(self, backbone: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.backbone, self.pooling = backbone, pooling
        self.pretrained_cfg = backbone.pretrained_cfg

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return features (B, D) of images (B, 3, H, W)."""
        return self.pooling(self.backbone, images)

    def parts(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the same features, stage by stage."""
        return self.pooling.parts(self.backbone, images)


def create_frozen(backbone: Backbone) -> nn.Module:
    """Create the model whose outputs are a block, in eval mode.

    Raises:
        UserError: a backbone that cannot be built so, or has no such stages.
    """
    model = create_backbone(backbone)
    pooling = create_pooling(backbone, model, arch=backbone.arch)
    return (model if pooling is None else PooledBackbone(model, pooling)).eval()


def try_frozen(backbone: Backbone, views: list[str], *, weights: bool = True) -> None:
    """Build the model of a block and run it on an empty image of each size that views have.

    Args:
        weights: False builds it without pretrained weights.
    Raises:
        UserError: a backbone that cannot be built so, or does not take one of the sizes.
    """
    model = create_backbone(backbone, weights=weights)
    pooling = create_pooling(backbone, model, arch=backbone.arch)
    try_views(model, pooling, views, image_size=backbone.image_size, arch=backbone.arch)


def try_views(
    model: nn.Module,
    pooling: Pooling | None,
    views: list[str],
    *,
    image_size: int,
    arch: str,
    channels: int = 3,
) -> None:
    """Run a backbone on an empty image of each size that views have.

    Raises:
        UserError: if it does not take one of the sizes, as many transformers.
    """
    for side, view in sides(views, image_size).items():
        remedy = {} if side == image_size else {"remedy": f"Leave `{view}` out of `tta.views`."}
        num_features_of(pooling, model, image_size=side, arch=arch, channels=channels, **remedy)
