"""A learner fitted on transformed targets: the transform of each column, and held-out residuals."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.config.schema import Learner, Transform
from pipeline.core.runtime import stream, stream_seed
from pipeline.core.task import Task
from pipeline.learners.concatenation import fit_concatenation
from pipeline.learners.fit import INNER_FOLDS, FittedLearner
from pipeline.learners.rows import TrainingRows, chosen_rows, held_out_parts, inner_folds
from pipeline.learners.search import fit_rows, fit_searched
from pipeline.learners.target_transform import TargetTransform, fit_transform
from pipeline.learners.transform_choice import choose_transforms
from pipeline.metrics.metric import RowError

Rows = tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]


def fit_transformed(
    settings: Learner,
    rows: Rows,
    task: Task,
    *,
    transform: Transform,
    row_error: RowError,
    labelled: np.ndarray,
    seed: int,
) -> FittedLearner:
    """Fit a learner, by a search where its settings ask for one, on transformed targets.

    Transforms and residuals are of labelled rows; pseudo-labels vary less than targets.

    Args:
        rows: blocks, targets, weights, metadata and groups, as fit_learner takes them.
        row_error: of the metric.
        labelled: (N,) which rows have a label of their own.
    """
    some = rows if labelled.all() else chosen_rows(np.flatnonzero(labelled), *rows)
    transforms = (
        [] if transform == "none" else _transforms(settings, some, transform, row_error, seed)
    )
    if all(one.name == "none" for one in transforms):
        return _fit(settings, rows, task, seed=seed)
    blocks, targets, *others = rows
    columns = zip(transforms, targets.T, strict=True)
    rows = (blocks, np.column_stack([one.forward(column) for one, column in columns]), *others)
    fitted = _fit(settings, rows, task, seed=seed)
    residuals = _held_out_residuals(fitted, rows, task, labelled, seed=seed)
    columns = zip(transforms, residuals.T, strict=True)
    return replace(fitted, transforms=tuple(one.with_residuals(column) for one, column in columns))


def _fit(settings: Learner, rows: Rows, task: Task, *, seed: int) -> FittedLearner:
    blocks, targets, weights, metadata, groups = rows
    return fit_searched(
        *(settings, blocks, targets, task),
        weights=weights,
        metadata=metadata,
        groups=groups,
        seed=seed,
    )


def _transforms(
    settings: Learner, rows: Rows, transform: Transform, row_error: RowError, seed: int
) -> list[TargetTransform]:
    """Return a transform for each target column, of labelled rows: the named one, or a choice."""
    blocks, targets, weights, metadata, groups = rows
    if transform != "auto":
        return [fit_transform(transform, column, row_error) for column in targets.T]
    folds = _folds(rows, seed)
    if len(np.unique(folds)) < 2:  # nothing to choose by
        return []
    how = {"weights": weights, "targets": targets, "metadata": metadata}
    features = fit_concatenation(settings, blocks, **how)(blocks, metadata)
    views = len(features) // len(targets)
    training_rows = TrainingRows(
        features=features,
        targets=np.repeat(targets, views, axis=0),
        weights=np.repeat(weights / views, views),
        task=Task("regression"),
        folds=np.repeat(folds, views),
        num_columns=0,
    )
    return choose_transforms(training_rows, np.repeat(groups, views), row_error)


def _held_out_residuals(
    fitted: FittedLearner, rows: Rows, task: Task, labelled: np.ndarray, *, seed: int
) -> np.ndarray:
    """Return residuals (n, C) of labelled rows that refits of a learner hold out.

    Of one group alone none can be held out: then (1, C) of 0.
    """
    settings, targets = fitted.concatenation.settings, rows[1]
    held_out, found = held_out_parts(_folds(rows, seed)), []
    if held_out.all(axis=1).any():
        return np.zeros((1, targets.shape[1]))
    for part, mine in enumerate(held_out):
        learner = fit_rows(
            *(settings, chosen_rows(np.flatnonzero(~mine), *rows), task),
            seed=stream_seed(seed, "residuals", part),
        )
        asked = np.flatnonzero(mine & labelled)
        blocks, truth, _, metadata, _ = chosen_rows(asked, *rows)
        if len(asked):
            found.append(truth - learner.predict(blocks, metadata=metadata))
    return np.concatenate(found)


def _folds(rows: Rows, seed: int) -> np.ndarray:
    """Return (N,) inner folds, the same for a choice and for residuals of the same rows."""
    _, targets, _, _, groups = rows
    rng = stream(seed, "transform folds")
    return inner_folds(targets, num_folds=INNER_FOLDS, groups=groups, rng=rng)
