"""What can be known to fail is tried first: a typo must not end a night's run halfway."""

from pipeline.config.schema import Config, Network
from pipeline.data.augmentation import create_augmentation
from pipeline.networks.backbones import create_backbone
from pipeline.networks.device import choose_device
from pipeline.networks.losses import create_loss


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
        create_loss(settings, config.task.kind, class_weights=None)
        create_augmentation(
            settings.augment,
            image_size=settings.image_size or backbone.image_size,
            cut=backbone.cut,
        )
