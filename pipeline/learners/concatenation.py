"""Concatenation of blocks: what turns (N, V, D) features of several backbones into one matrix.

Each block goes through transform -> views -> scale -> weight, then all stand side by side:
[w1 * block1, w2 * block2, ..., what is stacked, w * metadata]; or a backbone's weight is the share
of its dimensions that stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.config.members import METADATA, STACKED
from pipeline.config.schema import Learner
from pipeline.core.numerics import unit_rows
from pipeline.errors import JobFailed, UserError
from pipeline.learners.half_rows import parts_of
from pipeline.learners.projection import along, fit_axes

SMALLEST_RELATIVE_STD = 1e-6  # below it a dimension is constant up to float32's rounding


@dataclass(frozen=True)
class Scaling:
    """An affine map of one block's dimensions: (x - centre) * factor, each (D,)."""

    centre: np.ndarray
    factor: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return (rows - self.centre) * self.factor


@dataclass(frozen=True)
class Concatenation:
    """A fitted concatenation: `settings` and what was fitted, by block, where anything was.

    Attributes:
        scalings: affine maps of (D,) dimensions.
        axes: after them: (D, A) principal axes, or (D,) bool, the dimensions that are kept.
    """

    settings: Learner
    scalings: dict[str, Scaling]
    axes: dict[str, np.ndarray]

    def __call__(
        self,
        blocks: Mapping[str, np.ndarray],
        metadata: np.ndarray | None = None,
        *,
        dtype: type = np.float32,
    ) -> np.ndarray:
        """Concatenate the blocks of any rows, with what was fitted on the training rows.

        Args:
            blocks: each (N, V, D); blocks of weight 0 may be absent. STACKED is one where the
                settings have `stacks`.
            metadata: (N, P) or None, as when fitting.
        Returns:
            (N * R, D1 + D2 + ... + S + P); R is 1, or V for `views: rows` (an image's views are
            neighbours).
        Raises:
            UserError: if a block is missing or its width differs from the fitted one.
        """
        parts = image_parts(blocks)
        if len(parts) <= 1:
            return self._joined(blocks, metadata).astype(dtype, copy=False)
        features = np.empty((0, 0), dtype)
        for part in parts:
            of_part = {name: block[part] for name, block in blocks.items()}
            rows = self._joined(of_part, None if metadata is None else metadata[part])
            if not part.start:
                repeats = len(rows) // (part.stop - part.start)
                num_images = len(next(iter(blocks.values())))
                features = np.empty((num_images * repeats, rows.shape[1]), dtype)
            features[part.start * repeats :][: len(rows)] = rows
        return features

    def _joined(self, blocks: Mapping[str, np.ndarray], metadata: np.ndarray | None) -> np.ndarray:
        multiplies = self.settings.concatenate == "scaled"
        parts = [
            (weight if multiplies else 1) * along(self.axes.get(name), self._scaled(name, rows))
            for (name, weight), rows in zip(
                weighted_blocks(self.settings), prepared(self.settings, blocks), strict=True
            )
        ]
        if self.settings.stacks:
            parts.append(self._scaled(STACKED, by_view(blocks[STACKED], self.settings)))
        if METADATA in self.scalings:
            if metadata is None:
                raise UserError("The learner was fitted with metadata columns; give them here too.")
            repeats = len(parts[0]) // len(metadata) if parts else 1
            columns = self._scaled(METADATA, np.repeat(metadata, repeats, axis=0))
            parts.append(self.settings.metadata_weight * columns)
        features = np.concatenate(parts, axis=1, dtype=np.float32)
        if not np.isfinite(features).all():
            raise JobFailed(
                f"weighted features are beyond what 32 bits hold: blocks {self.settings.blocks}. "
                "Give smaller weights."
            )
        return features

    def _scaled(self, name: str, rows: np.ndarray) -> np.ndarray:
        scaling, axes = self.scalings.get(name), self.axes.get(name)
        fitted = axes if scaling is None else scaling.centre
        if fitted is not None and rows.shape[1] != len(fitted):
            raise UserError(
                f"{name}: {rows.shape[1]} dimensions, but the learner was fitted on "
                f"{len(fitted)}. Extract features again, then train again."
            )
        if scaling is not None:
            # A missing metadata value becomes the column's mean; features have none missing.
            return np.nan_to_num(scaling(rows)) if name == METADATA else scaling(rows)
        if self.settings.scale == "l2":
            return unit_rows(rows)
        return rows


def fit_concatenation(
    settings: Learner,
    blocks: Mapping[str, np.ndarray],
    *,
    weights: np.ndarray,
    targets: np.ndarray | None = None,
    metadata: np.ndarray | None = None,
) -> Concatenation:
    """Fit the scalings and axes on training rows.

    `standard` gives each dimension zero mean and a variance of 1/D, so that a row's expected
    squared length is 1 in every block, as `l2` makes it exactly. Weights therefore compare whole
    backbones: at 1, 1, 1 one with 2048 dimensions speaks as loudly as one with 512, and the same
    L2 penalty suits both. Metadata is one more such block. `none` leaves features as
    they come, and their size counts.

    Where weights are shares, each axis or dimension that is kept stays as loud as it was.

    Args:
        blocks: each (N, V, D), of training rows only.
        weights: (N,) row weights; a row of weight 0 has no influence.
        targets: (N, C), for `concatenate: importance`.
        metadata: (N, P), NaN where missing, or None.
    """
    fitted = Concatenation(settings, {}, {})
    parts = image_parts(blocks)
    in_parts = len(parts) > 1 and settings.concatenate == "scaled" and settings.scale != "whiten"
    if in_parts and settings.scale == "standard":
        fitted.scalings.update(scalings_in_parts(settings, blocks, weights, parts))
    fitted_at_once = (
        [] if in_parts else zip(weighted_blocks(settings), prepared(settings, blocks), strict=True)
    )
    for (name, share), rows in fitted_at_once:
        views = len(rows) // len(weights)
        row_weights = np.repeat(weights, views)
        if settings.scale in ("standard", "whiten"):
            fitted.scalings[name] = standard_scaling(rows, row_weights)
        if settings.scale == "whiten" or settings.concatenate != "scaled":
            of_targets = None if targets is None else np.repeat(targets, views, axis=0)
            scaled = fitted._scaled(name, rows)
            fitted.axes[name] = fit_axes(settings, scaled, row_weights, of_targets, share=share)
    if settings.stacks:
        rows = by_view(blocks[STACKED], settings)
        row_weights = np.repeat(weights, len(rows) // len(weights))
        fitted.scalings[STACKED] = standard_scaling(rows, row_weights)
    if settings.metadata_weight and metadata is not None and metadata.shape[1]:
        fitted.scalings[METADATA] = standard_scaling(metadata, weights)
    return fitted


def standard_scaling(rows: np.ndarray, weights: np.ndarray) -> Scaling:
    """Zero mean and variance 1/D for each dimension; constant dimensions become 0."""
    known = ~np.isnan(rows)
    filled = np.where(known, rows, 0).astype(np.float64)
    mass = np.maximum(weights @ known, np.finfo(float).tiny)
    centre = weights @ filled / mass
    std = np.sqrt(weights @ (np.where(known, filled - centre, 0) ** 2) / mass)
    size = np.sqrt(weights @ filled**2 / mass)
    return _scaling(centre, std, size)


def scalings_in_parts(
    settings: Learner, blocks: Mapping[str, np.ndarray], weights: np.ndarray, parts: list[slice]
) -> dict[str, Scaling]:
    """Return what `standard_scaling` finds of each block, in one pass over parts of the images."""
    sums: dict[str, list[np.ndarray]] = {}
    for part in parts:
        of_part = {name: block[part] for name, block in blocks.items()}
        for (name, _), rows in zip(
            weighted_blocks(settings), prepared(settings, of_part), strict=True
        ):
            row_weights = np.repeat(weights[part], len(rows) // len(weights[part]))
            # Sums around a mean that is nearly right: squares of large means would cancel.
            near, *sums_of = sums.setdefault(name, [rows.mean(axis=0, dtype=np.float64), 0, 0, 0])
            off = rows - near
            moments = row_weights.sum(), row_weights @ off, row_weights @ off**2
            sums[name] = [near, *(old + new for old, new in zip(sums_of, moments, strict=True))]
    found = {}
    for name, (near, mass, first, second) in sums.items():
        centre, variance = near + first / mass, np.maximum(second / mass - (first / mass) ** 2, 0)
        found[name] = _scaling(centre, np.sqrt(variance), np.sqrt(variance + centre**2))
    return found


def _scaling(centre: np.ndarray, std: np.ndarray, size: np.ndarray) -> Scaling:
    """Return the scaling of dimensions of these means, deviations and quadratic means."""
    varies = std > SMALLEST_RELATIVE_STD * size
    factor = np.divide(1 / np.sqrt(len(std)), std, out=np.zeros_like(std), where=varies)
    return Scaling(centre.astype(np.float32), factor.astype(np.float32))


def image_parts(blocks: Mapping[str, np.ndarray]) -> list[slice]:
    """Return slices of images whose blocks fit into memory together."""
    if not blocks:
        return []
    cells = sum(block.shape[1] * block.shape[2] for block in blocks.values())
    return parts_of(len(next(iter(blocks.values()))), cells)


def weighted_blocks(settings: Learner) -> list[tuple[str, float]]:
    """Backbones' blocks in the order of their names; a weight of 0 leaves a block out."""
    chosen = [(name, settings.blocks[name]) for name in settings.backbones if settings.blocks[name]]
    if not chosen and not (settings.metadata and settings.blocks.get(METADATA)):
        raise UserError(f"All blocks have weight 0: {settings.blocks}. Give one another weight.")
    return chosen


def prepared(settings: Learner, blocks: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Blocks in order, transformed, as (N * R, D): nothing here is fitted."""
    missing = [name for name, _ in weighted_blocks(settings) if name not in blocks]
    if missing:
        raise UserError(f"Blocks {missing} are not there, only {sorted(blocks)}. Extract features.")
    blocks = {name: np.asarray(blocks[name]) for name, _ in weighted_blocks(settings)}
    for name, _ in weighted_blocks(settings):
        rows = np.flatnonzero(~np.isfinite(blocks[name]).all(axis=(1, 2)))
        if len(rows):
            raise JobFailed(
                f"block {name}: {len(rows)} of {len(blocks[name])} images have features that are "
                f"NaN or infinite. Delete the folder of the block, features/<competition>/{name}, "
                "to have it made anew."
            )
    return [as_rows(blocks[name], settings) for name, _ in weighted_blocks(settings)]


def as_rows(block: np.ndarray, settings: Learner) -> np.ndarray:
    """(N, V, D) -> (N, D) or (N * V, D), after the transform.

    The signed square root tames the few loud dimensions that pooled activations have
    (Arandjelovic & Zisserman 2012, RootSIFT; Perronnin 2010).
    """
    if block.dtype == np.float16:
        block = block.astype(np.float32)  # sums over views would lose more
    if settings.transform == "sqrt":
        block = np.sign(block) * np.sqrt(np.abs(block))
    return by_view(block, settings)


def by_view(block: np.ndarray, settings: Learner) -> np.ndarray:
    """(N, V, D) -> (N, D) or (N * V, D), as `views` says."""
    return block.mean(axis=1) if settings.views == "mean" else block.reshape(-1, block.shape[-1])
