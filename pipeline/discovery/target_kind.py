"""What kind of target a column holds: classes, ordered levels, numbers, or lists of labels."""

from collections.abc import Collection
from typing import get_args

import numpy as np
import pandas as pd

from pipeline.config.schema import Kind
from pipeline.core.labels import JOINTS, likely_separator
from pipeline.core.targets import TRUTH_VALUES
from pipeline.discovery.guess import Guess, counted
from pipeline.discovery.image_names import words_of
from pipeline.discovery.sample_form import SampleForm

# Words in a column's name that tell integers apart: levels in order, amounts, names of classes.
ORDERED = {"grade", "grading", "level", "severity", "stage", "rating", "quality", "degree", "isup"}
ORDERED |= {"diagnosis", "rank", "kl", "birads", "maturity"}
AMOUNTS = {"age", "count", "counts", "number", "num", "price", "weight", "height", "width", "area"}
AMOUNTS |= {"length", "size", "popularity", "pawpularity", "amount", "angle", "distance", "year"}
AMOUNTS |= {"temperature", "percent", "percentage", "ratio", "probability", "density", "depth"}
AMOUNTS |= {"biomass", "yield", "volume", "speed", "time", "months", "days", "score", "value"}
NAMES = {"label", "labels", "class", "classes", "category", "species", "breed", "type", "digit"}
NAMES |= {"identity", "individual", "genus", "family", "kind", "variety", "brand", "cultivar"}
NAMES |= {"id", "landmark", "hotel", "whale", "character", "letter", "symbol", "gesture"}
SEPARATING = ("|", ";", ",")  # seldom in the name of a class
FEW_LEVELS = 7  # integers 0 to 6 may well be an order
FEW_NUMBERS = 10  # different fractions may be levels
MANY_ROWS = 5  # rows that each of a few levels has on average, at least


def find_kind(name: str, cells: pd.Series, form: SampleForm, per_class: bool) -> Guess:
    """Find the kind of a single column.

    Args:
        name: of the column.
        per_class: whether the sample has a column for each of its values.
    """
    values = {cell for cell in cells.unique() if cell.strip()}
    numbers = pd.to_numeric(pd.Series(sorted(values), dtype=str), errors="coerce")
    if not values:
        return Guess("multiclass", "a guess", f"`{name}` is empty")
    if numbers.notna().all() and not values <= set(TRUTH_VALUES):
        return _of_numbers(name, numbers.sort_values().to_numpy(), len(cells), form, per_class)
    if _have_commas(values):
        reason = "numbers with commas: save a copy with points, and name it in data.train_csv"
        other = "multilabel, if commas separate labels"
        return Guess("regression", "a guess", reason, (other,))
    if joint := separator_of(cells, form):
        return Guess(
            "multilabel",
            "likely",
            f"cells of `{name}` are lists, separated by {joint!r}",
            ("multiclass, if each cell is one label",),
        )
    if joint := next((joint for joint in SEPARATING if any(joint in v for v in values)), ""):
        reason = f"{len(values):,} values: {_few(values)}"
        other = f"multilabel, if {joint!r} separates labels: then task.separator is {joint!r}"
        return Guess("multiclass", "a guess", reason, (other,))
    if len(values) > max(len(cells) / 2, 2):
        return Guess("multiclass", "a guess", f"{len(values):,} values in {len(cells):,} rows")
    if len(values) == 2 and not per_class:
        return Guess("binary", "sure", f"two values: {_few(values)}")
    certainty = "sure" if len(values) > 1 else "a guess"
    return Guess("multiclass", certainty, f"{counted(len(values), 'value')}: {_few(values)}")


def separator_of(cells: pd.Series, form: SampleForm) -> str | None:
    """Return the separator of a column's labels, where cells are lists of them."""
    if joint := likely_separator(cells.unique(), None):
        return joint
    values = [cell for cell in cells.unique() if cell.strip()]
    for joint in JOINTS:  # few labels make many combinations; words of a name seldom do
        parts = {part for cell in values for part in cell.split(joint)}
        enough = len(parts) + 1 if "|" in joint else 2 * len(parts)  # no name of a class has a bar
        if any(joint in cell for cell in values) and enough <= len(values):
            return joint
    labels = {label for cell in values for label in cell.split(form.joint)}
    listed = form.holds == "lists" and form.number == 1
    return form.joint if listed and len(labels) < len(values) else None


def _have_commas(values: Collection[str]) -> bool:
    """Return whether values are numbers, and most are written with a comma in place of a point."""
    points = pd.Series(sorted(values), dtype=str).str.replace(",", ".")
    are_numbers = pd.to_numeric(points, errors="coerce").notna().all()
    return bool(are_numbers) and 2 * sum("," in cell for cell in values) > len(values)


def _of_numbers(
    name: str, values: np.ndarray, rows: int, form: SampleForm, per_class: bool
) -> Guess:
    """Return the kind of a column of numbers, given its different values, ascending."""
    words, number = set(words_of(name)), len(values)
    are_whole = bool((values % 1 == 0).all())
    span = f"{values[0]:g} to {values[-1]:g}"
    if number == 1:
        return Guess("binary", "a guess", f"one value only: {values[0]:g}")
    if number == 2 and not per_class:
        return Guess("binary", "sure", f"two values: {values[0]:g} and {values[1]:g}")
    if per_class or form.number > 1:
        what = "the sample has a column per value" if per_class else "the sample lists labels"
        return Guess("multiclass", "sure", f"{number} numbers as labels: {what}")
    if not are_whole:
        if number <= FEW_NUMBERS and rows >= MANY_ROWS * number:
            return Guess(
                "ordinal",
                "likely",
                f"{number} numbers, {span}, are levels",
                ("regression, if values between them are meant",),
            )
        return Guess("regression", "sure", f"{number:,} numbers, {span}")
    levels = f"{number:,} whole numbers, {span}"
    gapless = number == values[-1] - values[0] + 1 and values[0] in (0, 1)
    ordinal = ("ordinal, if they are in order (then 4 is nearer to 3 than to 0)",)
    classes = ("multiclass, if they are names of classes in no order",)
    if words & NAMES and number * 2 <= rows:
        sure = number > FEW_LEVELS or form.holds == "fractions"
        return Guess("multiclass", "likely" if sure else "a guess", levels, ordinal)
    if words & ORDERED and number <= 2 * FEW_LEVELS:
        return Guess("ordinal", "likely", f"{levels}, in order", classes)
    if words & AMOUNTS or form.holds == "fractions":
        if number <= FEW_LEVELS and gapless:
            return Guess("ordinal", "a guess", levels, ("regression", *classes))
        return Guess("regression", "likely", levels, classes)
    if number <= FEW_LEVELS and gapless:
        return Guess("ordinal", "a guess", levels, classes)
    if gapless and rows >= 2 * number:  # amounts leave gaps where they are rare
        return Guess("multiclass", "a guess", levels, ("regression, if they are amounts",))
    return Guess("regression", "a guess", levels, classes)


def kind_of_columns(train: pd.DataFrame, columns: list[str]) -> Guess:
    """Find the kind of several target columns."""
    flags = train[columns].replace(TRUTH_VALUES)
    if set(flags.to_numpy().ravel()) <= {"0", "1", "0.0", "1.0"}:
        ones = flags.astype(float).to_numpy().sum(axis=1)
        if (ones == 1).all():
            return Guess(
                "multiclass",
                "likely",
                "columns of 0 and 1, one 1 in each row",
                ("multilabel, if a row may have several",),
            )
        return Guess("multilabel", "sure", f"columns of 0 and 1, up to {ones.max():.0f} per row")
    if train[columns].apply(pd.to_numeric, errors="coerce").notna().all(axis=None):
        return Guess("regression", "sure", f"{len(columns)} columns of numbers")
    return Guess("multilabel", "a guess", "columns hold neither 0 and 1 nor numbers throughout")


def fitting_kind(kind: Guess, allowed: Collection[str], cells: pd.Series | None) -> Guess | None:
    """Return a kind that a metric takes and a column may be of; None where there is none."""
    if kind.value in allowed:
        return kind
    named = [text.partition(",")[0] for text in kind.alternatives]
    if cells is not None and pd.to_numeric(cells, errors="coerce").notna().all():
        named += ["ordinal", "regression"] if cells.nunique() <= FEW_NUMBERS else ["regression"]
        named += ["multiclass"] if 2 * cells.nunique() <= len(cells) else []
    if kind.value == "binary":
        named += ["multiclass"]
    for other in named:
        if other in allowed and other in get_args(Kind):
            return Guess(other, "likely", f"the metric is of {other} tasks; {kind.reason}")
    return None


def _few(values: Collection[str]) -> str:
    shown = sorted(values)[:3]
    return ", ".join(shown) + (", ..." if len(values) > 3 else "")
