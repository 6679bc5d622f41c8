"""Predictions made elsewhere: oof.csv and test.csv of a folder, checked by the contract."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.competition import Competition
from pipeline.core.folds import FoldTable
from pipeline.core.predictions import Predictions
from pipeline.core.scale import to_scale
from pipeline.errors import UserError

log = logging.getLogger(__name__)

FILES = ("oof.csv", "test.csv")
MAX_ROUNDING = 0.01  # a row's probabilities may miss a sum of 1 by so much, and are divided by it


def read_external(
    folder: Path, competition: Competition, folds: FoldTable, *, meta: dict[str, Any]
) -> tuple[Predictions, Predictions]:
    """Out-of-fold predictions (N, C) and test predictions (K, N_test, C), all layers alike.

    Both files have the competition's id column and one column per class (or target, in its own
    unit). oof.csv may have a column `fold`, which must agree with folds.csv; without it, nothing
    can show that each row was predicted by a model that did not see it.

    Raises:
        UserError: a file, column or row is absent, a value is not what the task takes, or
            a row was held out in another fold.
    """
    found = {}
    for name, ids in zip(FILES, (competition.ids, competition.test_ids), strict=True):
        path = folder / name
        try:
            table = pd.read_csv(path, dtype={competition.data.id: str})
        except FileNotFoundError:
            raise UserError(f"{path}: not there. Put {' and '.join(FILES)} there.") from None
        except (ValueError, OSError) as error:
            raise UserError(f"{path}: not readable as a CSV ({error}).") from None
        values = _values(table, competition, path)
        given_ids = table[competition.data.id].to_numpy(dtype=str)
        given_folds = table["fold"].to_numpy() if "fold" in table and name == "oof.csv" else None
        one = Predictions(given_ids, values, competition.classes, given_folds, meta)
        found[name] = one.in_order_of(ids, where=str(path))
    oof, test = (found[name] for name in FILES)
    if oof.folds is None:
        log.warning(
            "%s has no column `fold`, so nothing shows that its rows were predicted by models that "
            "did not see them; if they were not, the estimate lies",
            folder / "oof.csv",
        )
    elif (wrong := np.flatnonzero(oof.folds != folds.folds)).size:
        raise UserError(
            f"{folder / 'oof.csv'}: {wrong.size} rows were held out in another fold than in "
            f"folds.csv, e.g. {oof.ids[wrong[:3]].tolist()}: their models may have seen rows that "
            "blends are scored on. Train it on this folds.csv, or replace folds.csv by its folds."
        )
    oof = Predictions(oof.ids, oof.values, oof.classes, folds.folds, meta)
    layers = np.repeat(test.values[None], folds.num_folds, axis=0)
    return oof, Predictions(test.ids, layers, test.classes, meta=meta)


def _values(table: pd.DataFrame, competition: Competition, path: Path) -> np.ndarray:
    """(n, C) of a table's class columns, checked."""
    wanted = [competition.data.id, *competition.classes]
    if absent := [column for column in wanted if column not in table]:
        raise UserError(
            f"{path}: no column {', '.join(absent)}; it has {', '.join(map(str, table))}. Expected "
            f"{', '.join(wanted)}."
        )
    try:
        values = table[list(competition.classes)].to_numpy(dtype=float)
    except ValueError as error:
        raise UserError(f"{path}: {error}; expected numbers.") from None
    if not np.isfinite(values).all():
        raise UserError(f"{path}: some cells are empty or not finite; expected a number in each.")
    task = competition.task
    if task.is_regression:
        return to_scale(values, competition.scale)
    if values.min() < 0 or values.max() > 1:
        raise UserError(
            f"{path}: values from {values.min():g} to {values.max():g}; expected probabilities."
        )
    if not task.has_one_class_per_row:
        return values
    sums = values.sum(1, keepdims=True)
    if np.abs(sums - 1).max() > MAX_ROUNDING:
        row = int(np.abs(sums - 1).argmax())
        raise UserError(
            f"{path}: row {row + 1} sums to {sums[row, 0]:g}; expected a {task.kind} task's "
            "probabilities, which sum to 1."
        )
    return values / sums
