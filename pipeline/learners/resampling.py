"""Resampling of training rows: rare classes more often, frequent ones less, or new rows between."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from pipeline.errors import UserError
from pipeline.images.sampling import epoch_rows
from pipeline.learners.rows import TrainingRows

NEIGHBOURS = 5  # of a row, with which SMOTE makes new ones


def resample(
    rows: TrainingRows, *, sampling: str, views: int, rng: np.random.Generator
) -> TrainingRows:
    """Draw images by class; every row keeps its inner fold, so copies are never held out from it.

    - all: rows as they are.
    - oversample, undersample: each class as large as the largest, the smallest.
    - smote: each class as large as the largest, by new rows behind the others.

    Args:
        rows: each image's `views` rows are neighbours, and stay together.
    Raises:
        UserError: for a task without classes; smote: without one class per row.
    """
    if sampling == "all":
        return rows
    if sampling == "smote":
        return joined(rows, synthetic_rows(rows, rng=rng))
    images = epoch_rows(
        rows.targets[::views],
        rows.weights[::views],
        sampling=sampling,
        task=rows.task,
        rng=rng,
    )
    return rows.of((np.sort(images)[:, None] * views + np.arange(views)).ravel())


def synthetic_rows(rows: TrainingRows, *, rng: np.random.Generator) -> TrainingRows:
    """Make rows that bring each class to the size of the largest, and none for one without rows.

    Each lies at random on the line between a row and one of its nearest neighbours of the same
    class and inner fold; so does its weight, and the fold is theirs. Of a target each end counts by
    its weight, too. A row that is alone is copied.

    Source: Chawla et al. 2002, SMOTE; imbalanced-learn's has no inner folds, soft targets or
    row weights.
    """
    if not rows.task.has_one_class_per_row:
        raise UserError(
            f"`sampling: smote` needs one class per row, but the task is {rows.task.kind}. "
            "Use `sampling: all`."
        )
    labels = rows.targets.argmax(axis=1)
    sizes = np.bincount(labels)
    parents, partners = [np.empty(0, dtype=int)], [np.empty(0, dtype=int)]
    for label in np.flatnonzero(sizes):
        drawn = rng.choice(np.flatnonzero(labels == label), sizes.max() - sizes[label])
        for fold in np.unique(rows.folds[drawn]):
            mine = np.flatnonzero((labels == label) & (rows.folds == fold))
            of_fold = drawn[rows.folds[drawn] == fold]
            search = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(mine)))
            search.fit(rows.features[mine])
            near = search.kneighbors(rows.features[of_fold], return_distance=False)
            # The first is the row itself, but for a twin's; with a partner alike it is a copy.
            place = rng.integers(min(1, len(mine) - 1), near.shape[1], size=len(of_fold))
            parents.append(of_fold)
            partners.append(mine[near[np.arange(len(of_fold)), place]])
    one, other = np.concatenate(parents), np.concatenate(partners)
    share = rng.random(len(one))

    def between(values: np.ndarray) -> np.ndarray:
        shares = share.reshape(-1, *[1] * (values.ndim - 1))
        return (values[one] + shares * (values[other] - values[one])).astype(values.dtype)

    weights = between(rows.weights)
    return rows.of(one).having(
        features=between(rows.features),
        targets=between(rows.weights[:, None] * rows.targets) / weights[:, None],
        weights=weights,
    )


def joined(rows: TrainingRows, more: TrainingRows) -> TrainingRows:
    """Both, one behind the other."""
    names = ("features", "targets", "weights", "folds")
    pairs = {name: (getattr(rows, name), getattr(more, name)) for name in names}
    return rows.having(**{name: np.concatenate(pair) for name, pair in pairs.items()})
