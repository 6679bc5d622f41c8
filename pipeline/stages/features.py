"""Features stage: reads images, writes blocks of frozen features and the cache for networks."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pipeline.backbones.device import Hardware
from pipeline.backbones.extraction import Block, extract_block, extract_shard
from pipeline.core import artifacts
from pipeline.core.runtime import num_threads
from pipeline.images.cache_building import build_cache
from pipeline.project import Project

log = logging.getLogger(__name__)


def make_block(
    folder: Path,
    fingerprint: str,
    *,
    project: Project,
    backbone: str,
    how: str,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Compute features of one backbone for all images and views, (N_train + N_test, V, D).

    Args:
        beside: backbones whose blocks follow, and how they are made; they share the decoding.
    """
    config = project.config
    others = [
        Block(project.workspace.block(name), of_other, config.backbones[name])
        for name, of_other in beside.items()
    ]
    extract_block(
        folder,
        fingerprint,
        how=how,
        backbone=config.backbones[backbone],
        images=project.images,
        views=config.tta.views,
        hardware=Hardware.of(config.runtime, trains=False),
        beside=others,
    )


def make_shard(
    folder: Path,
    fingerprint: str,
    *,
    project: Project,
    backbone: str,
    how: str,
    shard: int,
    num_shards: int,
) -> None:
    """Compute a share of a block's features, which wait for the block's own job."""
    config = project.config
    extract_shard(
        Block(project.workspace.block(backbone), how, config.backbones[backbone]),
        images=project.images,
        views=config.tta.views,
        hardware=Hardware.of(config.runtime, trains=False),
        shard=shard,
        num_shards=num_shards,
    )
    artifacts.finish(folder, fingerprint)


def make_cache(folder: Path, fingerprint: str, *, project: Project, short_side: int) -> None:
    """Decode images once, resized to one short side, into one memory-mapped file."""
    build_cache(
        folder,
        fingerprint,
        images=project.images,
        short_side=short_side,
        threads=num_threads(),
    )
