"""A competition's rows: CSVs read and checked before any work; all problems reported at once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from pipeline.config.schema import Data, Scale, Task
from pipeline.core.artifacts import fingerprint
from pipeline.core.id_checks import bad_ids, formulas, shared_ids, strange_sample
from pipeline.core.image_files import image_paths, missing_images, with_other_endings
from pipeline.core.labels import named_like
from pipeline.core.long_forms import LongSample, find_long_sample, join_labels
from pipeline.core.scale import to_scale
from pipeline.core.tables import missing_columns, read_tables, read_test
from pipeline.core.targets import encode_targets, examples, read_numbers, strange_labels
from pipeline.errors import UserError

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
    left_out: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> np.ndarray:
        """Return (N,) ids of training rows."""
        return self.train[self.data.id].to_numpy(dtype=str)

    @cached_property
    def test_ids(self) -> np.ndarray:
        """Return (N_test,) ids of test rows."""
        return self.test[self.data.id].to_numpy(dtype=str)

    @cached_property
    def paths(self) -> list[str]:
        """Return images of training rows, then of test rows, relative to `folder`."""
        paths = [
            *image_paths(self.train, self.data.train_images),
            *image_paths(self.test, self.data.test_images),
        ]
        return [self.endings.get(path, path) for path in paths]

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
        return _only_column(self.sample, self.data)

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
    def rows_digest(self) -> str:
        """Return the digest of ids, targets and metadata columns, for training."""
        columns = [*self.task.targets, *self.data.numeric, *self.data.categorical]
        cells = {column: self.train[column].tolist() for column in columns}
        return fingerprint(ids=self.ids.tolist(), classes=self.classes, cells=cells)

    @cached_property
    def test_digest(self) -> str:
        """Return the digest of what predictions for test rows depend on besides images."""
        columns = self.test[[self.data.id, *self.data.numeric, *self.data.categorical]]
        return fingerprint(cells=columns.to_numpy().tolist())

    def on_scale(self, scale: Scale) -> "Competition":
        """Return the competition with targets on another scale than their own unit."""
        if scale == "none":
            return self
        return replace(self, targets=to_scale(self.targets, scale), scale=scale)

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
            unreadable: (N + N_test,) of training rows, then of test rows.
        Raises:
            UserError: if most are.
        """
        if not unreadable.any():
            return self
        paths, is_train = np.array(self.paths), np.arange(len(unreadable)) < len(self.ids)
        if unreadable.mean() > MOST_UNREADABLE:
            raise UserError(
                f"{self.folder}: {unreadable.sum()} of {len(paths)} images cannot be read, e.g. "
                f"{examples(paths[unreadable])}: too many for `data.unreadable: skip`. "
                "`data.train_images` and `data.test_images` say where they are."
            )
        train, test = (paths[unreadable & part] for part in (is_train, ~is_train))
        notes = [
            f"{len(of_part)} {what}, e.g. {examples(of_part)} (data.unreadable: skip; all are "
            "listed in audit.json)"
            for of_part, what in (
                (train, "training rows are left out, for their images cannot be read"),
                (test, "test images cannot be read and get the mean of the training targets"),
            )
            if len(of_part)
        ]
        readable = self.take(np.flatnonzero(~unreadable[is_train]))
        return replace(readable, notes=(*self.notes, *notes), left_out=tuple(train.tolist()))


def read_competition(folder: Path, task: Task, data: Data) -> Competition:
    """Read the CSVs of input/<competition> and check them against the config and each other.

    Raises:
        UserError: with every problem found, one line each.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder. Link the competition's files there: "
            f"`ln -s /path/to/{folder.name} {folder}`."
        )
    problems: list[str] = []
    notes: list[str] = []
    train, test, sample, separator = read_tables(folder, task, data, problems, notes)
    _refuse(problems)
    if data.rows == "label":
        joint = (data.id, task.targets[0], task.separator)
        train, differing = join_labels(train, *joint, folder / data.train_csv)
        problems += differing
    sample, long_sample = _wide(sample, test, data)
    train_path = folder / (data.class_folders or data.train_csv)
    test_path = _path_of_test(folder, data, test, sample)
    problems += missing_columns(folder, task, data, train, test, sample)
    _refuse(problems)
    problems += bad_ids(train, train_path, data, test=test)
    problems += _bad_test_ids(folder, data, test, sample)
    problems += shared_ids(train, test, folder, test_path.name, data)
    classes, targets = encode_targets(
        *(train, task, train_path, problems),
        ids=train[data.id],
        sample_column=_only_column(sample, data),
    )
    notes += strange_labels(train, task, classes)
    notes += formulas(test[data.id], "ids", test_path)
    notes += formulas(classes, "classes", train_path)
    for column in data.numeric:
        for rows, path in ((train, train_path), (test, test_path)):
            read_numbers(rows[column], path, problems, blank_allowed=True)
    competition = Competition(
        *(folder, task, data, train, test, sample, classes, targets),
        separator=separator,
        long_sample=long_sample,
    )
    endings, missing = with_other_endings(folder, competition.paths)
    if data.unreadable == "stop":
        problems += missing_images(folder, missing, of=len(competition.paths))
    _refuse(problems)
    if endings or notes:
        competition = replace(competition, endings=endings, notes=(*notes, *_endings_note(endings)))
    return competition


def with_test_rows(known: Competition, folder: Path) -> Competition:
    """Return a competition with the test rows and the sample that lie in a folder now.

    They may be other ones, more, or none. Cells of numeric columns that hold no number are noted,
    and count as blank. Images are not looked for.

    Raises:
        UserError: with every problem found, one line each.
    """
    problems: list[str] = []
    notes: list[str] = []
    data = known.data
    test, sample, separator = read_test(folder, data, problems, notes, may_be_empty=True)
    _refuse(problems)
    sample, long_sample = _wide(sample, test, data)
    problems += missing_columns(folder, known.task, data, None, test, sample)
    _refuse(problems)
    _refuse(list(_bad_test_ids(folder, data, test, sample)))
    for column in data.numeric:
        read_numbers(
            test[column], _path_of_test(folder, data, test, sample), notes, blank_allowed=True
        )
    return replace(
        known,
        folder=folder,
        test=test,
        sample=sample,
        long_sample=long_sample,
        separator=separator,
        endings={},
        notes=tuple(notes),
    )


def _wide(
    sample: pd.DataFrame | None, test: pd.DataFrame, data: Data
) -> tuple[pd.DataFrame | None, LongSample | None]:
    """Return a sample with a row for each id, and how it is written where that is otherwise."""
    if sample is None or test is sample or data.id not in test:
        return sample, None
    long_sample = find_long_sample(sample, test[data.id].tolist(), data.id)
    return (sample, None) if long_sample is None else (long_sample.wide(data.id), long_sample)


def _path_of_test(
    folder: Path, data: Data, test: pd.DataFrame, sample: pd.DataFrame | None
) -> Path:
    return folder / (data.sample_submission if test is sample else data.test_csv)


def _bad_test_ids(
    folder: Path, data: Data, test: pd.DataFrame, sample: pd.DataFrame | None
) -> Iterator[str]:
    yield from bad_ids(test, _path_of_test(folder, data, test, sample), data)
    if sample is not None and test is not sample:
        yield from strange_sample(test, sample, folder / data.sample_submission, data)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise UserError("\n".join(problems))


def _only_column(sample: pd.DataFrame | None, data: Data) -> str | None:
    columns = [] if sample is None else [name for name in sample.columns if name != data.id]
    return columns[0] if len(columns) == 1 else None


def _endings_note(endings: Mapping[str, str]) -> Iterator[str]:
    if endings:
        found = Counter(PurePosixPath(path).suffix for path in endings.values())
        counts = ", ".join(f"{number} {ending}" for ending, number in found.most_common())
        first = next(iter(endings))
        yield (
            f"{len(endings)} images have another name or ending than the template says "
            f"({counts}), e.g. {endings[first]} for {first}"
        )
