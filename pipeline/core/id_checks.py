"""Checks of ids in a competition's CSVs; messages name the likely layout and what to do."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

import pandas as pd

from pipeline.config.schema import Data
from pipeline.core.long_forms import find_long_sample
from pipeline.core.targets import examples

_FORMULA = re.compile(r"\s*[=+@-]")
_NUMBER = re.compile(r"\s*[+-]?[\d.,]+(e[+-]?\d+)?\s*", re.IGNORECASE)
_LONG = (
    "It looks like a long form. One with a row for each id and class is written, where ids are "
    "those of test.csv, as ID_CLASS or in columns of their own; this one is not understood. Save a "
    "sample with one row per id and a column per class beside it, name it in "
    "`data.sample_submission`, and bring the submission into the long form with pandas' `melt`."
)


def bad_ids(
    rows: pd.DataFrame, path: Path, data: Data, *, test: pd.DataFrame | None = None
) -> Iterator[str]:
    """Yield messages about blank and repeated ids.

    Args:
        test: rows of test.csv, where `rows` are those of train.csv.
    """
    ids = rows[data.id]
    blank = (ids.str.strip() == "").to_numpy().nonzero()[0]
    if len(blank):
        first = f"row {blank[0] + 1} below the header"
        yield f"{path}: {len(blank)} rows have no {data.id!r}, e.g. {first}."
    if (repeated := ids[ids.duplicated()].unique()).size:
        yield (
            f"{path}: {repeated.size} ids stand more than once, e.g. {examples(repeated)}. "
            f"Each row needs an id of its own.{_several_rows(rows, data, test)}"
        )


def formulas(cells: Iterable[str], what: str, path: Path) -> Iterator[str]:
    """Yield a note about cells of the submission that a spreadsheet would run as formulas."""
    found = [cell for cell in cells if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)]
    if found:
        yield (
            f"{path}: {len(found)} {what} begin like a formula, e.g. {examples(found)}. They are "
            "written as they are; a spreadsheet that opens the submission would run them."
        )


def _several_rows(rows: pd.DataFrame, data: Data, test: pd.DataFrame | None) -> str:
    """Describe what several rows of one id may be, and what to do with them."""
    unique = [
        name
        for name in rows.columns
        if test is not None and name in test and rows[name].is_unique
        if (rows[name].str.strip() != "").all()
    ]
    if unique:
        return (
            f" The column {unique[0]!r} differs in every row: say `data.id: {unique[0]}`, and "
            f"`data.group: {data.id}`, which keeps rows of one {data.id!r} together."
        )
    key = "data.test_csv" if test is None else "data.train_csv"
    return (
        f" Images of one {data.id!r} get one answer with `data.rows: file`, labels of one image "
        "are joined with `data.rows: label`. Other rows of one image (boxes, labels of several "
        "people) are not read: write a CSV with one row for each beside it, and name it in "
        f"`{key}`."
    )


def shared_ids(
    train: pd.DataFrame, test: pd.DataFrame, folder: Path, test_name: str, data: Data
) -> Iterator[str]:
    """Yield a message about ids that are in both train and test."""
    shared = sorted(set(train[data.id]) & set(test[data.id]))
    if shared and not data.allow_shared_ids:
        yield (
            f"{folder}: {len(shared)} ids are both in {data.train_csv} and {test_name}, e.g. "
            f"{examples(shared)}. If they are different images, say `data.allow_shared_ids: true`."
        )


def strange_sample(
    test: pd.DataFrame,
    sample: pd.DataFrame,
    path: Path,
    data: Data,
    *,
    may_be_part: bool = False,
) -> Iterator[str]:
    """Yield a message about a sample whose ids are not those of test.csv, or some of them."""
    wanted, given = set(test[data.id]), set(sample[data.id])
    repeated = int(sample[data.id].duplicated().sum())
    if not (wanted == given or (may_be_part and given < wanted)) or repeated:
        yield (
            f"{path}: its ids are not those of {data.test_csv}: "
            f"{len(wanted - given)} missing {examples(sorted(wanted - given))}, "
            f"{len(given - wanted)} unknown {examples(sorted(given - wanted))}, "
            f"{repeated} repeated.{_shape_of_ids(sample[data.id].tolist(), wanted, data)}"
        )


def _shape_of_ids(given: list[str], wanted: set[str], data: Data) -> str:
    """Describe which layout a sample's ids have, and what to do."""
    take_its_rows = f"`data.test_csv: {data.sample_submission}`"
    distinct = set(given)
    if _is_long(given, wanted):
        return f" {_LONG}"
    if distinct == wanted:
        return " Save a copy without the repeated rows and name it in `data.sample_submission`."
    if distinct < wanted:
        return (
            f" It has {len(distinct)} of {len(wanted)} test rows. If the competition wants just "
            "these, say `submission: {rows: sample}`; if it wants all, and the sample shows some, "
            "`submission: {rows: test}`."
        )
    stems = {_stem(name) for name in wanted}
    if distinct == stems and len(stems) == len(wanted):
        endings = sorted({os.path.splitext(name)[1] for name in wanted})
        template = f'"test/{{{data.id}}}{endings[0]}"'
        return (
            f" They are those of {data.test_csv} without {' and '.join(endings)}: {take_its_rows} "
            f"takes the sample's, and `data.test_images: {template}` finds their images."
        )
    if {_stem(name) for name in distinct} == wanted:
        return (
            f" They are those of {data.test_csv} with an ending: {take_its_rows} takes the "
            f"sample's, and `data.test_images` finds their images without adding an ending."
        )
    if {_plain(name) for name in distinct} == {_plain(name) for name in wanted}:
        return (
            f" They differ in capitals, spaces or zeros in front only: {take_its_rows} takes the "
            "sample's, if images are called so."
        )
    if wanted < distinct:
        return (
            f" It has more rows than {data.test_csv}: {take_its_rows} takes the sample's, if there "
            "is an image for each."
        )
    return (
        f" If {data.test_csv} is of another test set, {take_its_rows} takes the sample's rows; if "
        f"its ids are written otherwise, save a sample with those of {data.test_csv} beside it and "
        "name it in `data.sample_submission`."
    )


def _is_long(given: list[str], wanted: set[str]) -> bool:
    """Return whether each id comes equally often, or as ID_CLASS: one row for each class."""
    known = wanted | {_stem(name) for name in wanted}
    heads = given
    if not set(given) <= known:
        heads = [re.sub(r"[ _:|-][^ _:|-]*$", "", name) for name in given]
    counts = pd.Series(heads).value_counts()
    return set(counts.index) <= known and bool(
        (counts == counts.iloc[0]).all() and counts.iloc[0] > 1
    )


def _plain(name: str) -> str:
    return name.strip().lower().lstrip("0")


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def other_id_column(
    rows: pd.DataFrame, key: str, data: Data, test: pd.DataFrame | None, shared: list[str]
) -> str:
    """Return what follows "no column": the column that seems to hold the ids, and what to do.

    Args:
        key: of the config, that names this CSV.
        test: rows of test.csv, where this is the sample and they have ids.
        shared: columns that every CSV has, and that differ in every row.
    """
    if shared:
        found = shared[0]
        return f" Every CSV has {found!r}, with another value in each row: say `data.id: {found}`."
    ids = set() if test is None else set(test[data.id])
    for name in rows.columns if ids else []:
        if find_long_sample(rows.rename(columns={name: data.id}), sorted(ids), data.id):
            return f" It has a row for each id and class: say `submission: {{id: {name}}}`."
        if _is_long(rows[name].tolist(), ids):
            return f" {_LONG}"
        of_test = test.get(name, pd.Series(dtype=str))
        if of_test.duplicated().any() and sorted(set(of_test)) == sorted(rows[name]):
            return (
                f" {data.test_csv} has {name!r} too, several rows of each: if their images get one "
                f"answer, say `data: {{id: {name}, rows: file}}`; each path in `data.train_images` "
                "and `data.test_images` then names a column that differs within them."
            )
    close = [name for name in rows.columns if name.lower().strip() == data.id.lower()]
    holding = [name for name in rows.columns if ids and set(rows[name]) == ids]
    unique = [name for name in rows.columns[:1] if not ids and rows[name].is_unique]
    if found := [*holding, *close, *unique]:
        if key == "data.sample_submission":
            return f" {found[0]!r} seems to be it: say `submission: {{id: {found[0]}}}`."
        copy = PurePath(getattr(data, key.removeprefix("data."))).with_suffix(".renamed.csv")
        return (
            f" {found[0]!r} seems to be it: ids have the same name in every CSV. Save a copy "
            f"beside it with {data.id!r} in its header, and say `{key}: {copy}`."
        )
    return ""
