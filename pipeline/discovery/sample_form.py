"""What the sample submission asks for: its column of ids, and what its other columns hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pipeline.core.labels import JOINTS, labels_in, match_columns
from pipeline.discovery.image_names import ENOUGH, ImageNames
from pipeline.discovery.tables import Table

Holds = Literal["nothing", "words", "whole", "fractions", "lists"]
JOINED = r"[ _:|-][^ _:|-]*$"  # the class in an id such as a1_cat


@dataclass(frozen=True)
class SampleForm:
    """Columns of a sample.

    Attributes:
        id: its column of ids; empty without a sample.
        columns: those beside it.
        holds: what the cells of a single column hold.
        number: of labels in each cell, where all hold as many; else 1.
        is_long: a row for each image and class.
        joint: separator of labels in a cell.
    """

    id: str = ""
    columns: tuple[str, ...] = ()
    holds: Holds = "nothing"
    number: int = 1
    is_long: bool = False
    joint: str = " "

    @property
    def column(self) -> str:
        """Return the only column beside the id; empty where there are several."""
        return self.columns[0] if len(self.columns) == 1 else ""


def find_form(sample: Table | None, train: Table | None, names: ImageNames) -> SampleForm:
    """Find what a sample's columns are."""
    if sample is None:
        return SampleForm()
    rows = sample.rows
    column = _id_column(sample, train)
    others = tuple(name for name in rows.columns if name != column)
    heads = rows[column].str.replace(JOINED, "", regex=True)
    repeated = rows[column].duplicated().any()
    joined = heads.duplicated().any() and not repeated
    joined = joined and names.share_named(rows[column]) < ENOUGH <= names.share_named(heads)
    if repeated or joined:
        return SampleForm(column, others, is_long=True)
    if len(others) != 1:
        return SampleForm(column, others)
    labels = _labels_of(train)
    holds, joint, number = _held(rows[others[0]], labels)
    return SampleForm(column, others, holds, number, joint=joint)


def _id_column(sample: Table, train: Table | None) -> str:
    """Return the column of ids: the one that names images, or stands in train, or the first."""
    if sample.image:
        return sample.image
    shared = [name for name in sample.columns if train and name in train.columns]
    unique = [name for name in shared if sample.rows[name].is_unique]
    return unique[0] if unique else sample.columns[0]


def _labels_of(train: Table | None) -> set[str]:
    return (
        set() if train is None else {cell for name in train.columns for cell in train.cells(name)}
    )


def _held(cells: pd.Series, known: set[str]) -> tuple[Holds, str, int]:
    """Return what a column's cells hold, the separator of lists, and their number of labels."""
    values = [cell for cell in cells.unique() if cell.strip()]
    numbers = pd.to_numeric(pd.Series(values, dtype=str), errors="coerce")
    if not values:
        return "nothing", " ", 1
    if numbers.notna().all():
        return ("fractions" if (numbers % 1 != 0).any() else "whole"), " ", 1
    if not set(values) <= known and (found := _listed(values)):
        return "lists", *found
    return "words", " ", 1


def _listed(values: Sequence[str]) -> tuple[str, int] | None:
    """Return the separator of cells that are lists of several labels, and how many each has."""
    for joint in JOINTS:
        counts = {len([part for part in cell.split(joint) if part.strip()]) for cell in values}
        if max(counts) > 1 and len(labels_in(values, joint)) > 1:
            return joint, counts.pop() if len(counts) == 1 else 1
    return None


def columns_per_class(form: SampleForm, classes: Sequence[str]) -> bool:
    """Return whether the sample has a column for each of these classes, or for most of them."""
    if len(form.columns) < 2:
        return False
    matched = match_columns(form.columns, classes)
    return matched is not None and len(matched) == len(form.columns)


def long_labels(form: SampleForm, sample: Table) -> set[str]:
    """Return the labels that the rows of a long sample name."""
    ids = sample.rows[form.id]
    if ids.is_unique:
        return {found[0][1:] for cell in ids if (found := re.search(JOINED, cell))}
    texts = [name for name in form.columns if sample.rows[name].nunique() > 1]
    return sample.cells(texts[0]) if texts else set()
