"""A competition's three CSVs, read and checked for the columns that the config names."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.config.schema import Data, Task
from pipeline.core.class_folders import rows_of_class_folders, rows_of_folder
from pipeline.core.csv_files import TEXT, CsvFile, offered, read_csv
from pipeline.core.id_checks import other_id_column
from pipeline.core.image_files import UNREADABLE, columns_in_braces, image_paths, without_ending
from pipeline.errors import did_you_mean


def read_tables(
    folder: Path, task: Task, data: Data, problems: list[str], notes: list[str]
) -> tuple[pd.DataFrame | None, pd.DataFrame | None, pd.DataFrame | None, str]:
    """Read the rows of train, test and the sample, and the sample's separator; see `read_test`."""
    if data.class_folders is None:
        train = _read(folder, data, "train_csv", problems, notes)
    else:
        rows = rows_of_class_folders(
            folder / data.class_folders,
            data.id,
            task.targets[0],
            problems,
            but=folder / PurePosixPath(data.test_images).parent,
        )
        train = None if rows is None else CsvFile(rows, ",", "utf-8")
    train_rows = None if train is None else train.rows
    return train_rows, *read_test(folder, data, problems, notes, train=train_rows)


def read_test(
    folder: Path,
    data: Data,
    problems: list[str],
    notes: list[str],
    *,
    train: pd.DataFrame | None = None,
    may_be_empty: bool = False,
) -> tuple[pd.DataFrame | None, pd.DataFrame | None, str]:
    """Read the rows of test and of the sample, and the sample's separator.

    Without a test.csv, test is the sample; a file of another name than the default must be there.

    Args:
        train: training rows, whose images are no test rows where a folder stands for test.csv.
    """
    configured = {
        key for key, field in Data.model_fields.items() if getattr(data, key) != field.default
    }
    sample_path, test_path = folder / data.sample_submission, folder / data.test_csv
    sample = test = None
    if sample_path.exists() or "sample_submission" in configured:
        sample = _read(folder, data, "sample_submission", problems, notes, may_be_empty)
        if sample is not None and not sample.encoding.startswith("utf-8"):
            notes.append(f"the submission is written in UTF-8, {sample_path.name} is not")
    else:
        notes.append(
            f"no {sample_path}: the submission's columns and order are our own, see "
            f"that they are the competition's."
            f"{offered(sample_path, 'data.sample_submission', others=False)}"
        )
    if listed := _test_folder(folder, data, is_sampled=sample is not None):
        test = _rows_of_folder(folder, listed, data, train, problems, notes)
    elif test_path.exists() or "test_csv" in configured or sample is None:
        test = _read(folder, data, "test_csv", problems, notes, may_be_empty)
    elif test_path.name != data.sample_submission:
        notes.append(
            f"no {data.test_csv}: test rows are those of {data.sample_submission}."
            f"{offered(test_path, 'data.test_csv', others=False)}"
        )
    rows = [None if found is None else found.rows for found in (test or sample, sample)]
    return *rows, "," if sample is None else sample.separator


def _test_folder(folder: Path, data: Data, *, is_sampled: bool) -> str:
    """Return the folder whose images are the test rows; empty where a CSV has them."""
    path = folder / data.test_csv
    if path.is_dir() and path.suffix.lower() not in TEXT:
        return data.test_csv
    below = PurePosixPath(data.test_images).parent.as_posix()
    is_default = data.test_csv == Data.model_fields["test_csv"].default and not path.exists()
    is_meant = data.class_folders is not None and is_default and not is_sampled
    return below if is_meant and (folder / below).is_dir() else ""


def _rows_of_folder(
    folder: Path,
    listed: str,
    data: Data,
    train: pd.DataFrame | None,
    problems: list[str],
    notes: list[str],
) -> CsvFile:
    """Return the images of a folder as test rows, but those of training rows."""
    used = columns_in_braces(data.train_images)
    is_known = train is not None and {*used} <= {*train}
    taken = image_paths(train, data.train_images) if is_known else []
    rows = rows_of_folder(
        *(folder, listed),
        template=data.test_images,
        id_column=data.id,
        taken={*map(without_ending, taken)},
    )
    if rows.empty:
        problems.append(
            f"{folder / listed}: no images for test rows, whose paths are `data.test_images: "
            f"{data.test_images}`."
        )
    notes.append(
        f"test rows are the {len(rows)} images in {folder / listed}, as no CSV names them: see "
        "that their ids are spelled as the competition wants them"
    )
    return CsvFile(rows, ",", "utf-8")


def _read(
    folder: Path,
    data: Data,
    key: str,
    problems: list[str],
    notes: list[str],
    may_be_empty: bool = False,
) -> CsvFile | None:
    path = folder / getattr(data, key)
    if path.exists():
        return read_csv(
            *(path, problems, notes),
            may_be_empty=may_be_empty,
            separator=data.csv_separator,
            encoding=data.csv_encoding,
        )
    problems.append(
        f"{path}: no such file. The config's `data` section names the CSVs."
        f"{offered(path, f'data.{key}')}"
    )
    return None


def missing_columns(
    folder: Path,
    task: Task,
    data: Data,
    train: pd.DataFrame | None,
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
) -> Iterator[str]:
    """Yield a message for each column that the config names and a CSV does not have.

    Args:
        train: None where only the other two are looked at.
    """
    of_both = _columns(data, ("id", "numeric", "categorical"))
    of_train = {**_columns(task, ("target",)), **_columns(data, ("group",)), **of_both}
    tables = [rows for rows in (train, test, sample) if rows is not None]
    shared = [
        name
        for name in tables[0]
        if not UNREADABLE & set(name)
        and all(name in rows and rows[name].is_unique for rows in tables)
    ]
    where = (folder, data, shared)
    if train is not None:
        images = ("data.train_images", data.train_images)
        yield from _missing_in(train, "data.train_csv", *where, of_train, images)
    images = ("data.test_images", data.test_images)
    key = "data.test_csv" if test is not sample else "data.sample_submission"
    yield from _missing_in(test, key, *where, of_both, images)
    if sample is not None and test is not sample:
        of_sample = _columns(data, ("id",))
        yield from _missing_in(sample, "data.sample_submission", *where, of_sample, test=test)


def _columns(section: Task | Data, keys: tuple[str, ...]) -> dict[str, str]:
    """Return columns that a section of the config names, with their keys."""
    keys_of: dict[str, str] = {}
    for key in keys:
        named = getattr(section, key) or []
        for column in [named] if isinstance(named, str) else named:
            keys_of.setdefault(column, f"{type(section).__name__.lower()}.{key}")
    return keys_of


def _missing_in(
    rows: pd.DataFrame,
    key: str,
    folder: Path,
    data: Data,
    shared: list[str],
    columns: dict[str, str],
    images: tuple[str, str] = ("", ""),
    test: pd.DataFrame | None = None,
) -> Iterator[str]:
    """Yield messages about missing columns of one CSV.

    Args:
        key: of the config, that names the CSV.
        shared: columns that may identify rows in every CSV.
        columns: required ones: the key of the config that names each.
        images: a key, and its template of paths.
        test: rows of test.csv, where `rows` are the sample's.
    """
    path = folder / getattr(data, key.removeprefix("data."))
    images_key, template = images
    for column in dict.fromkeys([*columns, *columns_in_braces(template)]):
        if column in rows.columns:
            continue
        near = did_you_mean(column, rows.columns, list_all=False)
        has = f"it has {list(rows.columns)}{near or '.'}"
        if column not in columns:
            yield f"{path}: no column {column!r}, but {images_key} names {{{column}}}; {has}"
            continue
        if columns[column] == "data.id":
            known = test if test is not None and data.id in test else None
            has += other_id_column(rows, key, data, known, shared)
        yield f"{path}: no column {column!r} ({columns[column]}); {has}"
