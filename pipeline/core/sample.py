"""The sample in our words: columns named as train.csv names them, a row for each id."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from pipeline.config.schema import Data, Submission
from pipeline.core.long_forms import LongSample, find_long_sample
from pipeline.errors import did_you_mean


def with_our_names(rows: pd.DataFrame, data: Data, settings: Submission) -> pd.DataFrame:
    """Return a submission's rows with the names of train.csv."""
    return rows.rename(columns=_ours(data, settings))


def with_sample_names(table: pd.DataFrame, data: Data, settings: Submission) -> pd.DataFrame:
    """Return a submission's table with the names of the sample."""
    theirs = {ours: name for name, ours in _ours(data, settings).items()}
    return table.rename(columns=theirs)


def wrong_names(columns: list[str], data: Data, settings: Submission, path: Path) -> Iterator[str]:
    """Yield messages about `submission.id`, and columns of one name once they are renamed.

    Args:
        columns: of the sample, as they stand there.
    """
    if settings.id is not None and settings.id not in columns:
        near = did_you_mean(settings.id, columns, list_all=False) or "."
        yield f"{path}: no column {settings.id!r} (submission.id); it has {columns}{near}"
    ours = [_ours(data, settings).get(name, name) for name in columns]
    for name in dict.fromkeys(name for name in ours if ours.count(name) > 1):
        yield (
            f"{path}: `submission.id` and `submission.columns` give several columns the name "
            f"{name!r}; it has {columns}. Name the others, too."
        )


def unused_names(
    sample: pd.DataFrame | None, data: Data, settings: Submission, path: Path
) -> Iterator[str]:
    """Yield messages about names in `submission.columns` that a wide sample does not have."""
    if sample is None:
        return
    columns = list(with_sample_names(sample, data, settings).columns)
    for name, ours in settings.columns.items():
        if ours not in sample:
            near = did_you_mean(name, columns, list_all=False) or "."
            yield f"{path}: no column {name!r} (submission.columns); it has {columns}{near}"


def wide_sample(
    sample: pd.DataFrame | None, test: pd.DataFrame, data: Data, settings: Submission
) -> tuple[pd.DataFrame | None, LongSample | None]:
    """Return a sample with a row for each id, and how it is written where that is otherwise."""
    if sample is None or test is sample or data.id not in test:
        return sample, None
    ids = test[data.id].tolist()
    long = find_long_sample(sample, ids, data.id, partial=settings.rows == "sample")
    if long is not None:
        long = replace(long, classes=[settings.columns.get(name, name) for name in long.classes])
        return long.wide(data.id), long
    if settings.rows == "test" and data.id in sample:
        known = sample.drop_duplicates(data.id).set_index(data.id)
        sample = known.reindex(ids).fillna("").rename_axis(data.id).reset_index()[[*sample.columns]]
    return sample, None


def _ours(data: Data, settings: Submission) -> dict[str, str]:
    """Return our name of each column that the sample names otherwise."""
    return dict(settings.columns) | ({} if settings.id is None else {settings.id: data.id})
