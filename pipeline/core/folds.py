"""folds.csv: which fold holds out each training row. Written once; a user may replace it.

groups.csv beside it lists what must stay together (groups, copies, scenes), so that a user's
folds.csv without a group column does not lose it.

Rows may be split several times: R repeats of K folds. A member then has R * K models, and model
r * K + k did not see the rows that repeat r has in fold k. A model of all rows depends on the first
repeat only, so that more repeats do not change it.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.artifacts import fingerprint
from pipeline.errors import UserError

GROUPS = "groups.csv"
ALL_ROWS = -1  # in place of a fold: nothing is held out; for test rows alone, never scored


@dataclass(frozen=True)
class FoldTable:
    """Folds joined to the competition's training rows by id.

    Attributes:
        repeats: (R, N) 0..K-1.
        groups: (N,) what was kept together; rows without a group have their own id.
        digests: R, each of ids and one repeat's folds, in the order of training rows.
    """

    repeats: np.ndarray
    groups: np.ndarray
    digests: tuple[str, ...]

    @property
    def folds(self) -> np.ndarray:
        """Return (N,) the first repeat's folds, which scores and blends use."""
        return self.repeats[0]

    @property
    def digest(self) -> str:
        """Return the digest of all repeats; of a single one, its own."""
        return self.digests[0] if self.num_repeats == 1 else fingerprint(repeats=self.digests)

    @cached_property
    def groups_digest(self) -> str | None:
        """Return the digest of which rows are kept together; None if each is alone."""
        numbers = pd.factorize(self.groups)[0]
        return None if numbers.max() + 1 == len(numbers) else fingerprint(groups=numbers.tolist())

    @property
    def num_folds(self) -> int:
        """Return K."""
        return int(self.folds.max()) + 1

    @property
    def num_repeats(self) -> int:
        """Return R."""
        return len(self.repeats)

    @property
    def models(self) -> range:
        """Return the numbers of a member's models, those of the first repeat first."""
        return range(self.num_repeats * self.num_folds)

    def models_in(self, repeat: int) -> range:
        """Return the numbers of one repeat's models."""
        return self.models[repeat * self.num_folds :][: self.num_folds]

    def repeat_of(self, model: int) -> int:
        """Return the repeat that a model belongs to; 0 for a model of all rows."""
        return 0 if model == ALL_ROWS else model // self.num_folds

    def digest_of(self, model: int) -> str:
        """Return the digest of a model's repeat."""
        return self.digests[self.repeat_of(model)]

    def held_out(self, model: int) -> np.ndarray:
        """Return (N,) whether a model does not see a row; a model of all rows sees each."""
        if model == ALL_ROWS:
            return np.zeros(len(self.folds), dtype=bool)
        return self.repeats[self.repeat_of(model)] == model % self.num_folds


def folds_text(ids: np.ndarray, repeats: np.ndarray, groups: np.ndarray) -> str:
    """Return the CSV: id, fold, fold_2 ... fold_R, group of each row; of repeats (R, N) or (N,)."""
    folds = {_column(repeat): folds for repeat, folds in enumerate(np.atleast_2d(repeats))}
    table = pd.DataFrame({"id": ids, **folds, "group": groups})
    return table.to_csv(index=False, lineterminator="\n")


def groups_text(ids: np.ndarray, groups: np.ndarray) -> str:
    """Return the CSV: id and group of each row."""
    return pd.DataFrame({"id": ids, "group": groups}).to_csv(index=False, lineterminator="\n")


def read_folds(path: Path, ids: np.ndarray) -> FoldTable:
    """Read folds.csv and join it to `ids` (N,); without a column `group`, groups.csv beside it.

    Raises:
        UserError: for a missing file or column, ids that are not the training rows', folds that
            are not 0..K-1 with K of 2 or more, the same K in each repeat.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Run `make folds` first.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not readable as CSV: {error}. Delete it to make it anew."
        ) from None
    num_repeats = 1 + sum(bool(re.fullmatch(r"fold_\d+", name)) for name in table.columns)
    columns = [_column(repeat) for repeat in range(num_repeats)]
    if absent := {"id", *columns} - set(table.columns):
        raise UserError(
            f"{path}: no column {sorted(absent)}; it needs id and fold, may have group, and for "
            "further repeats fold_2, fold_3 ... without gaps."
        )
    missing, unknown = set(ids.tolist()) - set(table["id"]), set(table["id"]) - set(ids.tolist())
    if missing or unknown or table["id"].duplicated().any():
        raise UserError(
            f"{path}: its ids are not the training rows': {len(missing)} missing "
            f"{sorted(missing)[:3]}, {len(unknown)} unknown {sorted(unknown)[:3]}, "
            f"{int(table['id'].duplicated().sum())} repeated. Delete it to make it anew."
        )
    table = table.set_index("id").loc[ids]
    repeats = np.stack([_numbers(table[column], path) for column in columns])
    if len(counts := set((repeats.max(axis=1) + 1).tolist())) > 1:
        raise UserError(
            f"{path}: repeats of {sorted(counts)} folds; all of {', '.join(columns)} must have as "
            "many. Correct it, or delete it to make it anew."
        )
    if "group" not in table and path.with_name(GROUPS).exists():
        known = pd.read_csv(path.with_name(GROUPS), dtype=str, keep_default_na=False)
        table = table.join(known.set_index("id"))
    groups = (table["group"].fillna("") if "group" in table else pd.Series(ids)).to_numpy(dtype=str)
    return FoldTable(
        repeats=repeats,
        groups=np.where(groups == "", ids, groups),
        digests=tuple(fingerprint(ids=ids.tolist(), folds=folds.tolist()) for folds in repeats),
    )


def _column(repeat: int) -> str:
    return "fold" if repeat == 0 else f"fold_{repeat + 1}"


def _numbers(column: pd.Series, path: Path) -> np.ndarray:
    """Return one repeat's folds (N,), checked."""
    numbers = pd.to_numeric(column, errors="coerce")
    found = sorted(set(numbers.dropna().tolist()))
    if numbers.isna().any() or found != list(range(len(found))) or len(found) < 2:
        raise UserError(
            f"{path}: folds must be 0, 1, ... K-1 without gaps, K at least 2; "
            f"found {sorted(column.unique())[:8]} in column {column.name}. Correct it, or delete "
            "it to make it anew."
        )
    return numbers.to_numpy(dtype=int)


def model_name(fold: int) -> str:
    """Return a model's name for messages."""
    return "all rows" if fold == ALL_ROWS else f"fold {fold}"
