"""Which columns say more than the target: groups, metadata, dates, and groups within ids."""

import re
import warnings

import pandas as pd

from pipeline.discovery.guess import Guess
from pipeline.discovery.image_names import words_of
from pipeline.discovery.tables import Table

# Words in the name of a column whose rows belong together.
GROUP_WORDS = {"patient", "subject", "person", "signer", "site", "hospital", "scene", "session"}
GROUP_WORDS |= {
    "video",
    "series",
    "study",
    "user",
    "author",
    "location",
    "camera",
    "group",
    "slide",
}
GROUP_WORDS |= {"plate", "experiment", "participant", "animal", "plant", "tree", "field", "house"}
GROUP_WORDS |= {"owner", "clip", "sequence", "case", "individual", "donor", "institution", "batch"}
DATE_WORDS = {"date", "time", "timestamp", "datetime", "day", "month", "year", "created", "taken"}
DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([ T]\d{1,2}:\d{2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*"
)
FEWEST_GROUPS = 10  # fewer leave folds of very different sizes
MOST_CATEGORIES = 50
SHOWN = 6
ID_GROUP = re.compile(r"(.*[^_\-.\s])[_\-.\s]+[^_\-.\s]+")  # p01 in p01_03


def find_columns(
    train: Table, test: Table | None, sample: Table | None, targets: list[str], key: str
) -> dict[str, Guess]:
    """Decide on the keys of `data` that name further columns."""
    rows = train.rows
    used = {key, train.image, *targets}
    others = [name for name in train.columns if name not in used]
    decisions = {}
    groups = [name for name in others if _may_group(rows[name]) and not _is_date(name, rows[name])]
    named = [name for name in groups if GROUP_WORDS & set(words_of(name))]
    if group := _group(rows, groups, named):
        decisions["data.group"] = group
    elif prefix := _group_in_ids(rows[key]):
        decisions["data.group"] = prefix
    chosen = decisions.get("data.group", Guess(None, "sure", "")).value
    has_metadata = test is not None and test is not sample
    shared = [name for name in others if has_metadata and name in test.columns and name != chosen]
    numeric, categorical, dates = [], [], []
    for name in shared:
        if _is_date(name, rows[name]):
            dates.append(name)
        elif _are_numbers(rows[name], test.rows[name]):
            numeric.append(name)
        elif 1 < rows[name].nunique() <= MOST_CATEGORIES and name not in named:
            categorical.append(name)
    of_both = f"in {train.path} and {test.path}" if has_metadata else ""
    if numeric:
        decisions["data.numeric"] = Guess(numeric, "likely", f"numbers {of_both}")
    if categorical:
        decisions["data.categorical"] = Guess(categorical, "likely", f"few values, {of_both}")
    decisions |= _hints(train, others, [*numeric, *categorical, *groups], dates)
    return decisions


def _group(rows: pd.DataFrame, groups: list[str], named: list[str]) -> Guess | None:
    """Return the column of groups: one named like it, or candidates as a comment."""
    if named:
        best = max(named, key=lambda name: rows[name].nunique())
        number = rows[best].nunique()
        others = [n for n in groups if n != best and rows[n].nunique() >= FEWEST_GROUPS]
        others = tuple(n for n in others if not _are_numbers(rows[n], rows[n]))[:SHOWN]
        if number >= FEWEST_GROUPS:
            reason = f"{number:,} groups stay whole in a fold, as if the test had new ones"
            return Guess(best, "likely", reason, others)
    texts = [n for n in groups if rows[n].nunique() >= FEWEST_GROUPS and n not in named]
    candidates = tuple([*named, *(n for n in texts if not _are_numbers(rows[n], rows[n]))][:SHOWN])
    if candidates:
        reason = "rows of one value stay in one fold: right where the test has new values"
        return Guess(None, "a guess", reason, candidates)
    return None


def _group_in_ids(ids: pd.Series) -> Guess | None:
    """Return a comment on ids that begin with what may be a group."""
    heads = ids.str.extract(ID_GROUP, expand=False)
    number = heads.nunique()
    is_grouped = heads.notna().all() and FEWEST_GROUPS <= number <= len(ids) / 2
    if not is_grouped:
        return None
    return Guess(
        None,
        "a guess",
        f"ids such as {ids.iloc[0]} may begin with a group ({number:,} of them): write a copy of "
        "the CSV with a column of it",
        ("COLUMN",),
    )


def _may_group(cells: pd.Series) -> bool:
    """Return whether values repeat, and not by the hundred as of a category."""
    number = cells[cells.str.strip() != ""].nunique()
    return 1 < number <= len(cells) / 1.5


def _are_numbers(cells: pd.Series, others: pd.Series) -> bool:
    """Return whether columns hold numbers or blanks, of three values or more."""
    filled = pd.concat([cells, others])
    filled = filled[filled.str.strip() != ""]
    numbers = pd.to_numeric(filled, errors="coerce")
    is_finite = numbers.notna() & (numbers.abs() < float("inf"))
    return cells.nunique() > 2 and len(filled) > 0 and bool(is_finite.all())


def _is_date(name: str, cells: pd.Series) -> bool:
    filled = cells[cells.str.strip() != ""]
    if not len(filled):
        return False
    like_dates = filled.iloc[:100].str.fullmatch(DATE).mean() > 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = pd.to_datetime(filled.iloc[:100], errors="coerce").notna().all()
    is_named = bool(DATE_WORDS & set(words_of(name)))
    return like_dates or (is_named and parsed and not _are_numbers(filled, filled))


def _hints(train: Table, others: list[str], used: list[str], dates: list[str]) -> dict[str, Guess]:
    """Return comments on dates and on columns that are not used."""
    hints = {}
    dates = list(dict.fromkeys([*dates, *(n for n in others if _is_date(n, train.rows[n]))]))
    if dates:
        hints["data.dates"] = Guess(
            None,
            "a guess",
            f"{_listed(dates)}: dates are not read; save a part such as the month as a number in a "
            "copy. A test of later dates is harder than the folds",
        )
    unused = [name for name in others if name not in used and name not in dates]
    if unused:
        hints["data.unused"] = Guess(
            None,
            "likely",
            f"not used, as test rows lack them or they hardly vary: {_listed(unused)}",
        )
    return hints


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
