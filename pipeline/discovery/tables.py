"""Which CSV is what: training rows, test rows, the sample, and others."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pandas as pd

from pipeline.core.image_files import UNREADABLE
from pipeline.discovery.files import Listing, read_table
from pipeline.discovery.image_names import ENOUGH, ImageNames, words_of

MAX_TABLES = 40
# Words in a CSV's name, the first role that has one of them is taken.
ROLE_WORDS = {
    "sample": ("sample", "submission", "submit"),
    "answers": ("solution", "answer", "truth", "secret"),
    "train": ("train", "label", "annotation"),
    "test": ("test", "holdout", "unlabel"),
}
ID_WORDS = ("id", "image", "file", "filename", "name", "path", "img", "photo", "picture", "uuid")
CONSTANT = 0.9  # share of a sample's cells that hold the most frequent value


@dataclass(frozen=True)
class Table:
    """A CSV.

    Attributes:
        image: the column that names images; empty where none does.
        share: of its cells that do.
        role: that its name speaks of; empty for none.
    """

    path: str
    rows: pd.DataFrame
    image: str = ""
    share: float = 0.0
    role: str = ""

    @property
    def columns(self) -> list[str]:
        """Return the names of its columns."""
        return list(self.rows.columns)

    def cells(self, column: str) -> set[str]:
        """Return the values of a column."""
        return set(self.rows[column])


@dataclass(frozen=True)
class Tables:
    """CSVs by what they are for.

    Attributes:
        certain: whether names or contents left no choice.
        samples: CSVs besides `sample` that are named like one.
        others: tables that are not used.
        notes: what a person should know about them.
    """

    train: Table | None = None
    test: Table | None = None
    sample: Table | None = None
    others: tuple[Table, ...] = ()
    certain: bool = True
    samples: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def find_tables(listing: Listing, names: ImageNames) -> Tables:
    """Read all CSVs and find out which is what."""
    notes: list[str] = []
    tables = _read_tables(listing, names, notes)
    sample, *more_samples = _find_samples(tables) or [None]
    rest = [table for table in tables if table is not sample and table.role != "answers"]
    train, certain = _find_train(rest, sample)
    rest = [table for table in rest if table is not train]
    if sample is None and train is not None:
        sample = _sample_by_content(rest, train)
    asked = [table for table in rest if table is not sample and table.role != "sample"]
    test = _find_test(asked, train, sample)
    used = (train, test, sample)
    others = tuple(table for table in tables if table not in used)
    notes += [_about_other(table, train) for table in others]
    return Tables(train, test, sample, others, certain, tuple(t.path for t in more_samples), notes)


def _read_tables(listing: Listing, names: ImageNames, notes: list[str]) -> list[Table]:
    """Read the CSVs that may be of use; add to `notes` why others are not."""
    tables = []
    for path in sorted(listing.tables, key=lambda path: (path.count("/"), path))[:MAX_TABLES]:
        rows, problem = read_table(listing, path)
        if rows is not None:
            table = _described(path, rows, names)
            if table.image and names.share_named(pd.Series([table.image])) == 1:
                begins = ", ".join(table.columns[:4])
                problem = f"its first line, {begins}, is no header; save a copy with one"
            elif _is_table(table):
                tables.append(table)
        if problem and not path.lower().endswith(".txt"):
            notes.append(f"{path} is not used: {problem}")
    if len(listing.tables) > MAX_TABLES:
        notes.append(f"{len(listing.tables) - MAX_TABLES} more CSVs were not looked at")
    return tables


def _described(path: str, rows: pd.DataFrame, names: ImageNames) -> Table:
    column, share = image_column(rows, names)
    name = PurePosixPath(path).stem.lower()
    role = next((role for role, words in ROLE_WORDS.items() if _any_in(words, name)), "")
    if not role:
        folder = PurePosixPath(path).parent.as_posix().lower()
        role = next((role for role, words in ROLE_WORDS.items() if _any_in(words, folder)), "")
    return Table(path, rows, column, share, role)


def image_column(rows: pd.DataFrame, names: ImageNames) -> tuple[str, float]:
    """Return the column that names images, and the share of its cells that do."""
    best, best_worth, best_share = "", 0.0, 0.0
    for column in rows.columns:
        if UNREADABLE & set(column):
            continue
        share = names.share_named(rows[column])
        # Labels that are numbers fit names by chance, where zeros and prefixes do not count.
        are_few = 2 * rows[column].nunique() < len(rows) and rows[column].str.isdecimal().all()
        if share < ENOUGH or (share < 1 and are_few):
            continue
        named = any(word in ID_WORDS for word in words_of(column))
        worth = share + 0.5 * rows[column].nunique() / len(rows) + 0.2 * named
        if worth > best_worth:
            best, best_worth, best_share = column, worth, share
    return best, best_share


def _any_in(words: Iterable[str], text: str) -> bool:
    return any(word in text for word in words)


def _is_table(table: Table) -> bool:
    """Return whether a file is a table of images, or named like one of the CSVs."""
    if table.image:
        return True
    is_text = table.path.lower().endswith(".txt")
    return bool(table.role) and len(table.columns) > 1 and not is_text


def _find_samples(tables: list[Table]) -> list[Table]:
    """Return the CSVs named like a sample, the likeliest first.

    A file of the competition says `sample`, lies near the root and repeats few values; submissions
    that somebody left there do not.
    """
    named = [table for table in tables if table.role == "sample" and len(table.columns) > 1]

    def rank(table: Table) -> tuple:
        name = PurePosixPath(table.path).name.lower()
        is_varied = _constancy(table.rows.drop(columns=table.columns[0])) < CONSTANT
        return "sample" not in name, is_varied, table.path.count("/"), table.path

    return sorted(named, key=rank)


def _find_train(rest: list[Table], sample: Table | None) -> tuple[Table | None, bool]:
    """Return the CSV of training rows, and whether there was no choice."""
    wanted = set(sample.columns[1:]) if sample else set()
    test_ids = sample.cells(sample.columns[0]) if sample else set()

    def worth(table: Table) -> tuple:
        is_test_set = bool(test_ids) and any(
            table.cells(column) == test_ids for column in table.columns
        )
        return (
            bool(table.image) and not is_test_set,
            table.role == "train",
            len(wanted & set(table.columns)) > 0,
            len(table.rows),
        )

    able = [t for t in rest if t.role != "test" and len(t.columns) > 1 and worth(t)[0]]
    if not able:
        return None, True
    ranked = sorted(able, key=worth, reverse=True)
    return ranked[0], len(ranked) == 1 or worth(ranked[0])[:3] > worth(ranked[1])[:3]


def _find_test(rest: list[Table], train: Table | None, sample: Table | None) -> Table | None:
    """Return the CSV of test rows: named so, or with the sample's ids."""
    ids = sample.cells(sample.columns[0]) if sample else set()
    for table in rest:
        same = bool(ids) and any(table.cells(column) == ids for column in table.columns)
        filled = sample is not None and same and _holds_answers(table, sample)
        if table.role == "test" and not filled:
            return table
        if same and not filled and table.role != "train":
            return table
    apart = [t for t in rest if t.image and train and not _shares_images(t, train) and not t.role]
    return apart[0] if len(apart) == 1 and sample is None else None


def _holds_answers(table: Table, sample: Table) -> bool:
    """Return whether a table has the sample's columns, with values of its own."""
    wanted = set(sample.columns[1:])
    if not wanted <= set(table.columns):
        return False
    return any(table.rows[column].nunique() > 1 for column in wanted)


def _sample_by_content(rest: list[Table], train: Table) -> Table | None:
    """Return the CSV of other images than train's whose cells hardly vary."""
    for table in rest:
        if table.role == "train" or len(table.columns) < 2 or _shares_images(table, train):
            continue
        if table.role == "test" and not set(train.columns) <= set(table.columns):
            continue  # its columns may hardly vary, but they are no targets
        cells = table.rows.drop(columns=table.image or table.columns[0])
        shared = set(cells.columns) <= set(train.columns) or len(cells.columns) > 1
        if shared and _constancy(cells) >= CONSTANT and len(cells) > 1:
            return table
    return None


def _constancy(cells: pd.DataFrame) -> float:
    """Return the share of the most frequent value, of the column where it is least."""
    return min(cells[name].value_counts(normalize=True).iloc[0] for name in cells)


def _shares_images(table: Table, other: Table) -> bool:
    if not table.image or not other.image:
        return False
    return len(table.cells(table.image) & other.cells(other.image)) > len(table.rows) / 2


def _about_other(table: Table, train: Table | None) -> str:
    """Describe a CSV that is not used."""
    if table.role == "answers":
        return f"{table.path} looks like answers and is not used"
    if train is not None and (
        keys := [c for c in table.columns if c in train.columns and table.cells(c) & train.cells(c)]
    ):
        extra = [column for column in table.columns if column not in train.columns]
        listed = ", ".join(extra[:4]) + (", ..." if len(extra) > 4 else "")
        if extra:
            return (
                f"{table.path} is not used; `data: {{join: {{{table.path}: {keys[0]}}}}}` joins "
                f"its columns ({listed}) to the rows of {train.path}"
            )
    return f"{table.path} is not used"
