"""Why images of a CSV's rows are not found, or not all: what a person can do, one note a reason."""

import re
from collections import Counter
from pathlib import PurePosixPath

import pandas as pd

from pipeline.core.image_files import UNREADABLE, without_ending
from pipeline.discovery.image_names import ENOUGH, ImageNames, Template, spread
from pipeline.discovery.sample_form import JOINED
from pipeline.discovery.tables import Table


def image_problems(table: Table, found: Template | None, names: ImageNames) -> list[str]:
    """Return why images of a table are not found.

    Args:
        found: the template that finds most of them.
    """
    if not table.image:
        return _no_column(table, names)
    if found is None:
        return _strange_paths(table, names)
    return _several_folders(table, names) if found.share < 1 else []


def other_images(table: Table, names: ImageNames) -> list[str]:
    """Return columns that name other images than the table's column of images does."""
    known = {*map(_name, table.cells(table.image))} if table.image else set()
    return [
        name
        for name in table.columns
        if name != table.image
        and not table.rows[name].str.fullmatch(r"[\d.,]*").any()  # numbers fit names by chance
        and not known & {*map(_name, table.cells(name))}
        and names.share_named(table.rows[name]) >= ENOUGH
    ]


def _no_column(table: Table, names: ImageNames) -> list[str]:
    notes = []
    for column in table.columns:
        cells = table.rows[column]
        if UNREADABLE & set(column) and names.share_named(cells) >= ENOUGH:
            notes.append(
                f"`{column}` of {table.path} names images, but a template of paths cannot hold "
                f"{' or '.join(sorted(UNREADABLE & set(column)))}: save a copy with another header"
            )
        elif table.role != "sample" and _holds_classes(cells, names):  # samples are read so
            joint = re.search(JOINED, cells.iloc[0])[0][0]
            rest = [name for name in table.columns if name != column]
            notes.append(
                f"`{column}` of {table.path} holds an image and a class, such as {cells.iloc[0]}: "
                "save a copy with a row for each image and a column for each class. In pandas: "
                f"rows[['id', 'class']] = rows[{column!r}].str.rsplit({joint!r}, n=1, "
                f"expand=True); rows.pivot(index='id', columns='class', values={rest[-1]!r})"
            )
    return notes


def _holds_classes(cells: pd.Series, names: ImageNames) -> bool:
    is_joined = bool(cells.str.contains(JOINED).all())
    heads = cells.str.replace(JOINED, "", regex=True)
    return is_joined and heads.duplicated().any() and names.share_named(heads) >= ENOUGH


def _strange_paths(table: Table, names: ImageNames) -> list[str]:
    cell = table.rows[table.image].iloc[0]
    paths = names.by_key.get(_name(cell), [])
    if not {"/", "\\"} & set(cell) or not paths:
        return []
    return [
        f"`{table.image}` of {table.path} holds paths such as {cell}, which lead to no image: save "
        f"a copy with paths from here, such as {paths[0]}"
    ]


def _several_folders(table: Table, names: ImageNames) -> list[str]:
    """Return a note, if each of two folders holds images that are nowhere else."""
    folders: Counter[str] = Counter()
    for cell in spread(table.rows[table.image]):
        paths = names.by_key.get(cell, []) or names.by_key.get(_name(cell), [])
        if len({without_ending(path) for path in paths}) == 1:
            folders[PurePosixPath(paths[0]).parent.as_posix()] += 1
    if len(folders) < 2:
        return []
    listed = ", ".join(folder for folder, _ in folders.most_common(4))
    return [
        f"images of {table.path} lie in {len(folders)} folders ({listed}): save a copy with a "
        f'column `folder` that names each row\'s; then the path is "{{folder}}/{{{table.image}}}"'
    ]


def _name(cell: str) -> str:
    return without_ending(cell.replace("\\", "/").rpartition("/")[2])
