"""Frozen features: one block (N, V, D) per backbone, computed once, then read from disk.

A block is identified by its recipe (`how`), each of its rows by the image's digest. Features in the
folder are reused: a new image costs its own forward passes, a new view those of that view, a new
order or fewer rows nothing.
"""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from pipeline.backbones.create import normalisation
from pipeline.backbones.device import (
    BATCH,
    Hardware,
    normalise,
    opened_ahead,
    stack_on,
    wait_for,
)
from pipeline.backbones.engines import Engine, make_engine
from pipeline.backbones.folding import fold_batch_norm
from pipeline.backbones.frozen import create_frozen
from pipeline.config.schema import Backbone
from pipeline.core import artifacts
from pipeline.core.log_lines import log_progress
from pipeline.core.runtime import duration
from pipeline.core.workspace import BLOCK
from pipeline.errors import JobFailed
from pipeline.images.decoding import ImageFiles
from pipeline.images.resizing import fit_square
from pipeline.images.tta import get_view

log = logging.getLogger(__name__)
BATCHES_PER_PART = 16  # between two saves; what a killed run loses at most
SHARDS = "shards"  # the folder in a block's where it is kept which shards were computed
MOST_BYTES = 2**30  # of the weights of models that are loaded together

_KEPT: dict[tuple, list[tuple["Block", "Frozen"]]] = {}  # of `_load_once`: one entry at most

Chunk = tuple[tuple[str, ...], list[int]]  # views to compute, rows to compute them for


@dataclass(frozen=True)
class Block:
    """Where a backbone's features are kept, and how they are made: `how` is its fingerprint."""

    folder: Path
    how: str
    backbone: Backbone

    def part(self, chunk: Chunk, digests: Sequence[str]) -> Path:
        """Return the file that a chunk's features wait in until the block is whole."""
        views, rows = chunk
        of_rows = [digests[row] for row in rows]
        name = artifacts.fingerprint(how=self.how, views=views, digests=of_rows)
        return self.folder / "parts" / f"{name}.npy"


class Frozen(NamedTuple):
    """A block's model, and what runs it."""

    model: nn.Module
    backbone: Backbone
    engine: Engine


def extract_block(
    folder: Path,
    fingerprint: str,
    *,
    how: str,
    backbone: Backbone,
    images: ImageFiles,
    views: list[str],
    hardware: Hardware,
    beside: Sequence[Block] = (),
) -> None:
    """Write `features.npy` (N, V, D) float32 into a folder, and its metadata.

    Args:
        how: fingerprint of architecture, weights, size, cut and pooling.
        images: the original files of N images.
        beside: blocks that will be made next: what they need of the images that are decoded here
            is computed, too, and waits in their folders.
    """
    digests, own = images.digests, Block(folder, how, backbone)
    known = _known_features(folder, how)
    chunks = _chunks(digests, views, known, hardware)
    _compute_parts([own, *_alike(beside, known)], images, views, chunks, hardware)
    block = _assemble(digests, views, known, chunks, own)
    artifacts.withdraw(folder)
    with artifacts.replacing(folder / BLOCK) as temporary:
        np.save(temporary, block)
    artifacts.finish(
        folder,
        fingerprint,
        files=[BLOCK],
        how=how,
        views=views,
        digests=digests,
        shape=list(block.shape),
    )
    shutil.rmtree(folder / "parts", ignore_errors=True)
    shutil.rmtree(folder / SHARDS, ignore_errors=True)
    _KEPT.clear()


def extract_shard(
    block: Block,
    *,
    images: ImageFiles,
    views: list[str],
    hardware: Hardware,
    shard: int,
    num_shards: int,
) -> None:
    """Compute one of `num_shards` shares of a block's features; they wait in its folder.

    What cannot be computed is left to the block's own job, which says so.
    """
    known = _known_features(block.folder, block.how)
    chunks = _chunks(images.digests, views, known, hardware)[shard::num_shards]
    with suppress(JobFailed, FileNotFoundError):  # another run may end the block meanwhile
        _compute_parts([block], images, views, chunks, hardware, shard=True)


def _compute_parts(
    blocks: list[Block],
    images: ImageFiles,
    views: list[str],
    chunks: list[Chunk],
    hardware: Hardware,
    *,
    shard: bool = False,
) -> None:
    """Write the features of chunks that the first block lacks; of the others as `_load_together`.

    Args:
        shard: whether this process will most likely compute others of the same blocks.
    Raises:
        JobFailed: for features of the first block that are not finite.
    """
    missing = [chunk for chunk in chunks if not _is_there(blocks[0].part(chunk, images.digests))]
    if not missing:
        return
    # Of the whole block, so that a run that continues another computes as that did.
    passes = len(images.digests) * len(views)
    load = _load_once if shard else _load_together
    loaded = load(blocks, hardware, passes=passes)
    for chunk in _with_progress(missing):
        _compute_part(loaded, images, chunk, hardware)


def _alike(beside: Sequence[Block], known: dict) -> list[Block]:
    """Return the blocks that lack what this one lacks, if it lacks everything."""
    return [block for block in beside if not known and not _known_features(block.folder, block.how)]


def _load_together(
    blocks: list[Block], hardware: Hardware, *, passes: int
) -> list[tuple[Block, Frozen]]:
    """Load the first block's model, and those of the next ones that fit into memory beside it."""
    loaded: list[tuple[Block, Frozen]] = []
    total = 0
    for block in blocks:
        model = prepare_frozen(block.backbone, hardware.device)
        total += sum(weight.nbytes for weight in model.state_dict().values())
        if loaded and total > MOST_BYTES:
            break
        engine = make_engine(model, hardware, passes=passes)
        loaded.append((block, Frozen(model, block.backbone, engine)))
    return loaded


def _load_once(
    blocks: list[Block], hardware: Hardware, *, passes: int
) -> list[tuple[Block, Frozen]]:
    """Load models as `_load_together`, unless this process did so for the shard before.

    The first pass of a model takes as long as many images; until other blocks come, it is kept.
    """
    key = (*((block.folder, block.how) for block in blocks), hardware, passes)
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = _load_together(blocks, hardware, passes=passes)
    return _KEPT[key]


def _compute_part(
    loaded: list[tuple[Block, Frozen]], images: ImageFiles, chunk: Chunk, hardware: Hardware
) -> None:
    """Write a chunk's features of each block that has none.

    Raises:
        JobFailed: for features of the first block that are not finite; those of others are left to
            their own jobs, which say so.
    """
    parts = [block.part(chunk, images.digests) for block, _ in loaded]
    absent = [place for place, part in enumerate(parts) if not _is_there(part)]
    models = [loaded[place][1] for place in absent]
    found = compute_features(models, images, chunk, device=hardware.device)
    for place, frozen, features in zip(absent, models, found, strict=True):
        # Another run may end a block of these, and clear its parts.
        with nullcontext() if place == 0 else suppress(JobFailed, FileNotFoundError):
            finite = _made_finite(frozen, features, images, chunk, hardware)
            with artifacts.replacing_checked(parts[place]) as temporary:
                np.save(temporary, finite)


def _known_features(folder: Path, how: str) -> dict[tuple[str, str], np.ndarray]:
    """Return features (D,) by (image digest, view) of the block that is already there."""
    meta = artifacts.read_meta(folder)
    if meta is None or meta.get("how") != how:
        return {}
    if not artifacts.is_whole(folder):
        return {}
    block = np.load(folder / BLOCK, mmap_mode="r")
    return {
        (digest, view): block[row, column]
        for row, digest in enumerate(meta["digests"])
        for column, view in enumerate(meta["views"])
    }


def _chunks(digests: list[str], views: list[str], known: dict, hardware: Hardware) -> list[Chunk]:
    """Group rows that lack the same views, each image once, in chunks of some batches."""
    size = BATCH[hardware.device.type] * BATCHES_PER_PART
    rows_by_views: dict[tuple[str, ...], list[int]] = {}
    first_row = {digest: row for row, digest in reversed(list(enumerate(digests)))}
    for digest, row in sorted(first_row.items(), key=lambda pair: pair[1]):
        absent = tuple(view for view in views if (digest, view) not in known)
        if absent:
            rows_by_views.setdefault(absent, []).append(row)
    return [
        (absent, rows[start : start + size])
        for absent, rows in rows_by_views.items()
        for start in range(0, len(rows), size)
    ]


def _is_there(part: Path) -> bool:
    return part.exists() and artifacts.is_as_written(part)


def prepare_frozen(backbone: Backbone, device: torch.device) -> nn.Module:
    """Create a block's model on a device, as fast as it gets."""
    model = create_frozen(backbone).to(device, memory_format=torch.channels_last)
    side = backbone.image_size
    probe = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    return fold_batch_norm(model, probe)


def finite_features(
    model: nn.Module, backbone: Backbone, images: ImageFiles, chunk: Chunk, hardware: Hardware
) -> np.ndarray:
    """Compute features (n, len(views), D) of a chunk, in 32 bits where less overflow.

    Raises:
        JobFailed: for features that are not finite.
    """
    engine = make_engine(model, hardware, passes=len(chunk[0]) * len(chunk[1]))
    frozen = Frozen(model, backbone, engine)
    (features,) = compute_features([frozen], images, chunk, device=hardware.device)
    return _made_finite(frozen, features, images, chunk, hardware)


@torch.inference_mode()
def compute_features(
    models: Sequence[Frozen], images: ImageFiles, chunk: Chunk, *, device: torch.device
) -> list[np.ndarray]:
    """Compute each model's features (n, len(views), D) of a chunk, decoded once, ahead of them."""
    views, rows = chunk
    view_functions = [get_view(view) for view in views]
    cuts = [(frozen.backbone.image_size, frozen.backbone.cut) for frozen in models]
    kinds = list(dict.fromkeys(cuts))

    def open_squares(row: int) -> list[torch.Tensor]:
        image = images.read(row)
        return [fit_square(image, side, cut) for side, cut in kinds]

    features: list[list[torch.Tensor]] = [[] for _ in models]
    for opened in opened_ahead(open_squares, rows, device):
        by_kind = [stack_on(device, list(squares)) for squares in zip(*opened, strict=True)]
        for frozen, kind, of_model in zip(models, cuts, features, strict=True):
            pixels = normalise(by_kind[kinds.index(kind)], *normalisation(frozen.model))
            of_views = [frozen.engine(view(pixels)) for view in view_functions]
            of_model.append(torch.stack(of_views, dim=1).to("cpu", non_blocking=True))
    wait_for(device)
    return [torch.cat(of_model).numpy() for of_model in features]


def _made_finite(
    frozen: Frozen, features: np.ndarray, images: ImageFiles, chunk: Chunk, hardware: Hardware
) -> np.ndarray:
    """Return features, computed again in 32 bits where less overflow.

    Raises:
        JobFailed: for features that are not finite.
    """
    if hardware.precision != "32" and not np.isfinite(features).all():
        log.warning(
            "precision %s overflows on some images of %s; this part is computed in 32",
            *(hardware.precision, frozen.backbone.arch),
        )
        exact = replace(hardware, precision="32", engine="eager")
        in_32 = frozen._replace(engine=make_engine(frozen.model, exact, passes=1))
        (features,) = compute_features([in_32], images, chunk, device=hardware.device)
    _check_finite(features, [images.paths[row] for row in chunk[1]])
    return features


def _check_finite(features: np.ndarray, paths: list[Path]) -> None:
    """Refuse features (n, V, D) that no learner can be fitted on."""
    rows = np.flatnonzero(~np.isfinite(features).all(axis=(1, 2)))
    if len(rows):
        raise JobFailed(
            f"features of {len(rows)} of {len(paths)} images are NaN or infinite, e.g. of "
            f"{paths[rows[0]]}. If all are, the backbone's weights are damaged."
        )


def _assemble(
    digests: list[str],
    views: list[str],
    known: dict[tuple[str, str], np.ndarray],
    chunks: list[Chunk],
    own: Block,
) -> np.ndarray:
    """Join the known and the computed features, in the order of `digests`."""
    features = dict(known)
    for chunk in chunks:
        part = np.load(own.part(chunk, digests))
        for row, row_features in zip(chunk[1], part, strict=True):
            for view, view_features in zip(chunk[0], row_features, strict=True):
                features[digests[row], view] = view_features
    return np.stack([[features[digest, view] for view in views] for digest in digests])


def _with_progress(chunks: list[Chunk]) -> Iterator[Chunk]:
    total = sum(len(views) * len(rows) for views, rows in chunks)
    done, started = 0, time.monotonic()
    for chunk in chunks:
        yield chunk
        done += len(chunk[0]) * len(chunk[1])
        seconds = time.monotonic() - started
        left = duration(seconds / done * (total - done))
        text = f"{done}/{total} views · {done / seconds:.0f}/s · {left} left"
        log_progress(log, done, total, text)
