"""Drawing folds: groups, copies and scenes kept whole; and where scenes are looked for."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.config.dependencies import backbone_of_scenes
from pipeline.config.schema import Folds
from pipeline.core.extra_ties import ExtraTies
from pipeline.core.folds import FoldTable
from pipeline.core.runtime import stream
from pipeline.images.decoding import UNREADABLE
from pipeline.images.index import BLANK
from pipeline.project import Project
from pipeline.splitting.duplicates import clusters, find_duplicates
from pipeline.splitting.group_folds import merge_groups
from pipeline.splitting.scene_finder import block_features, find_scenes, thumbnail_features
from pipeline.splitting.schemes import Assignment, assign_folds

MAX_THUMBNAILS = 8000  # compared in pairs where folds do not depend on it: 4 s


@dataclass(frozen=True)
class DrawnFolds:
    """Folds of the training rows, by the config's scheme or another.

    Attributes:
        assignments: one for each repeat.
        groups: (N,) names of what was kept together; a row alone has its own id.
    """

    assignments: list[Assignment]
    groups: np.ndarray

    @property
    def repeats(self) -> np.ndarray:
        """Return (R, N) folds."""
        return np.stack([assignment.folds for assignment in self.assignments])

    def as_table(self) -> FoldTable:
        """Return a table as if read from a folds.csv."""
        digests = tuple("not written" for _ in self.assignments)
        return FoldTable(self.repeats, self.groups, digests)


def draw_folds(
    project: Project, settings: Folds, *, pairs: pd.DataFrame, scenes: np.ndarray
) -> DrawnFolds:
    """Assign folds so that no group, no copies and, if the scheme asks for it, no scene straddles.

    Args:
        pairs: copies, by `find_duplicates`.
        scenes: numbers of training rows, then test rows; used by the scheme `scenes` alone.
    Raises:
        UserError: if the scheme does not fit the task, or there are too few groups or rows.
    """
    config, competition, num_train = project.config, project.competition, project.num_train
    twins = clusters(len(project.index.paths), pairs)[:num_train]
    groups = merge_groups(
        competition.groups,
        twins if settings.keep_duplicates_together else None,
        scenes[:num_train] if settings.scheme == "scenes" else None,
    )
    column = settings.column
    assignments = [
        assign_folds(
            settings,
            competition.raw_targets,
            task=project.task,
            seed=config.seed if settings.seed is None else settings.seed,
            groups=groups,
            column=None if column is None else competition.train[column].to_numpy(),
            repeat=repeat,
            classes=competition.classes,
        )
        for repeat in range(settings.repeats)
    ]
    return DrawnFolds(assignments, _names(project, groups))


def find_copies(project: Project) -> pd.DataFrame:
    """Return pairs of rows, of train and test, that show the same; without blank images.

    Of rows with several images, one that both show is enough.
    """
    pairs = _copies(project)
    return pairs[pairs["b"] < project.num_rows].reset_index(drop=True)


def find_extra_ties(project: Project) -> ExtraTies:
    """Return which training rows extra rows show again, or share a group with."""
    num_train, num_rows = project.num_train, project.num_rows
    numbers = np.arange(project.num_extra)
    twins = clusters(num_rows + len(numbers), _copies(project))
    ties = [_equal(twins[num_rows:], twins[:num_train])]
    if (groups := project.competition.groups) is not None:
        of_extra = np.concatenate([rows.groups for rows in project.extra])
        named = of_extra != ""
        extra, train = _equal(of_extra[named], np.char.strip(groups))
        ties.append((numbers[named][extra], train))
    pairs = np.unique(np.concatenate([np.stack(pair, axis=1) for pair in ties]), axis=0)
    return ExtraTies(pairs[:, 0], pairs[:, 1])


def _equal(of_extra: np.ndarray, of_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of positions with the same value."""
    left = pd.DataFrame({"key": of_extra, "extra": np.arange(len(of_extra))})
    right = pd.DataFrame({"key": of_train, "train": np.arange(len(of_train))})
    joined = left.merge(right, on="key")
    return joined["extra"].to_numpy(dtype=int), joined["train"].to_numpy(dtype=int)


def _copies(project: Project) -> pd.DataFrame:
    """Return pairs of rows, extra ones too, one of whose images is the same and not blank."""
    index = project.all_images
    pairs = find_duplicates(index.digests, index.hashes, index.thumbnails.__getitem__)
    blank = index.has_remark(BLANK) | index.has_remark(UNREADABLE)
    pairs = pairs[~(blank[pairs["a"]] | blank[pairs["b"]])].reset_index(drop=True)
    if project.row_images.are_single:
        return pairs
    row_of = project.row_images.rows_of_images()
    pairs = pairs.assign(a=row_of[pairs["a"]], b=row_of[pairs["b"]])
    return pairs[pairs["a"] != pairs["b"]].drop_duplicates(["a", "b"], ignore_index=True)


def scenes_of_folds(project: Project) -> np.ndarray:
    """Find scenes of all images as the folds' scheme asks, or on thumbnails.

    Returns:
        (N + N_test,); -1 where more thumbnails than can be compared were left out.
    """
    backbone = backbone_of_scenes(project.config)
    if backbone is not None:
        return scenes_of_block(project, backbone)
    thumbnails = project.index.thumbnails
    rows = np.arange(len(thumbnails))
    if project.config.folds.scheme != "scenes":
        rng = stream(project.config.seed, "radar", "scenes")
        rows = np.sort(rng.permutation(rows)[:MAX_THUMBNAILS])
    scenes = np.full(len(thumbnails), -1)
    scenes[rows] = rows[find_scenes(thumbnail_features(thumbnails[rows]))]
    return scenes


def scenes_of_block(project: Project, backbone: str) -> np.ndarray:
    """Find scenes of all images, (N + N_test,), on a block that is there."""
    return find_scenes(block_features(project.block(backbone), project.index.thumbnails))


def _names(project: Project, groups: np.ndarray | None) -> np.ndarray:
    """Name each group by the id of its first row."""
    ids = project.competition.ids
    if groups is None:
        return ids
    _, first = np.unique(groups, return_index=True)
    name_of = {groups[row]: ids[row] for row in first}
    return np.array([name_of[group] for group in groups])
