"""folds.csv: which fold holds each training row out. Written once; a person may replace it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.errors import UserError
from pipeline.core.artifacts import fingerprint

ALL_ROWS = -1  # in place of a fold: nothing is held out; for test rows alone, never scored


@dataclass(frozen=True)
class FoldTable:
    """Folds joined to the competition's training rows by id.

    Attributes:
        folds: (N,) 0..K-1.
        groups: (N,) what was kept together; rows without a group have their own id.
        digest: of ids and folds, in the order of training rows.
    """

    folds: np.ndarray
    groups: np.ndarray
    digest: str

    @property
    def num_folds(self) -> int:
        """K."""
        return int(self.folds.max()) + 1


def folds_text(ids: np.ndarray, folds: np.ndarray, groups: np.ndarray) -> str:
    """The CSV: id, fold and group of each row."""
    table = pd.DataFrame({"id": ids, "fold": folds, "group": groups})
    return table.to_csv(index=False, lineterminator="\n")


def read_folds(path: Path, ids: np.ndarray) -> FoldTable:
    """Read folds.csv and join it to `ids` (N,).

    Raises:
        UserError: for a missing file or column, ids that are not the training rows', folds that
            are not 0..K-1 with K of 2 or more.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path}: not there. Run `make folds` first.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not readable as CSV: {error}. Delete it to make it anew."
        ) from None
    if absent := {"id", "fold"} - set(table.columns):
        raise UserError(
            f"{path}: no column {sorted(absent)}; it needs id and fold, may have group."
        )
    missing, unknown = set(ids.tolist()) - set(table["id"]), set(table["id"]) - set(ids.tolist())
    if missing or unknown or table["id"].duplicated().any():
        raise UserError(
            f"{path}: its ids are not the training rows': {len(missing)} missing "
            f"{sorted(missing)[:3]}, {len(unknown)} unknown {sorted(unknown)[:3]}, "
            f"{int(table['id'].duplicated().sum())} repeated. Delete it to make it anew."
        )
    table = table.set_index("id").loc[ids]
    numbers = pd.to_numeric(table["fold"], errors="coerce")
    found = sorted(set(numbers.dropna().tolist()))
    if numbers.isna().any() or found != list(range(len(found))) or len(found) < 2:
        raise UserError(
            f"{path}: folds must be 0, 1, ... K-1 without gaps, K at least 2; "
            f"found {sorted(table['fold'].unique())[:8]}. Mend it, or delete it to make it anew."
        )
    folds = numbers.to_numpy(dtype=int)
    groups = (table["group"] if "group" in table else pd.Series(ids)).to_numpy(dtype=str)
    digest = fingerprint(ids=ids.tolist(), folds=folds.tolist())
    return FoldTable(folds=folds, groups=np.where(groups == "", ids, groups), digest=digest)
