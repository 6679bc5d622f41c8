"""What can be known to fail is tried first: a typo must not end a night's run halfway."""

from pipeline.config.schema import Config, Network
from pipeline.data.augmentation import Spread, create_augmentation
from pipeline.data.sampling import check_sampling
from pipeline.networks.backbones import create_backbone
from pipeline.networks.device import choose_device
from pipeline.networks.losses import create_loss
from pipeline.networks.network import create_network
from pipeline.networks.optimisation import create_optimizer
from pipeline.networks.schedules import check_schedule


def try_networks(config: Config, *, backbones: list[str], members: list[str]) -> None:
    """Build each backbone with its weights, and each network's loss and augmentation.

    Args:
        backbones: those that the jobs to come use. members: networks among them.
    Raises:
        UserError: no such device or architecture, weights out of reach or not fitting, an unknown
            transform, a loss that does not fit the task.
    """
    choose_device(config.runtime.device)
    for name in backbones:
        create_backbone(config.backbones[name])
    for name in members:
        settings = config.members[name]
        assert isinstance(settings, Network)
        backbone = config.backbones[settings.network]
        create_loss(settings, config.task.kind)
        check_sampling(settings.sampling, kind=config.task.kind)
        check_schedule(settings)
        network = create_network(
            settings, backbone, num_classes=2, kind=config.task.kind, pretrained=False
        )
        create_optimizer(network, settings)
        create_augmentation(
            settings.augment,
            image_size=settings.image_size or backbone.image_size,
            cut=backbone.cut,
            spread=Spread(brightness=0.2, contrast=0.2),  # measured later
        )
