"""Heads: from pooled features to outputs."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from pipeline.config.schema import Network


class CosineLinear(nn.Linear):
    """Linear layer of scale * cosine between features and each class's weights; no bias."""

    def __init__(self, in_features: int, out_features: int, *, scale: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = scale

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (B, C) in [-scale, scale]."""
        return self.scale * F.linear(F.normalize(features.float()), F.normalize(self.weight))


class Head(nn.Module):
    """Head from features (B, D) to outputs (B, C); in training (S*B, C), B per dropout mask."""

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
        """Return outputs; several dropout masks share one pass of the backbone (Inoue 2019)."""
        features = self.hidden(features)
        if self.training and self.num_samples > 1:
            features = features.repeat(self.num_samples, 1)
        return self.last(self.dropout(features))

    @torch.no_grad()
    def set_linear(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Fill the last layer with weight (C, D) and bias (C,); a bias that is infinite stays."""
        self.last.weight.copy_(weight)
        self.last.bias.copy_(torch.where(bias.isfinite(), bias, self.last.bias))

    @torch.no_grad()
    def set_bias(self, bias: torch.Tensor) -> None:
        """Fill the last layer's bias (C,), if it has one."""
        if self.last.bias is not None:
            self.last.bias.copy_(bias)


def rare_bias(share: float = 0.01) -> float:
    """Return log-odds of a rare class, which keep focal loss small at the start (Lin 2017)."""
    return -math.log((1 - share) / share)
