"""CSV files of competitions, packed or not: encoding and separator are found, cells stay text."""

import bz2
import codecs
import csv
import difflib
import gzip
import io
import lzma
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from pipeline.errors import DAMAGED_ARCHIVE, first_line

SEPARATORS = (",", ";", "\t", "|")
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
TEXT = (".csv", ".tsv", ".txt")
MAX_NAMED = 3  # lines
ALIKE = 0.7  # how much of two names must agree for one to be offered for the other


@dataclass(frozen=True)
class CsvFile:
    """Content of a CSV.

    Attributes:
        rows: every cell as its original text.
        separator: between cells.
        encoding: of the file.
    """

    rows: pd.DataFrame
    separator: str
    encoding: str


def read_csv(
    path: Path,
    problems: list[str],
    notes: list[str],
    *,
    may_be_empty: bool = False,
    separator: str | None = None,
    encoding: str | None = None,
) -> CsvFile | None:
    """Read a CSV file; return None if it is not readable.

    Args:
        problems: gets why it is not readable.
        notes: gets what is unusual about how it was read.
        may_be_empty: whether a header alone is no problem.
        separator: between cells; default: detected, as the encoding is.
    """
    if (decoded := _read_text(path, problems, encoding)) is None:
        return None
    text, encoding = decoded
    separator, names = _header(text, separator)
    spaced = len(names) > 1 and all(name.startswith(" ") for name in names[1:])
    header_twice = {name.strip() for name in names if names.count(name) > 1}
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            rows = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                skipinitialspace=spaced,
                dtype=str,
                keep_default_na=False,
                index_col=False,  # pandas would shift the cells of rows that end with a separator
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        uneven = [] if "EOF" in str(error) else [*_uneven_lines(text, separator, len(names))]
        why = "; ".join(uneven) or str(error).strip()
        problems.append(f"{path}: not readable as CSV: {why}.")
        return None
    if rows.empty and not may_be_empty:
        problems.append(f"{path}: no rows below the header.")
    unusual = [
        *([f"in {encoding}"] if not encoding.startswith("utf-8") else []),
        *([f"with {separator!r} between cells"] if separator != "," else []),
        *(["without the spaces after separators"] if spaced else []),
    ]
    if unusual:
        notes.append(f"{path.name} is read {', '.join(unusual)}")
    if uneven := [*_uneven_lines(text, separator, len(names))]:
        notes.append(f"{path.name}: {'; '.join(uneven)}; cells that are missing count as empty")
    if twice := [name for name in rows if name.rpartition(".")[0] in header_twice]:
        notes.append(f"{path.name} has columns of one name: the later ones are called {twice}")
    return CsvFile(rows, separator, encoding)


def _read_text(path: Path, problems: list[str], encoding: str | None) -> tuple[str, str] | None:
    """Return a file's text and its encoding; None, and why in `problems`, if it has none."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        problems.append(f"{path}: not readable: {error.strerror}.")
        return None
    if packed := next((name for magic, name in PACKED.items() if raw.startswith(magic)), ""):
        try:
            raw = UNPACK[packed](raw)
        except (*DAMAGED_ARCHIVE, OSError, ValueError) as error:
            problems.append(
                f"{path}: not readable as CSV: it is packed ({packed}), and cannot be unpacked "
                f"({first_line(error)}). Unpack it."
            )
            return None
    guessed = encoding is None
    encoding = encoding or _encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeError:
        what = (
            "no text. Download it again" if guessed else f"not in {encoding!r}, as the config says"
        )
        problems.append(f"{path}: not readable as CSV: it is {what}.")
        return None
    if "\0" in text:
        problems.append(f"{path}: not readable as CSV: it holds NUL characters: save it as UTF-8.")
        return None
    return text, encoding


def _only_file(raw: bytes) -> bytes:
    """Return the content of the only CSV in a zip file."""
    with zipfile.ZipFile(io.BytesIO(raw)) as opened:
        names = [
            name
            for name in opened.namelist()
            if name.lower().endswith(TEXT) and not name.startswith("__MACOSX")
        ]
        if len(names) != 1:
            raise ValueError(f"it holds {len(names)} CSVs; a path such as a.zip/b.csv names one")
        return opened.read(names[0])


UNPACK = {
    "gzip": gzip.decompress,
    "zip": _only_file,
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
}


def _encoding(raw: bytes) -> str:
    """Return UTF-8 or UTF-16 if the bytes are; else Windows' Latin-1, which reads most files."""
    if raw.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if raw[:1] and raw[1:4:2] == b"\0\0":
        return "utf-16-le"
    for encoding in ("utf-8", "cp1252"):
        try:
            raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _uneven_lines(text: str, separator: str, width: int) -> Iterator[str]:
    """Say which lines have more or fewer cells than the header, by number; the first few."""
    lines = text.count("\n") + (not text.endswith("\n"))
    if '"' not in text and text.count(separator) == lines * (width - 1):
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    with suppress(csv.Error):
        uneven = ((reader.line_num, len(cells)) for cells in reader if len(cells) != width)
        found = [*islice(((line, cells) for line, cells in uneven if cells), MAX_NAMED + 1)]
        for line, cells in found[:MAX_NAMED]:
            yield f"line {line} has {cells} in place of {width} cells"
        if len(found) > MAX_NAMED:
            yield "and more"


def _header(text: str, separator: str | None) -> tuple[str, list[str]]:
    """Return the header's separator, if none is given or found a comma, and its cells."""
    header = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    tried = SEPARATORS if separator is None else (separator,)
    cells = {one: next(csv.reader([header], delimiter=one), []) for one in tried}
    first, most = tried[0], max(tried, key=lambda one: len(cells[one]))
    separator = first if len(cells[first]) > 1 else most
    return separator, cells[separator]


def offered(path: Path, key: str, *, others: bool = True) -> str:
    """Return what follows "no such file": files with similar names, else all of its kind.

    Args:
        key: of the config, that names the file.
        others: whether to list files without similar names.
    """
    if not path.parent.is_dir():
        return ""
    if path.is_symlink():
        return f" It is a link to {path.readlink()}, which is not there."
    beside = sorted(file for file in path.parent.iterdir() if _kind(file))
    below = sorted(path.parent.glob(f"*/{path.name}"))
    alike = [file for file in beside if _are_alike(file.name, path.name)] + below
    texts = [file for file in alike if _kind(file) in TEXT]
    if texts:
        first, *others = (file.relative_to(path.parent).as_posix() for file in texts)
        more = f" (or {', '.join(others)})" if others else ""
        return f" There is {first}: say `{key}: {first}`{more}."
    if alike and _kind(alike[0]) == ".7z":
        return f" There is {alike[0].name}: unpack it."
    if alike:
        return f" There is {alike[0].name}: say `{key}: {alike[0].name}`."
    if not others:
        return ""
    names = [file.name for file in beside if _kind(file) in TEXT]
    return f" The folder has {', '.join(names)}." if names else " The folder has no CSV."


def _kind(file: Path) -> str:
    """Return the lower-case ending of a CSV or an archive of one; empty for other files."""
    ending = file.suffix.lower()
    return ending if ending in (*TEXT, ".zip", ".gz", ".7z", ".bz2", ".xz") else ""


def _are_alike(name: str, wanted: str) -> bool:
    one, other = (re.sub(r"[^a-z0-9]", "", text.lower().split(".")[0]) for text in (name, wanted))
    if not one or not other:
        return False
    near = difflib.SequenceMatcher(None, one, other).ratio() >= ALIKE
    return near or (min(len(one), len(other)) > 3 and (other in one or one in other))
