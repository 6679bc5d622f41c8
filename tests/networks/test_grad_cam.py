"""Grad-CAM: heat by hand, and where a model has none."""

import numpy as np
import torch
from torch import nn

from pipeline.networks.grad_cam import grad_cam


class Planted(nn.Module):
    """Two maps, the first bright on the left and the second on the right; classes weigh them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.pooling = nn.Module(), None
        self.backbone.global_pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2, 2, bias=False)
        self.head.weight = nn.Parameter(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left = torch.zeros_like(images[:, :1])
        left[..., :2] = 1
        maps = torch.cat([images[:, :1] * left, images[:, :1] * (1 - left)], 1)
        return self.head(self.backbone.global_pool(maps).flatten(1))


def test_heat_lies_where_the_class_s_map_is_bright():
    images = torch.full((2, 3, 4, 4), 10.0)
    images[:, :, 0] = 20
    first, second = grad_cam(Planted(), images, np.array([0, 1]))
    expected = np.full((4, 4), 0.5)
    expected[0] = 1
    assert np.allclose(first[:, :2], expected[:, :2])
    assert (first[:, 2:] == 0).all()
    assert np.allclose(second[:, 2:], expected[:, 2:])
    assert (second[:, :2] == 0).all()


def test_a_network_without_maps_has_none():
    network = Planted()
    assert grad_cam(network, torch.ones(1, 3, 1, 1), np.array([0])) is None  # one place only
    network.backbone = nn.Identity()
    assert grad_cam(network, torch.ones(1, 3, 4, 4), np.array([0])) is None
