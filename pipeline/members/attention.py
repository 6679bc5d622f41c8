"""Where a fine-tuned network looks in held-out images: Grad-CAM of one fold's model."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from pipeline.core import artifacts
from pipeline.images.resizing import fit_square
from pipeline.networks.grad_cam import grad_cam
from pipeline.networks.network import WEIGHTS, load_network
from pipeline.project import Project

MOST_BYTES = 400_000_000  # of weights; a larger network takes too long on a processor
STRENGTH = 0.55  # of the colour where heat is 1
COLOUR = (255, 60, 0)


def can_show_attention(project: Project, member: str, fold: int) -> bool:
    """Return whether a network's fold and its cached images are there, and small enough."""
    folder = project.workspace.fold(member, fold)
    cache = project.workspace.image_cache(project.cached_side(member))
    if not (artifacts.is_whole(folder) and artifacts.is_whole(cache)):
        return False
    weights = folder / WEIGHTS
    return weights.exists() and weights.stat().st_size <= MOST_BYTES


def images_with_attention(
    project: Project, member: str, fold: int, *, rows: np.ndarray, columns: np.ndarray
) -> list[np.ndarray]:
    """Return held-out images as the network sees them, (H, W, 3) uint8, red where it looks.

    Args:
        rows: (n,) that the fold's model has not seen.
        columns: (n,) the class whose evidence is shown.
    Returns:
        n images; none where the network is not a convolutional one.
    """
    config = project.config
    settings = project.member(member)
    backbone = config.backbones[settings.network]
    network = load_network(
        project.workspace.fold(member, fold),
        settings,
        backbone,
        num_classes=len(project.competition.classes),
        task=project.task,
    )
    cache = project.cache(member)
    side, first = project.image_size(member), project.row_images.first[rows]
    images = torch.stack([fit_square(cache[row], side, backbone.cut) for row in first.tolist()])
    heat = grad_cam(network, images, columns)
    if heat is None:
        return []
    # As large as the image, and smooth.
    size = images.shape[2:]
    heat = interpolate(torch.from_numpy(heat)[:, None], size, mode="bilinear")
    share = STRENGTH * heat.clamp(0, 1)
    red = torch.tensor(COLOUR, dtype=torch.float32)[:, None, None]
    mixed = (1 - share) * images + share * red
    return list(mixed.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())
