"""Features stage: reads images, writes blocks of frozen features and the cache for networks."""

import logging
from pathlib import Path

from pipeline.backbones.device import choose_device, choose_precision
from pipeline.backbones.extraction import extract_block
from pipeline.core.runtime import num_threads
from pipeline.images.cache import build_cache
from pipeline.project import Project

log = logging.getLogger(__name__)


def make_block(
    folder: Path, fingerprint: str, *, project: Project, backbone: str, how: str
) -> None:
    """Features of one backbone for all images and views, (N_train + N_test, V, D)."""
    config = project.config
    device = choose_device(config.runtime.device)
    extract_block(
        folder,
        fingerprint,
        how=how,
        backbone=config.backbones[backbone],
        paths=project.image_files,
        digests=project.index.digests.tolist(),
        pixel_range=project.index.pixel_range,
        views=config.tta.views,
        device=device,
        precision=choose_precision(config.runtime.precision, device),
    )
    log.info("features %s -> %s", backbone, folder)


def make_cache(folder: Path, fingerprint: str, *, project: Project, short_side: int) -> None:
    """Images decoded once, resized to one short side, in one memory-mapped file."""
    build_cache(
        folder,
        fingerprint,
        paths=project.image_files,
        pixel_range=project.index.pixel_range,
        short_side=short_side,
        threads=num_threads(),
    )
    log.info("images at %d px -> %s", short_side, folder)
