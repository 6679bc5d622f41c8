"""Labels in several spellings: in the sample's cells, as names of columns, several in a cell."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import takewhile

JOINTS = (", ", "; ", " | ", ",", ";", "|", "/", "+", "&", " ")  # of equals, the first
AFFIX = "p|prob|proba|probability|pred|predicted|prediction|is|has|class|label|target|score"
NAMED = (rf"(?i:{AFFIX})[ _.-]+(.+)", rf"(.+?)[ _.-]+(?i:{AFFIX})")  # p_cat, cat_prob


def spelling(names: Sequence[str], cells: Collection[str]) -> tuple[str, ...]:
    """Return each name as the cells spell it: `0.0` as `0`, `no` as `No`; unchanged if none does.

    The most frequent spelling is taken; different names stay different.
    """
    present = set(cells)
    best = tuple(names)
    for style in _styles(present):
        try:
            written = tuple(style(name) for name in names)
        except (ValueError, KeyError, OverflowError):
            continue  # this name cannot be written so
        is_better = len(present.intersection(written)) > len(present.intersection(best))
        if is_better and len(set(written)) == len(set(names)):
            best = written
    return best


def _styles(cells: set[str]) -> Iterator[Callable[[str], str]]:
    yield from (_whole, _with_point, str.lower, str.upper, str.capitalize, str.title)
    yield from (_underscored, lambda name: _underscored(name).lower(), _spaced)
    for no, yes in (("0", "1"), ("False", "True"), ("false", "true"), ("FALSE", "TRUE")):
        yield {"false": no, "true": yes, "0": no, "1": yes, "0.0": no, "1.0": yes}.__getitem__
        yield lambda name, no=no, yes=yes: {"false": no, "true": yes}[name.lower()]
    widths = {len(cell) for cell in cells if cell.isdecimal()}
    if len(widths) == 1:
        yield lambda name: _whole(name).zfill(*widths)


def _whole(name: str) -> str:
    number = float(name)
    if not number.is_integer():
        raise ValueError(name)
    return str(int(number))


def _with_point(name: str) -> str:
    return f"{int(_whole(name))}.0"


def _underscored(name: str) -> str:
    return name.replace(" ", "_")


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def match_columns(columns: Sequence[str], names: Sequence[str]) -> dict[str, int] | None:
    """Return the position of each column's name, in any spelling, or with `class_` before it.

    Returns:
        None if a column has no name, or two have the same. If a prefix or suffix is cut off, all
        names must have a column; a single column may only have a usual one (`p_`, `_prob`).
    """
    for cut in _cuts(columns):
        position = {name: index for index, name in enumerate(spelling(names, cut))}
        complete = len(columns) in (1, len(names)) or list(cut) == list(columns)
        if complete and len(set(cut)) == len(cut) and set(cut) <= set(position):
            return {column: position[name] for column, name in zip(columns, cut, strict=True)}
    return None


def named_like(column: str, names: Sequence[str]) -> str | None:
    """Return the name of a single column, see `match_columns`."""
    matched = match_columns([column], names)
    return names[matched[column]] if matched else None


def _cuts(columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the columns, then the columns without their common prefix and suffix."""
    yield list(columns)
    if len(columns) == 1:
        found = (re.fullmatch(pattern, columns[0]) for pattern in NAMED)
        yield from ([match[1]] for match in found if match)
        return
    front = _num_shared(columns)
    behind = _num_shared([column[::-1] for column in columns])
    for start in range(front + 1):
        for end in range(behind + 1):
            cut = [column[start : len(column) - end] for column in columns]
            if all(cut):
                yield cut


def _num_shared(texts: Sequence[str]) -> int:
    """Return the length of the common prefix."""
    same = (len(set(characters)) == 1 for characters in zip(*texts, strict=False))
    return sum(1 for _ in takewhile(bool, same))


def labels_in(cells: Iterable[str], separator: str) -> set[str]:
    """Return all labels of cells that hold several."""
    return {label for cell in cells for label in cell.split(separator) if label.strip()}


def likely_separator(cells: Iterable[str], separator: str | None) -> str | None:
    """Return the likely separator of a cell's labels; None if it is `separator`.

    It leaves fewer different labels, and in most cells where it stands, one of its parts is a whole
    cell elsewhere. Names have spaces: a space must leave nothing but whole cells.

    Args:
        separator: None where a cell is one label.
    """
    whole = {cell for cell in cells if cell.strip()}
    fewest = len(whole if separator is None else labels_in(whole, separator))
    found = None
    for joint in JOINTS:
        joined = [cell.split(joint) for cell in whole if joint in cell]
        needs_all = separator is None or joint == " "
        standing = sum(
            (all if needs_all else any)(part in whole for part in parts) for parts in joined
        )
        enough = standing == len(joined) if joint == " " else 2 * standing >= len(joined)
        number = len(labels_in(whole, joint))
        if joined and joint != separator and enough and number < fewest:
            found, fewest = joint, number
    return found


def written_alike(names: Sequence[str]) -> list[list[str]]:
    """Return names that differ only in capitals, spaces or the spelling of a number."""
    groups: dict[str, list[str]] = {}
    for name in names:
        key = name.strip().lower()
        with suppress(ValueError):
            key = repr(float(key))
        groups.setdefault(key, []).append(name)
    return [group for group in groups.values() if len(group) > 1]
