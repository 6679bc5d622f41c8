"""extra.csv beside folds.csv: which training rows an extra row shows again, or shares a group with.

Where one of them is held out, the extra row is not learnt from (law 3).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.artifacts import fingerprint
from pipeline.errors import UserError


@dataclass(frozen=True)
class ExtraTies:
    """Pairs of an extra row and a training row.

    Attributes:
        extra: (T,) numbers of extra rows, from 0.
        train: (T,) positions of training rows.
    """

    extra: np.ndarray
    train: np.ndarray

    @property
    def digest(self) -> str:
        """Return the digest of all pairs."""
        return fingerprint(extra=self.extra.tolist(), train=self.train.tolist())

    def free_of(self, held_out: np.ndarray, num_extra: int) -> np.ndarray:
        """Return the extra rows that no training row held out (N,) is tied to."""
        tied = self.extra[held_out[self.train]]
        return np.setdiff1d(np.arange(num_extra), tied)

    def groups(self, groups: np.ndarray, num_extra: int) -> np.ndarray:
        """Return a group for each extra row: that of its first training row, or its own.

        Args:
            groups: (N,) of training rows.
        """
        found = np.array([f"extra {number}" for number in range(num_extra)], dtype=object)
        found[self.extra[::-1]] = groups[self.train[::-1]]
        return found


def ties_text(ties: ExtraTies, ids: np.ndarray) -> str:
    """Return the CSV: the number of an extra row and the id of a training row."""
    table = pd.DataFrame({"extra": ties.extra, "id": ids[ties.train]})
    return table.to_csv(index=False, lineterminator="\n")


def read_ties(path: Path, ids: np.ndarray) -> ExtraTies:
    """Read extra.csv.

    Raises:
        UserError: if it is not there, or not of these rows.
    """
    try:
        table = pd.read_csv(path, dtype={"extra": int, "id": str}, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not readable ({error}). Delete {path.with_name('meta.json')}, and run `make "
            "folds`."
        ) from None
    positions = pd.Index(ids).get_indexer(table["id"])
    if (positions < 0).any():
        raise UserError(f"{path}: of other training rows. Run `make folds`.")
    return ExtraTies(table["extra"].to_numpy(), positions)
