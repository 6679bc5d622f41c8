"""Archives of a competition: unpacked beside its other files, never inside input/.

A path of the config may pass through an archive: `train.zip/train/{id}.png`. Then the competition's
folder is features/<competition>/unpacked/: archives are folders there, all else is linked. Tables
and HDF5 files with images inside are archives, too (`image_tables.py`).
"""

import logging
import os
import shutil
import stat
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock

from pipeline.config.schema import Data
from pipeline.core.artifacts import file_stamp, read_json, write_json
from pipeline.core.image_tables import holds_images, members_of
from pipeline.core.log_lines import log_progress
from pipeline.core.workspace import Workspace
from pipeline.errors import DAMAGED_ARCHIVE, UserError, first_line

log = logging.getLogger(__name__)

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PROGRESS_SECONDS = 2.0
Member = tuple[str, int, IO[bytes]]  # name, size in bytes, content


def is_archive(name: str) -> bool:
    """Return whether a file is an archive by its name."""
    return name.lower().endswith(ENDINGS)


def with_unpacked(workspace: Workspace, data: Data) -> Path:
    """Return the folder that the config's paths start at, with the archives that they pass through.

    Raises:
        UserError: for an archive that cannot be unpacked.
    """
    archives = sorted(set(_archives_in(workspace.input, data)))
    if not archives:
        return workspace.input
    target = workspace.unpacked
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name("unpacked.lock")):
        opened = {parent for archive in archives for parent in archive.parents}
        for folder in sorted(opened):
            own = {path.name for path in {*archives, *opened} if path.parent == folder}
            _link_all(workspace.input / folder, target / folder, but=own)
        for archive in archives:
            _bring_up_to_date(workspace.input / archive, target / archive, data.id)
    return target


def names_in(archive: Path) -> list[str]:
    """Return the names of an archive's files; none of one that is not readable."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return [info.filename for info in opened.infolist() if not info.is_dir()]
        with tarfile.open(archive) as opened:
            return [info.name for info in opened if info.isfile()]
    except (*DAMAGED_ARCHIVE, OSError):
        return []


def _archives_in(folder: Path, data: Data) -> Iterator[PurePosixPath]:
    """Yield the archives that the config's paths pass through, relative to the folder."""
    paths = [data.train_csv, data.test_csv, data.sample_submission, data.class_folders or ""]
    if data.extra is not None:
        paths += [data.extra.rows, *data.extra.templates]
    for path in (*paths, *data.join, *data.train_templates, *data.test_templates):
        parts = PurePosixPath(path).parts
        for depth in range(1, len(parts)):
            below = PurePosixPath(*parts[:depth])
            is_one = is_archive(below.name) or holds_images(below.name)
            if is_one and (folder / below).is_file():
                yield below


def _link_all(folder: Path, target: Path, *, but: set[str]) -> None:
    """Link a folder's entries into another one, but archives and the folders that hold them."""
    target.mkdir(exist_ok=True)
    wanted = {child.name for child in folder.iterdir()} - but
    for link in target.iterdir():
        if link.is_symlink() and link.name not in wanted:
            link.unlink()
    for name in wanted:
        link, source = target / name, os.path.abspath(folder / name)
        if not (link.is_symlink() and os.readlink(link) == source):
            if link.is_dir() and not link.is_symlink():
                shutil.rmtree(link)  # of an archive that the config no longer names
            link.unlink(missing_ok=True)
            link.symlink_to(source)


def _bring_up_to_date(archive: Path, target: Path, id_column: str) -> None:
    """Unpack an archive, unless that was done since it changed; whole or not at all.

    Args:
        id_column: of a table, whose images it names.
    """
    record = target.with_name(f".{target.name}.json")
    stamp = {"stamp": file_stamp(archive)}
    if holds_images(archive.name):
        stamp["id"] = id_column
    if target.is_dir() and read_json(record) == stamp:
        return
    record.unlink(missing_ok=True)
    temporary = target.with_name(f".{target.name}.unpacking")
    for folder in (temporary, target):
        shutil.rmtree(folder, ignore_errors=True)
    temporary.mkdir()
    try:
        _unpack(archive, temporary, id_column)
    except UserError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    temporary.rename(target)
    write_json(record, stamp)


def _unpack(archive: Path, target: Path, id_column: str) -> None:
    started = said = time.monotonic()
    free, written, count = shutil.disk_usage(target).free, 0, 0
    log.info("unpacking %s", archive)
    try:
        for name, size, content in _members(archive, id_column):
            written, count = written + size, count + 1
            if written > free:
                raise UserError(
                    f"{archive}: unpacked it is larger than the {free / 2**30:.1f} GiB that are "
                    f"free in {target.parent}. Make room there, or unpack it elsewhere and link it."
                )
            path = target / _safe(name, archive)
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb") as stream:
                shutil.copyfileobj(content, stream)
            if time.monotonic() - said > PROGRESS_SECONDS:
                said = time.monotonic()
                text = f"{count} files of {archive.name}, {written / 2**30:.2f} GiB"
                log_progress(log, written, max(written, archive.stat().st_size), text)
    except (*DAMAGED_ARCHIVE, FileExistsError, NotADirectoryError) as error:
        what = "protected by a password" if "password" in str(error) else "damaged"
        raise UserError(
            f"{archive}: cannot be unpacked, it seems {what} ({first_line(error)}). Download it "
            "again, or unpack it yourself."
        ) from None
    seconds = time.monotonic() - started
    log.info("unpacked %d files of %s in %.0fs", count, archive.name, seconds)


def _safe(name: str, archive: Path) -> PurePosixPath:
    """Return a name that stays inside its folder.

    Raises:
        UserError: for an absolute name, or one that leads out.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise UserError(f"{archive}: holds a file that leads out of its folder, {name!r}: refused.")
    return path


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield opened
    else:
        with tarfile.open(archive) as opened:
            yield opened


def _members(archive: Path, id_column: str) -> Iterator[Member]:
    """Yield the files of an archive; links and devices are left out."""
    if holds_images(archive.name):
        yield from members_of(archive, id_column)
        return
    with _opened(archive) as opened:
        if isinstance(opened, zipfile.ZipFile):
            for info in opened.infolist():
                is_link = stat.S_ISLNK(info.external_attr >> 16)
                if not info.is_dir() and not is_link and _is_wanted(info.filename):
                    with opened.open(info) as content:
                        yield info.filename, info.file_size, content
        else:
            for info in opened:
                if info.isfile() and _is_wanted(info.name):
                    yield info.name, info.size, opened.extractfile(info)


def _is_wanted(name: str) -> bool:
    """Return whether a file is none of those that macOS adds."""
    path = PurePosixPath(name)
    return "__MACOSX" not in path.parts and path.name != ".DS_Store"
