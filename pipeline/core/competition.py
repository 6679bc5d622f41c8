"""A competition's rows, and what follows from them; `read_competition.py` reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.schema import Data, Scale, Submission, Task
from pipeline.core.artifacts import fingerprint
from pipeline.core.extra_rows import ExtraRows
from pipeline.core.labels import named_like
from pipeline.core.long_forms import LongSample
from pipeline.core.row_images import RowImages, paths_of_rows, rows_without_images
from pipeline.core.scale import to_scale
from pipeline.core.targets import examples
from pipeline.errors import UserError

AS_TRAIN = Submission()  # the sample's names and rows are ours
MOST_UNREADABLE = 0.5  # of the images; of more, the paths are wrong


@dataclass(frozen=True)
class Competition:
    """Rows of train.csv and test.csv, in file order, with every cell as its original text.

    Attributes:
        folder: input/<competition>.
        train, test: rows; test comes from the sample where there is no test.csv.
        sample: sample_submission.csv, a row for each id, or None where there is none.
        classes: C names: classes (binary: the positive one last), levels in ascending order, or
            target columns.
        targets: (N, C): one-hot, 0/1 per column (multilabel), or values (regression), on `scale`.
        separator: between the sample's cells.
        endings: the templates' paths without a file, and the image taken for each.
        notes: messages about how the files were read.
        scale: of regression's `targets`; the CSVs hold the target's own unit.
        long_sample: how the sample is written, where it has a row for each id and class.
        submission: the config's section, with the sample's own names.
        extra: rows that are learnt from and never held out or scored.
        left_out: images of training rows that are not here, for they cannot be read.
    """

    folder: Path
    task: Task
    data: Data
    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame | None
    classes: tuple[str, ...]
    targets: np.ndarray
    separator: str = ","
    endings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scale: Scale = "none"
    long_sample: LongSample | None = None
    submission: Submission = AS_TRAIN
    left_out: tuple[str, ...] = ()
    extra: tuple[ExtraRows, ...] = ()

    @cached_property
    def ids(self) -> np.ndarray:
        """Return (N,) ids of training rows."""
        return self.train[self.data.id].to_numpy(dtype=str)

    @cached_property
    def test_ids(self) -> np.ndarray:
        """Return (N_test,) ids of test rows."""
        return self.test[self.data.id].to_numpy(dtype=str)

    @cached_property
    def _listed(self) -> tuple[list[str], np.ndarray]:
        """Return the paths of all rows' images, as the templates spell them, and their numbers."""
        joined = self.data.rows == "file"
        parts = [
            (self.train, self.data.train_templates),
            (self.test, self.data.test_templates),
            *((extra.table, extra.templates) for extra in self.extra),
        ]
        listed = [
            paths_of_rows(rows, templates, folder=self.folder, joined=joined)
            for rows, templates in parts
        ]
        paths, counts = zip(*listed, strict=True)
        return [path for of_part in paths for path in of_part], np.concatenate(counts)

    @cached_property
    def paths(self) -> list[str]:
        """Return images of training, test and extra rows, relative to `folder`."""
        return [self.endings.get(path, path) for path in self._listed[0]]

    @cached_property
    def row_images(self) -> RowImages:
        """Return which of `paths` are a row's: of training, test and extra rows."""
        return RowImages(self._listed[1])

    def rows_without_images(self) -> Iterator[str]:
        """Yield messages about rows that the templates give no image."""
        parts = [
            (self.ids, self.data.train_templates),
            (self.test_ids, self.data.test_templates),
            *((np.arange(len(extra)).astype(str), extra.templates) for extra in self.extra),
        ]
        ends = np.cumsum([len(ids) for ids, _ in parts])
        counts = np.split(self.row_images.counts, ends[:-1])
        for (ids, templates), of_part in zip(parts, counts, strict=True):
            yield from rows_without_images(ids, of_part, templates, self.folder)

    @cached_property
    def raw_targets(self) -> np.ndarray:
        """Return targets (N, C) in their own unit, as train.csv has them."""
        if self.scale == "none":
            return self.targets
        columns = [pd.to_numeric(self.train[name]) for name in self.task.targets]
        return np.column_stack(columns).astype(float)

    @property
    def scale_entry(self) -> dict[str, str]:
        """Return the scale for metadata and recipes; none for the target's own unit.

        So what earlier versions wrote stays up to date.
        """
        return {} if self.scale == "none" else {"scale": self.scale}

    @property
    def positive(self) -> str | None:
        """Return the positive class of a binary task, its last; else None."""
        return self.classes[-1] if self.task.is_binary else None

    @property
    def sample_column(self) -> str | None:
        """Return the only column of the sample beside the id; None if there is no such column."""
        return only_column(self.sample, self.data)

    @property
    def positive_from(self) -> str:
        """Return what decided which class is positive."""
        if self.task.positive is not None:
            return "task.positive"
        if self.sample_column and self.positive == named_like(self.sample_column, self.classes):
            return f"the column of {self.data.sample_submission}"
        order = "sorted order" if self.task.classes is None else "task.classes"
        return f"the last in {order}; set task.positive to choose"

    @property
    def levels(self) -> np.ndarray | None:
        """Return (C,) ordinal levels as numbers; None for other tasks."""
        return np.array(self.classes, dtype=float) if self.task.is_ordinal else None

    @property
    def groups(self) -> np.ndarray | None:
        """Return (N,) groups that must stay in one fold; None if the config names no column.

        A row with a blank cell is its own group, named by its id.
        """
        if self.data.group is None:
            return None
        groups = self.train[self.data.group].to_numpy(dtype=str)
        return np.where(np.char.strip(groups) == "", self.ids, groups)

    @cached_property
    def weights(self) -> np.ndarray:
        """Return (N,) what training rows count where members are fitted."""
        if self.data.weight is None:
            return np.ones(len(self.train))
        return pd.to_numeric(self.train[self.data.weight]).to_numpy(dtype=float)

    @cached_property
    def rows_digest(self) -> str:
        """Return the digest of ids, targets and metadata columns, for training."""
        columns = [*self.task.targets, *self.data.numeric, *self.data.categorical]
        cells = {column: self.train[column].tolist() for column in columns}
        weights = {} if self.data.weight is None else {"weights": self.weights.tolist()}
        extra = {"extra": [rows.cells for rows in self.extra]} if self.extra else {}
        ids = self.ids.tolist()
        return fingerprint(ids=ids, classes=self.classes, cells=cells, **weights, **extra)

    @cached_property
    def test_digest(self) -> str:
        """Return the digest of what predictions for test rows depend on besides images."""
        columns = self.test[[self.data.id, *self.data.numeric, *self.data.categorical]]
        return fingerprint(cells=columns.to_numpy().tolist())

    def on_scale(self, scale: Scale) -> "Competition":
        """Return the competition with targets on another scale than their own unit."""
        if scale == "none":
            return self
        extra = tuple(rows.on_scale(scale) for rows in self.extra)
        return replace(self, targets=to_scale(self.targets, scale), scale=scale, extra=extra)

    def subset(self, share: float, *, rng: np.random.Generator) -> "Competition":
        """Return a share of the training rows, in file order, with targets in the same proportions.

        Rows are sorted by target, at random among equals, and taken at equal distances. All test
        rows are kept, because a submission needs them.
        """
        number = max(1, round(share * len(self.ids)))
        order = rng.permutation(len(self.ids))
        order = order[np.lexsort(self.targets[order].T[::-1])]
        positions = (np.arange(number) + 0.5) * len(order) / number
        return self.take(np.sort(order[positions.astype(int)]))

    def take(self, rows: np.ndarray) -> "Competition":
        """Return the competition with some of its training rows, by position."""
        train = self.train.iloc[rows].reset_index(drop=True)
        return replace(self, train=train, targets=self.targets[rows])

    def without_unreadable(self, unreadable: np.ndarray) -> "Competition":
        """Return the competition without training rows whose image cannot be read, with notes.

        Args:
            unreadable: (M,) of images, those of training rows first. A row is unreadable if one
                of its images is.
        Raises:
            UserError: if most are.
        """
        if not unreadable.any():
            return self
        paths, of_rows = np.array(self.paths), self.row_images
        num_train, num_rows = len(self.ids), len(self.ids) + len(self.test_ids)
        if unreadable.mean() > MOST_UNREADABLE:
            raise UserError(
                f"{self.folder}: {unreadable.sum()} of {len(paths)} images cannot be read, e.g. "
                f"{examples(paths[unreadable])}: too many for `data.unreadable: skip`. "
                "`data.train_images` and `data.test_images` say where they are."
            )
        rows = of_rows.rows_of_images()
        parts = {
            "training rows are left out, for their images cannot be read": rows < num_train,
            "test images cannot be read and get the mean of the training targets": (
                (rows >= num_train) & (rows < num_rows)
            ),
            "extra rows are left out, for their images cannot be read": rows >= num_rows,
        }
        notes = [
            f"{len(found)} {what}, e.g. {examples(found)} (data.unreadable: skip; all are listed "
            "in audit.json)"
            for what, part in parts.items()
            if len(found := paths[unreadable & part])
        ]
        kept = ~of_rows.any_of(unreadable)
        ends = num_rows + np.cumsum([0, *map(len, self.extra)])
        extra = tuple(
            source.take(np.flatnonzero(kept[start:end]))
            for source, start, end in zip(self.extra, ends[:-1], ends[1:], strict=True)
        )
        readable = self.take(np.flatnonzero(kept[:num_train]))
        left_out = paths[unreadable & ((rows < num_train) | (rows >= num_rows))].tolist()
        notes = (*self.notes, *notes)
        return replace(readable, notes=notes, left_out=tuple(left_out), extra=extra)

    def with_training_only(self, column: str) -> "Competition":
        """Return the competition with the training rows whose cell is -1 as extra rows."""
        only = (self.train[column].str.strip() == "-1").to_numpy()
        if not only.any():
            return self
        apart = ExtraRows(
            *(self.train, self.data.train_templates, self.targets, self.weights),
            *(self.task, self.data),
        ).take(np.flatnonzero(only))
        note = f"{len(apart)} training rows are never held out or scored (-1 in {column!r})"
        rest = self.take(np.flatnonzero(~only))
        return replace(rest, notes=(*self.notes, note), extra=(*self.extra, apart))


def only_column(sample: pd.DataFrame | None, data: Data) -> str | None:
    """Return the only column of a sample beside the id; None if there is no such column."""
    columns = [] if sample is None else [name for name in sample.columns if name != data.id]
    return columns[0] if len(columns) == 1 else None
