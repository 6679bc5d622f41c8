"""Files of a competition's folder: images and tables, also in archives, which stay packed."""

import os
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pandas as pd

from pipeline.core.csv_files import TEXT, read_csv
from pipeline.core.image_files import IMAGE_ENDINGS
from pipeline.errors import DAMAGED_ARCHIVE

ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
IGNORED = ("__MACOSX", "Thumbs.db", "desktop.ini")
# Endings of data that the pipeline does not read, and what to do with them.
UNREAD = {
    ".nii": "NIfTI volumes: save slices as 16-bit PNG",
    ".npz": "NumPy arrays: save them as PNG",
    ".h5": "an HDF5 file: save its images as PNG",
    ".hdf5": "an HDF5 file: save its images as PNG",
    ".parquet": "a Parquet file: save it as CSV, or its images as PNG",
    ".tfrec": "TFRecords: use the competition's image files, or save them as PNG",
    ".tfrecord": "TFRecords: use the competition's image files, or save them as PNG",
    ".svs": "slides: save tiles as PNG",
    ".mat": "a MATLAB file: save its images as PNG",
    ".xlsx": "an Excel file: save it as CSV",
    ".json": "a JSON file: save its rows as CSV, if it holds labels",
    ".gz": "a packed file: unpack it",
    ".7z": "a packed file: unpack it",
    ".rar": "a packed file: unpack it",
}


@dataclass(frozen=True)
class Listing:
    """Names of a folder's files; an archive is a part of the path: `train.zip/train/1.png`.

    Attributes:
        images, tables: paths relative to `root`, sorted.
        archives: archives that images or tables lie in.
        unread: endings of other data, and how many files have each.
        problems: archives that cannot be read, and why.
    """

    root: Path
    images: list[str]
    tables: list[str]
    archives: list[str]
    unread: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def list_files(root: Path) -> Listing:
    """List images, tables and archives' names; hidden files and those of macOS are left out."""
    images, tables, archives, problems = [], [], [], []
    unread: dict[str, int] = {}
    packed: dict[str, list[str]] = {}
    for path in _walk(root):
        kind = _kind(path)
        if kind == "archive":
            try:
                packed[path] = [name for name in _names_in(root / path) if not _is_ignored(name)]
            except (*DAMAGED_ARCHIVE, OSError) as error:
                problems.append(f"{path} is not readable as an archive ({error})")
        elif kind == "image":
            images.append(path)
        elif kind == "table":
            tables.append(path)
        elif (ending := PurePosixPath(path).suffix.lower()) in UNREAD:
            unread[ending] = unread.get(ending, 0) + 1
    unpacked = {*images, *tables}
    for archive, names in packed.items():
        if _lies_beside(archive, names, unpacked):
            continue
        archives.append(archive)
        images += [f"{archive}/{name}" for name in names if _kind(name) == "image"]
        tables += [f"{archive}/{name}" for name in names if _kind(name) == "table"]
    return Listing(root, sorted(images), sorted(tables), sorted(archives), unread, problems)


def read_table(listing: Listing, path: str) -> tuple[pd.DataFrame | None, str]:
    """Read a table; return None and why, if it is not readable."""
    problems: list[str] = []
    with on_disk(listing, path) as file:
        found = read_csv(file, problems, [])
    if found is None or found.rows.empty:
        return None, problems[0].rpartition(f"{file}: ")[2].rstrip(".") if problems else "no rows"
    return found.rows.map(partial(unicodedata.normalize, "NFC")), ""


@contextmanager
def on_disk(listing: Listing, path: str) -> Iterator[Path]:
    """Yield where a file lies; one in an archive is unpacked for so long."""
    packed = archive_of(listing, path)
    if packed is None:
        yield listing.root / path
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / PurePosixPath(path).name
        file.write_bytes(read_packed(listing.root / packed[0], packed[1]))
        yield file


def archive_of(listing: Listing, path: str) -> tuple[str, str] | None:
    """Return a path's archive and the name within it; None where it lies in none."""
    for archive in listing.archives:
        if path.startswith(f"{archive}/"):
            return archive, path.removeprefix(f"{archive}/")
    return None


def read_packed(archive: Path, name: str) -> bytes:
    """Return the bytes of a file in an archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name)
    with tarfile.open(archive) as opened:
        member = next(item for item in opened if _plain(item.name) == name)
        stream = opened.extractfile(member)
        assert stream is not None, f"{name} is no file"
        with closing(stream):
            return stream.read()


def _walk(root: Path) -> Iterator[str]:
    """Yield all files below a folder; linked folders are followed, but never twice."""
    seen: set[str] = set()
    for folder, below, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not _is_ignored(name))
        for name in sorted(files):
            if not _is_ignored(name):
                yield (Path(folder) / name).relative_to(root).as_posix()


def _is_ignored(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return any(part.startswith(".") or part in IGNORED for part in parts if part != ".")


def _kind(path: str) -> str:
    name = path.lower()
    if name.endswith((*ZIP, *TAR)):
        return "archive"
    if name.endswith(IMAGE_ENDINGS):
        return "image"
    return "table" if name.endswith(TEXT) else ""


def _names_in(archive: Path) -> list[str]:
    """Return the files in an archive; a packed tar is read through for that."""
    if archive.suffix.lower() in ZIP:
        with zipfile.ZipFile(archive) as opened:
            return [item.filename for item in opened.infolist() if not item.is_dir()]
    with tarfile.open(archive) as opened:
        return [_plain(item.name) for item in opened if item.isfile()]


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _lies_beside(archive: str, names: Iterable[str], unpacked: set[str]) -> bool:
    """Return whether an archive's files were unpacked beside it, or into a folder of its name."""
    place = PurePosixPath(archive).parent
    stem = PurePosixPath(archive).name.split(".")[0]
    known = [name for name in names if _kind(name) in ("image", "table")]
    for folder in (place, place / stem):
        if known and sum((folder / name).as_posix() in unpacked for name in known) > len(known) / 2:
            return True
    return False
