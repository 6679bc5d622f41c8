"""A competition's rows: CSVs read and checked before any work, all problems reported at once."""

import difflib
import glob
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from string import Formatter

import numpy as np
import pandas as pd

from pipeline.config.errors import UserError
from pipeline.config.schema import Data, Task
from pipeline.core.artifacts import fingerprint
from pipeline.core.targets import encode_targets, examples, read_numbers


@dataclass(frozen=True)
class Competition:
    """Rows of train.csv and test.csv, in file order, with every cell as the text that it was.

    Attributes:
        folder: input/<competition>.
        train, test: rows; test comes from the sample where there is no test.csv.
        sample: sample_submission.csv, or None where there is none.
        classes: C names: classes (binary: the positive one last), levels in ascending order, or
            target columns.
        targets: (N, C): one-hot, 0/1 per column (multilabel), or values (regression).
    """

    folder: Path
    task: Task
    data: Data
    train: pd.DataFrame
    test: pd.DataFrame
    sample: pd.DataFrame | None
    classes: tuple[str, ...]
    targets: np.ndarray

    @cached_property
    def ids(self) -> np.ndarray:
        """(N,) ids of training rows."""
        return self.train[self.data.id].to_numpy(dtype=str)

    @cached_property
    def test_ids(self) -> np.ndarray:
        """(N_test,) ids of test rows."""
        return self.test[self.data.id].to_numpy(dtype=str)

    @cached_property
    def paths(self) -> list[str]:
        """Images of training rows, then of test rows, relative to `folder`."""
        return [
            *_image_paths(self.train, self.data.train_images),
            *_image_paths(self.test, self.data.test_images),
        ]

    @property
    def positive(self) -> str | None:
        """Of two classes the positive one, the last; None for other tasks."""
        return self.classes[-1] if self.task.kind == "binary" else None

    @property
    def sample_column(self) -> str | None:
        """The sample's column beside the id; None where there are several, or no sample."""
        return _only_column(self.sample, self.data)

    @property
    def positive_from(self) -> str:
        """What made the positive class the positive one."""
        if self.task.positive is not None:
            return "task.positive"
        if self.positive == self.sample_column:
            return f"the column of {self.data.sample_submission}"
        order = "sorted order" if self.task.classes is None else "task.classes"
        return f"the last in {order}; set task.positive to choose"

    @property
    def levels(self) -> np.ndarray | None:
        """(C,) ordinal levels as numbers; None for other tasks."""
        return np.array(self.classes, dtype=float) if self.task.kind == "ordinal" else None

    @property
    def groups(self) -> np.ndarray | None:
        """(N,) what must not straddle folds; None where the config names no column.

        A row with a blank cell is a group of its own, named by its id.
        """
        if self.data.group is None:
            return None
        groups = self.train[self.data.group].to_numpy(dtype=str)
        return np.where(np.char.strip(groups) == "", self.ids, groups)

    @cached_property
    def rows_digest(self) -> str:
        """Digest of what training learns from besides images: ids, targets, metadata columns."""
        columns = [*self.task.targets, *self.data.numeric, *self.data.categorical]
        cells = {column: self.train[column].tolist() for column in columns}
        return fingerprint(ids=self.ids.tolist(), classes=self.classes, cells=cells)

    @cached_property
    def test_digest(self) -> str:
        """Digest of what predictions for test rows depend on besides images."""
        columns = self.test[[self.data.id, *self.data.numeric, *self.data.categorical]]
        return fingerprint(cells=columns.to_numpy().tolist())

    def subset(self, share: float, *, rng: np.random.Generator) -> "Competition":
        """A share of the training rows, in file order, with targets in the same proportions.

        Rows are sorted by target, at random among equals, and taken at equal distances. All test
        rows stay: a submission needs them.
        """
        number = max(1, round(share * len(self.ids)))
        order = rng.permutation(len(self.ids))
        order = order[np.lexsort(self.targets[order].T[::-1])]
        positions = (np.arange(number) + 0.5) * len(order) / number
        chosen = np.sort(order[positions.astype(int)])
        train = self.train.iloc[chosen].reset_index(drop=True)
        return replace(self, train=train, targets=self.targets[chosen])


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
    train = _read_csv(folder / data.train_csv, problems)
    sample = _read_csv(folder / data.sample_submission, problems, optional=True)
    test = _read_csv(folder / data.test_csv, problems, optional=sample is not None)
    test_path = folder / data.test_csv
    if test is None and sample is not None:
        test, test_path = sample, folder / data.sample_submission
    if problems:
        raise UserError("\n".join(problems))
    shared = _columns(data, ("id", "numeric", "categorical"))
    of_train = {**_columns(task, ("target",)), **_columns(data, ("group",)), **shared}
    problems += _missing_columns(
        train, folder / data.train_csv, of_train, ("data.train_images", data.train_images)
    )
    problems += _missing_columns(test, test_path, shared, ("data.test_images", data.test_images))
    if sample is not None:
        problems += _missing_columns(
            sample, folder / data.sample_submission, _columns(data, ("id",))
        )
    if problems:
        raise UserError("\n".join(problems))
    problems += _bad_ids(train, folder / data.train_csv, data.id)
    problems += _bad_ids(test, test_path, data.id)
    problems += _shared_ids(train, test, folder, test_path.name, data)
    if sample is not None and test is not sample:
        problems += _strange_sample(test, sample, folder, data)
    classes, targets = encode_targets(
        *(train, task, folder / data.train_csv, problems),
        ids=train[data.id],
        positive=_only_column(sample, data),
    )
    for column in data.numeric:
        for rows, path in ((train, folder / data.train_csv), (test, test_path)):
            read_numbers(rows[column], path, problems, blank_allowed=True)
    competition = Competition(folder, task, data, train, test, sample, classes, targets)
    problems += _missing_images(competition)
    if problems:
        raise UserError("\n".join(problems))
    return competition


def _read_csv(path: Path, problems: list[str], *, optional: bool = False) -> pd.DataFrame | None:
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            # No index column: pandas would shift the cells of rows that end with a comma.
            rows = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        if not optional:
            problems.append(f"{path}: no such file. The config's `data` section names the CSVs.")
        return None
    except OSError as error:
        problems.append(f"{path}: not readable: {error.strerror}.")
        return None
    except (
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
    ) as error:
        problems.append(f"{path}: not readable as CSV: {error}.")
        return None
    if rows.empty:
        problems.append(f"{path}: no rows below the header.")
    return rows


def _columns(section: Task | Data, keys: tuple[str, ...]) -> dict[str, str]:
    """Columns that a section of the config names: the key that names each."""
    keys_of: dict[str, str] = {}
    for key in keys:
        named = getattr(section, key) or []
        for column in [named] if isinstance(named, str) else named:
            keys_of.setdefault(column, f"{type(section).__name__.lower()}.{key}")
    return keys_of


def _missing_columns(
    rows: pd.DataFrame, path: Path, columns: dict[str, str], images: tuple[str, str] = ("", "")
) -> Iterator[str]:
    """Columns that are not there.

    Args:
        columns: which ones there must be: the key of the config that names each.
        images: a key, and its template of paths.
    """
    images_key, template = images
    in_braces = [name for _, name, _, _ in Formatter().parse(template) if name]
    for column in dict.fromkeys([*columns, *in_braces]):
        if column in rows.columns:
            continue
        near = difflib.get_close_matches(column, rows.columns, n=1)
        has = f"it has {list(rows.columns)}." + (f" Did you mean `{near[0]}`?" if near else "")
        if column in columns:
            yield f"{path}: no column {column!r} ({columns[column]}); {has}"
        else:
            yield f"{path}: no column {column!r}, but {images_key} names {{{column}}}; {has}"


def _only_column(sample: pd.DataFrame | None, data: Data) -> str | None:
    columns = [] if sample is None else [name for name in sample.columns if name != data.id]
    return columns[0] if len(columns) == 1 else None


def _bad_ids(rows: pd.DataFrame, path: Path, id_column: str) -> Iterator[str]:
    ids = rows[id_column]
    blank = np.flatnonzero(ids.str.strip() == "")
    if len(blank):
        first = f"row {blank[0] + 1} below the header"
        yield f"{path}: {len(blank)} rows have no {id_column!r}, e.g. {first}."
    if (repeated := ids[ids.duplicated()].unique()).size:
        yield (
            f"{path}: {repeated.size} ids stand more than once, e.g. {examples(repeated)}. "
            "Each row needs an id of its own."
        )


def _shared_ids(
    train: pd.DataFrame, test: pd.DataFrame, folder: Path, test_name: str, data: Data
) -> Iterator[str]:
    shared = sorted(set(train[data.id]) & set(test[data.id]))
    if shared and not data.allow_shared_ids:
        yield (
            f"{folder}: {len(shared)} ids are both in {data.train_csv} and {test_name}, e.g. "
            f"{examples(shared)}. If they are different images, say `data.allow_shared_ids: true`."
        )


def _strange_sample(
    test: pd.DataFrame, sample: pd.DataFrame, folder: Path, data: Data
) -> Iterator[str]:
    wanted, given = set(test[data.id]), set(sample[data.id])
    if wanted != given or sample[data.id].duplicated().any():
        yield (
            f"{folder / data.sample_submission}: its ids are not those of {data.test_csv}: "
            f"{len(wanted - given)} missing {examples(sorted(wanted - given))}, "
            f"{len(given - wanted)} unknown {examples(sorted(given - wanted))}, "
            f"{int(sample[data.id].duplicated().sum())} repeated."
        )


def _missing_images(competition: Competition) -> Iterator[str]:
    folder = competition.folder
    missing = [path for path in competition.paths if not (folder / path).is_file()]
    if missing:
        parent, name = (folder / missing[0]).parent, glob.escape(Path(missing[0]).name)
        siblings = sorted(parent.glob(f"{name}.*"))
        hint = f" There is {siblings[0].name}: add the ending to the template." if siblings else ""
        yield (
            f"{folder}: {len(missing)} of {len(competition.paths)} images are not there, e.g. "
            f"{examples(missing)}. `data.train_images` and `data.test_images` say where "
            f"they are.{hint}"
        )


def _image_paths(rows: pd.DataFrame, template: str) -> list[str]:
    names = list(dict.fromkeys(name for _, name, _, _ in Formatter().parse(template) if name))
    cells = rows[names].to_dict("records") if names else [{}] * len(rows)
    return [template.format_map(row) for row in cells]
