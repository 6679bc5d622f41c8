"""Frozen features: one block (N, V, D) per backbone, computed once, then read from disk.

A block is identified by its recipe (`how`), each of its rows by the image's digest. Features in the
folder are reused: a new image costs its own forward passes, a new view those of that view, a new
order or fewer rows nothing.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.backbones.create import normalisation
from pipeline.backbones.device import (
    BATCH,
    Hardware,
    batches_ahead,
    normalise,
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
from pipeline.images.cache import fit_square
from pipeline.images.decoding import ImageFiles
from pipeline.images.tta import get_view

log = logging.getLogger(__name__)
BATCHES_PER_PART = 16  # between two saves; what a killed run loses at most

Chunk = tuple[tuple[str, ...], list[int]]  # views to compute, rows to compute them for


def extract_block(
    folder: Path,
    fingerprint: str,
    *,
    how: str,
    backbone: Backbone,
    images: ImageFiles,
    views: list[str],
    hardware: Hardware,
) -> None:
    """Write `features.npy` (N, V, D) float32 into a folder, and its metadata.

    Args:
        how: fingerprint of architecture, weights, size, cut and pooling.
        images: the original files of N images.
    """
    digests = images.digests
    known = _known_features(folder, how)
    chunks = _chunks(digests, views, known, size=BATCH[hardware.device.type] * BATCHES_PER_PART)
    parts = folder / "parts"
    missing = [chunk for chunk in chunks if not _is_there(_part_path(parts, how, chunk, digests))]
    if missing:
        model = prepare_frozen(backbone, hardware.device)
        # Of the whole block, so that a run that continues another computes as that did.
        engine = make_engine(model, hardware, passes=len(digests) * len(views))
        for chunk in _with_progress(missing):
            features = finite_features(model, backbone, images, chunk, hardware, engine=engine)
            with artifacts.replacing_checked(_part_path(parts, how, chunk, digests)) as temporary:
                np.save(temporary, features)
    block = _assemble(digests, views, known, chunks, parts, how)
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
    shutil.rmtree(parts, ignore_errors=True)


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


def _chunks(digests: list[str], views: list[str], known: dict, *, size: int) -> list[Chunk]:
    """Group rows that lack the same views, each image once, in chunks of `size`."""
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


def _part_path(parts: Path, how: str, chunk: Chunk, digests: list[str]) -> Path:
    views, rows = chunk
    name = artifacts.fingerprint(how=how, views=views, digests=[digests[row] for row in rows])
    return parts / f"{name}.npy"


def _is_there(part: Path) -> bool:
    return part.exists() and artifacts.is_as_written(part)


def prepare_frozen(backbone: Backbone, device: torch.device) -> nn.Module:
    """Create a block's model on a device, as fast as it gets."""
    model = create_frozen(backbone).to(device, memory_format=torch.channels_last)
    side = backbone.image_size
    probe = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    return fold_batch_norm(model, probe)


def finite_features(
    model: nn.Module,
    backbone: Backbone,
    images: ImageFiles,
    chunk: Chunk,
    hardware: Hardware,
    *,
    engine: Engine | None = None,
) -> np.ndarray:
    """Compute features (n, len(views), D) of a chunk, in 32 bits where less overflow.

    Args:
        engine: of the model; default: one for this chunk.
    Raises:
        JobFailed: for features that are not finite.
    """
    run = partial(compute_features, model, backbone, images, chunk, device=hardware.device)
    passes = len(chunk[0]) * len(chunk[1])
    features = run(engine=engine or make_engine(model, hardware, passes=passes))
    if hardware.precision != "32" and not np.isfinite(features).all():
        log.warning(
            "precision %s overflows on some images of %s; this part is computed in 32",
            *(hardware.precision, backbone.arch),
        )
        exact = replace(hardware, precision="32", engine="eager")
        features = run(engine=make_engine(model, exact, passes=passes))
    _check_finite(features, [images.paths[row] for row in chunk[1]])
    return features


@torch.inference_mode()
def compute_features(
    model: nn.Module,
    backbone: Backbone,
    images: ImageFiles,
    chunk: Chunk,
    *,
    engine: Engine,
    device: torch.device,
) -> np.ndarray:
    """Compute pooled features (n, len(views), D) of a chunk, decoded ahead of the model."""
    views, rows = chunk
    mean, std = normalisation(model)
    view_functions = [get_view(view) for view in views]
    batches = batches_ahead(
        lambda row: fit_square(images.read(row), backbone.image_size, backbone.cut), rows, device
    )
    features = []
    for batch in batches:
        pixels = normalise(batch, mean, std)
        of_views = [engine(view(pixels)) for view in view_functions]
        features.append(torch.stack(of_views, dim=1).to("cpu", non_blocking=True))
    wait_for(device)
    return torch.cat(features).numpy()


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
    parts: Path,
    how: str,
) -> np.ndarray:
    """Join the known and the computed features, in the order of `digests`."""
    features = dict(known)
    for chunk in chunks:
        part = np.load(_part_path(parts, how, chunk, digests))
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
