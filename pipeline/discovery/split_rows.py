"""Whether one CSV holds training and test rows, and which column tells them apart."""

from dataclasses import replace

from pipeline.discovery.guess import Guess
from pipeline.discovery.tables import Table, Tables
from pipeline.discovery.target import parts_splits

TEST_WORDS = ("test", "testing")


def part_tables(tables: Tables) -> tuple[Tables, Guess | None]:
    """Return the tables with test rows apart, and the decision on `data.split`; None for none."""
    train = tables.train
    if train is None or tables.test is not None:
        return tables, None
    for column in train.columns:
        values = sorted(train.cells(column))
        of_test = [value for value in values if value.strip().lower() in TEST_WORDS]
        of_train = [value for value in values if value not in of_test]
        if not (parts_splits(train.rows[column]) and of_test and of_train):
            continue
        is_test = train.rows[column].isin(of_test)
        counts = f"{(~is_test).sum():,} training rows, {is_test.sum():,} test rows"
        split = {"column": column, "train": of_train, "test": of_test}
        apart = replace(
            tables,
            train=_of(train, ~is_test),
            test=replace(_of(train, is_test), role="test"),
        )
        return apart, Guess(split, "likely", f"`{column}` says which rows are for what: {counts}")
    return tables, None


def _of(table: Table, rows: object) -> Table:
    return replace(table, rows=table.rows[rows].reset_index(drop=True))
