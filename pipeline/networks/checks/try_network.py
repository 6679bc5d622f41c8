"""Try a network before training, so that a typo does not end a long run halfway."""

import numpy as np

from pipeline.backbones.frozen import try_views
from pipeline.config.schema import Backbone, Network
from pipeline.core.task import Task
from pipeline.images.augmentation import Spread, create_augmentation
from pipeline.images.sampling import check_sampling
from pipeline.networks.class_weights import create_class_weights
from pipeline.networks.losses import try_loss
from pipeline.networks.network import create_network
from pipeline.networks.optimisation import create_optimizer
from pipeline.networks.parameter_groups import check_batch
from pipeline.networks.schedules import check_schedule


def try_network(settings: Network, backbone: Backbone, *, task: Task, views: list[str]) -> None:
    """Build all parts of a network, without pretrained weights and without images.

    Raises:
        UserError: a part that does not fit the task, the architecture, or another part.
    """
    try_loss(settings, task)
    create_class_weights(settings, np.eye(2), np.ones(2), task)
    check_sampling(settings.sampling, task=task)
    check_schedule(settings)
    network = create_network(settings, backbone, num_classes=2, task=task, pretrained=False)
    create_optimizer(network, settings)
    check_batch(network, settings)
    image_size = settings.image_size or backbone.image_size
    try_views(
        network.backbone,
        network.pooling,
        views,
        image_size=image_size,
        arch=backbone.arch,
        channels=settings.channels,
    )
    create_augmentation(
        settings.augment,
        image_size=image_size,
        cut=backbone.cut,
        spread=Spread(brightness=0.2, contrast=0.2),  # measured later
    )
