"""A competition's three CSVs, read and checked for the columns that the config names."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.config.schema import Data, Submission, Task
from pipeline.core.class_folders import rows_of_class_folders, rows_of_folder
from pipeline.core.combined_tables import check_split, join_tables, part_of
from pipeline.core.csv_files import TEXT, CsvFile, offered, read_csv
from pipeline.core.id_checks import other_id_column
from pipeline.core.image_files import UNREADABLE, columns_in_braces, image_paths, without_ending
from pipeline.core.sample import with_our_names, wrong_names
from pipeline.errors import did_you_mean


def read_tables(
    folder: Path,
    task: Task,
    data: Data,
    problems: list[str],
    notes: list[str],
    *,
    submission: Submission,
) -> tuple[pd.DataFrame | None, pd.DataFrame | None, pd.DataFrame | None, str]:
    """Read the rows of train, test and the sample, and the sample's separator; see `read_test`."""
    if data.class_folders is None:
        read = _read(folder, data, "train_csv", problems, notes)
        rows = None if read is None else read.rows
    else:
        rows = rows_of_class_folders(
            folder / data.class_folders,
            data.id,
            task.targets[0],
            problems,
            but=folder / PurePosixPath(data.test_templates[0]).parent,
        )
    whole, path = rows, folder / (data.class_folders or data.train_csv)
    if rows is not None and data.split is not None:
        is_parted = check_split(rows, data.split, path, problems)
        rows = part_of(rows, data.split.train, data.split.column) if is_parted else None
    joined = (data, problems, notes)
    train = join_tables(rows, path, *joined, folder=folder, must_match=True)
    test = read_test(folder, data, problems, notes, submission=submission, train=train, whole=whole)
    return train, *test


def read_test(
    folder: Path,
    data: Data,
    problems: list[str],
    notes: list[str],
    *,
    submission: Submission,
    train: pd.DataFrame | None = None,
    whole: pd.DataFrame | None = None,
    may_be_empty: bool = False,
) -> tuple[pd.DataFrame | None, pd.DataFrame | None, str]:
    """Read the rows of test and of the sample, and the sample's separator.

    Without a test.csv, test is the sample; a file of another name than the default must be there.

    Args:
        train: training rows, whose images are no test rows where a folder stands for test.csv.
        whole: train_csv with its test rows, where it was read before.
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
        if sample is not None:
            columns = list(sample.rows.columns)
            problems += wrong_names(columns, data, submission, sample_path)
            rows = with_our_names(sample.rows, data, submission)
            sample = replace(sample, rows=rows)
    else:
        notes.append(
            f"no {sample_path}: the submission's columns and order are our own, see "
            f"that they are the competition's."
            f"{offered(sample_path, 'data.sample_submission', others=False)}"
        )
    if data.split is not None:
        test = _rows_of_split(folder, data, whole, problems, notes)
    elif listed := _test_folder(folder, data, is_sampled=sample is not None):
        test = _rows_of_folder(folder, listed, data, train, problems, notes)
    elif test_path.exists() or "test_csv" in configured or sample is None:
        test = _read(folder, data, "test_csv", problems, notes, may_be_empty)
    elif test_path.name != data.sample_submission:
        notes.append(
            f"no {data.test_csv}: test rows are those of {data.sample_submission}."
            f"{offered(test_path, 'data.test_csv', others=False)}"
        )
    test_rows, rows = (None if found is None else found.rows for found in (test or sample, sample))
    path, joined = test_path_of(folder, data, is_sample=test is None), (data, problems, notes)
    if data.join:
        test_rows = join_tables(test_rows, path, *joined, folder=folder, must_match=False)
    return test_rows, rows, "," if sample is None else sample.separator


def test_path_of(folder: Path, data: Data, *, is_sample: bool) -> Path:
    """Return the file that lists the test rows."""
    return folder / getattr(data, _test_key(data, is_sample=is_sample).removeprefix("data."))


def _test_key(data: Data, *, is_sample: bool) -> str:
    if data.split is not None:
        return "data.train_csv"
    return "data.sample_submission" if is_sample else "data.test_csv"


def _rows_of_split(
    folder: Path, data: Data, whole: pd.DataFrame | None, problems: list[str], notes: list[str]
) -> CsvFile | None:
    """Return the test rows of a CSV that holds training rows, too."""
    if whole is None and (read := _read(folder, data, "train_csv", problems, notes)) is not None:
        whole = read.rows
    if whole is None or data.split.column not in whole:
        return None
    return CsvFile(part_of(whole, data.split.test, data.split.column), ",", "utf-8")


def _test_folder(folder: Path, data: Data, *, is_sampled: bool) -> str:
    """Return the folder whose images are the test rows; empty where a CSV has them."""
    path = folder / data.test_csv
    if path.is_dir() and path.suffix.lower() not in TEXT:
        return data.test_csv
    below = PurePosixPath(data.test_templates[0]).parent.as_posix()
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
    used = [name for template in data.train_templates for name in columns_in_braces(template)]
    is_known = train is not None and {*used} <= {*train}
    templates = data.train_templates if is_known else []
    taken = [path for template in templates for path in image_paths(train, template)]
    rows = rows_of_folder(
        *(folder, listed),
        template=data.test_templates[0],
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
    of_train = {
        **_columns(task, ("target",)),
        **_columns(data, ("group", "weight")),
        **of_both,
    }
    tables = [rows for rows in (train, test, sample) if rows is not None]
    shared = [
        name
        for name in tables[0]
        if not UNREADABLE & set(name)
        and all(name in rows and rows[name].is_unique for rows in tables)
    ]
    where = (folder, data, shared)
    if train is not None:
        images = ("data.train_images", data.train_templates)
        yield from _missing_in(train, "data.train_csv", *where, of_train, images)
    images = ("data.test_images", data.test_templates)
    key = _test_key(data, is_sample=test is sample)
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
    images: tuple[str, list[str]] = ("", []),
    test: pd.DataFrame | None = None,
) -> Iterator[str]:
    """Yield messages about missing columns of one CSV.

    Args:
        key: of the config, that names the CSV.
        shared: columns that may identify rows in every CSV.
        columns: required ones: the key of the config that names each.
        images: a key, and its templates of paths.
        test: rows of test.csv, where `rows` are the sample's.
    """
    path = folder / getattr(data, key.removeprefix("data."))
    images_key, templates = images
    of_images = [name for template in templates for name in columns_in_braces(template)]
    for column in dict.fromkeys([*columns, *of_images]):
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
