"""Metadata columns of the CSVs, encoded for learners."""

import numpy as np
import pandas as pd

from pipeline.core.competition import Competition


def encode_metadata(competition: Competition, *, held_out: np.ndarray) -> np.ndarray | None:
    """Encode numeric columns to [-1, 1] and categorical ones one-hot: train, test, extra rows.

    Range and categories are those of training rows that are not `held_out` (positions), so that
    nothing is learnt from those (law 3). A blank number becomes 0, the middle of the
    range; a number beyond the range is clipped; an unknown category is a row of zeros.

    Returns:
        (N_train + N_test + E, P), or None where the config names no columns.
    """
    data = competition.data
    if not data.numeric and not data.categorical:
        return None
    fitted_on = np.setdiff1d(np.arange(len(competition.ids)), held_out)
    columns = [*data.numeric, *data.categorical]
    tables = [competition.train, competition.test, *(extra.table for extra in competition.extra)]
    cells = pd.concat([table[columns] for table in tables], ignore_index=True)
    encoded = []
    for column in data.numeric:
        numbers = pd.to_numeric(cells[column], errors="coerce").to_numpy(dtype=float)
        known = numbers[fitted_on][~np.isnan(numbers[fitted_on])]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        scaled = (numbers - low) / ((high - low) or 1.0) * 2 - 1
        encoded.append(np.nan_to_num(scaled.clip(-1, 1), nan=0.0)[:, None])
    for column in data.categorical:
        categories = np.unique(cells[column].to_numpy(dtype=str)[fitted_on])
        encoded.append((cells[column].to_numpy(dtype=str)[:, None] == categories).astype(float))
    return np.concatenate(encoded, axis=1)
