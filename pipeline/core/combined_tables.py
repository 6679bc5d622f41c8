"""Rows that are spread over several CSVs (`data.join`), or lie in one together (`data.split`)."""

from pathlib import Path

import pandas as pd

from pipeline.config.schema import Data, Split
from pipeline.core.csv_files import read_csv
from pipeline.core.targets import examples
from pipeline.errors import did_you_mean


def part_of(rows: pd.DataFrame, values: list[str], column: str) -> pd.DataFrame:
    """Return the rows whose cell is one of some values."""
    return rows[rows[column].isin(values)].reset_index(drop=True)


def check_split(rows: pd.DataFrame, split: Split, path: Path, problems: list[str]) -> bool:
    """Return whether every row is one of training or test; add to `problems` why not."""
    if split.column not in rows:
        near = did_you_mean(split.column, rows.columns, list_all=False) or "."
        problems.append(
            f"{path}: no column {split.column!r} (data.split); it has {list(rows.columns)}{near}"
        )
        return False
    found = set(rows[split.column])
    unknown = sorted(found - {*split.train, *split.test})
    if unknown or not found & {*split.train}:
        problems.append(
            f"{path}: {split.column!r} holds {examples(sorted(found))}, but `data.split` names "
            f"{split.train} as train and {split.test} as test: each value belongs to one."
        )
    return not unknown and bool(found & {*split.train})


def join_tables(
    rows: pd.DataFrame | None,
    path: Path,
    data: Data,
    problems: list[str],
    notes: list[str],
    *,
    folder: Path,
    must_match: bool,
) -> pd.DataFrame | None:
    """Return rows with the columns of the CSVs that `data.join` names.

    Args:
        path: of the rows, for messages.
        must_match: whether a CSV has to have them; else one that has none of them is passed over,
            as labels are of test rows.
    """
    if rows is None or rows.empty:
        return rows
    for name, key in data.join.items():
        found = _read_joined(folder / name, key, data, problems, notes)
        if found is None:
            return None
        if key not in rows:
            if must_match:
                has = f"it has {list(rows.columns)}"
                problems.append(
                    f"{path}: no column {key!r}, by which data.join joins {name}; {has}."
                )
            continue
        absent = ~rows[key].isin(found[key])
        if absent.all() and not must_match:
            continue
        if absent.any():
            problems.append(
                f"{path}: {int(absent.sum())} rows have no row in {folder / name} with their "
                f"{key!r}, e.g. {examples(rows[key][absent].unique())}."
            )
        if twice := [column for column in found if column in rows and column != key]:
            problems.append(
                f"{folder / name}: {examples(twice)} are columns of {path.name}, too; data.join "
                f"adds columns of other names. Save a copy without them, and name that."
            )
            continue
        rows = rows.merge(found, on=key, how="left", sort=False)
        rows[found.columns] = rows[found.columns].fillna("")
    return rows


def _read_joined(
    path: Path, key: str, data: Data, problems: list[str], notes: list[str]
) -> pd.DataFrame | None:
    """Read a CSV with one row for each value of a column."""
    if not path.exists():
        problems.append(f"{path}: no such file, which data.join names.")
        return None
    read = read_csv(path, problems, notes, separator=data.csv_separator, encoding=data.csv_encoding)
    if read is None:
        return None
    if key not in read.rows:
        near = did_you_mean(key, read.rows.columns, list_all=False) or "."
        problems.append(f"{path}: no column {key!r} (data.join); it has {list(read.rows)}{near}")
        return None
    if (repeated := read.rows[key][read.rows[key].duplicated()].unique()).size:
        problems.append(
            f"{path}: {repeated.size} values of {key!r} stand more than once, e.g. "
            f"{examples(repeated)}; data.join needs one row for each."
        )
        return None
    return read.rows
