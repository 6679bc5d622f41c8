"""Artifacts on disk: whole or absent, with a fingerprint of all that they depend on.

An artifact is a folder whose `meta.json` is written last. Its fingerprint is a digest of the recipe
(the parts of the config that matter, digests of raw inputs, fingerprints of other artifacts, the
format's version), so it is the same on every machine, and parts made elsewhere count as done.
Digests of its files stand beside it, so that a damaged or deleted file is noticed.
"""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

META = "meta.json"
VERIFIED = ".verified.json"  # stamps of files whose digests were compared, so that it is done once
FULL_DISK = ("No space left on device", "os error 28", "Disk quota exceeded", "os error 122")
# Errors after which no artifact can be written: no space, no quota, read-only, not allowed.
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
FULL_BYTES = 64 * 1024  # less than this free is a full disk


def fingerprint(**parts: Any) -> str:
    """Return the digest of a recipe; parts are JSON values, the order of keys does not matter."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there if the block ends without an error.

    A reader sees the old file or the new one, never a part. A failed or killed write leaves `path`
    as it was; the temporary file of a killed one has a leading dot and is never read.

    Args:
        lasting: whether the content must outlast a loss of power, which costs milliseconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{path.suffix}")
    temporary.touch(exist_ok=False)
    rights = temporary.stat().st_mode  # by the umask; some libraries replace the file and its mode
    try:
        yield temporary
        if lasting:
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())
        temporary.chmod(stat.S_IMODE(rights))
        os.replace(temporary, path)
    except Exception as error:
        # torch and safetensors report a full disk as errors of their own.
        says_so = any(text in str(error) for text in FULL_DISK)
        if says_so or shutil.disk_usage(path.parent).free < FULL_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_checked(path: Path) -> Iterator[Path]:
    """Do as `replacing`, for a file from which runs resume: `is_as_written` finds damage.

    The digest joins those of earlier versions beside the file, before the file is replaced: a kill
    between the two writes makes neither version look damaged.
    """
    with replacing(path) as temporary:
        yield temporary
        beside = _digest_beside(path)
        known = beside.read_text(encoding="utf-8") if beside.exists() else ""
        write_text(beside, f"{known}{file_digest(temporary)}\n")


def remove_checked(path: Path) -> None:
    """Remove a file of `replacing_checked`, and the digests beside it, if it is there."""
    path.unlink(missing_ok=True)
    _digest_beside(path).unlink(missing_ok=True)


def is_as_written(path: Path) -> bool:
    """Return whether a file of `replacing_checked` is whole; one without a digest counts so."""
    beside = _digest_beside(path)
    if not beside.exists():
        return True
    return file_digest(path) in beside.read_text(encoding="utf-8", errors="replace").split()


def _digest_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def write_text(path: Path, text: str, *, lasting: bool = True) -> None:
    """Write a text file whole or not at all."""
    with replacing(path, lasting=lasting) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, *, lasting: bool = True) -> None:
    """Write JSON, readable and with sorted keys, whole or not at all."""
    text = json.dumps(without_nan(content), indent=1, sort_keys=True) + "\n"
    write_text(path, text, lasting=lasting)


def without_nan(content: Any) -> Any:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(content, dict):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Return the metadata of a finished artifact; None where there is none."""
    return read_json(folder / META)


def fingerprint_of(folder: Path) -> str | None:
    """Return the fingerprint of a finished artifact; None where there is none."""
    return (read_meta(folder) or {}).get("fingerprint")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; None if it is absent or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:  # neither UTF-8 nor JSON: damaged, made again
        return None
    return content if isinstance(content, dict) else None


def is_current(folder: Path, wanted: str) -> bool:
    """Return whether a folder holds a finished, undamaged artifact with this fingerprint."""
    meta = read_meta(folder)
    return meta is not None and meta.get("fingerprint") == wanted and not _damaged(folder, meta)


def is_whole(folder: Path) -> bool:
    """Return whether a folder holds a finished, undamaged artifact of any fingerprint."""
    meta = read_meta(folder)
    return meta is not None and not _damaged(folder, meta)


def damaged_files(folder: Path, wanted: str) -> list[str]:
    """Return messages about missing or changed files of an artifact that is finished otherwise."""
    meta = read_meta(folder)
    if meta is None or meta.get("fingerprint") != wanted:
        return []
    return [
        f"{path} {'was changed from outside' if path.exists() else 'is missing'}"
        for path in (folder / name for name in _damaged(folder, meta))
    ]


def finish(folder: Path, fingerprint: str, *, files: Iterable[str] = (), **meta: Any) -> None:
    """Declare an artifact complete; call it last.

    Args:
        files: names, relative to `folder`, of the files without which, unchanged, it is not
            complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamps = {name: file_stamp(folder / name) for name in files}
    digests = {name: file_digest(folder / name) for name in stamps}
    write_json(folder / META, {"fingerprint": fingerprint, "files": digests, **meta})
    write_json(folder / VERIFIED, stamps)


def withdraw(folder: Path) -> None:
    """Remove an artifact's metadata; call it before any of its files is overwritten."""
    (folder / META).unlink(missing_ok=True)


def file_stamp(path: Path) -> list[int]:
    """Return size in bytes, and times of change of content and status in nanoseconds."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def verifies_everything() -> bool:
    """Return whether VERIFY=1 asks to compare contents of files that seem unchanged."""
    return os.environ.get("VERIFY", "") not in ("", "0")


def _damaged(folder: Path, meta: dict[str, Any]) -> list[str]:
    """Return names of an artifact's files that are missing or not as written.

    A file is read once for each of its stamps; artifacts of older versions name no files.
    """
    digests = meta.get("files", {})
    verified = {} if verifies_everything() else (read_json(folder / VERIFIED) or {})
    stamps = {name: _stamp(folder / name) for name in digests}
    unsure = [name for name in digests if not stamps[name] or stamps[name] != verified.get(name)]
    damaged = [
        name for name in unsure if not stamps[name] or file_digest(folder / name) != digests[name]
    ]
    if unsure and not damaged:
        with suppress(OSError):  # a read-only copy is read every time
            write_json(folder / VERIFIED, stamps)
    return damaged


def _stamp(path: Path) -> list[int] | None:
    try:
        return file_stamp(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def begin(folder: Path, wanted: str, *, attic: Path | None = None) -> None:
    """Make `folder` ready for the artifact `wanted`, keeping what an interrupted run left of it.

    `.begun` holds the fingerprint that the folder's content belongs to. Content of another one is
    moved to `attic`, finished or not, and comes back when it is wanted again; without an attic it
    is deleted.
    """
    begun = folder / ".begun"
    owner = begun.read_text(encoding="utf-8", errors="replace") if begun.exists() else ""
    if not re.fullmatch(r"[\w -]+", owner):  # copied, or damaged
        owner = _copied_from(folder)
    if owner != wanted and folder.exists():
        if attic is None or not any(folder.iterdir()):
            _delete(folder)
        else:
            kept = _place_in(attic, folder, owner)
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder, kept)
    if not folder.exists() and attic is not None:
        kept = _place_in(attic, folder, wanted)
        if kept.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            os.replace(kept, folder)
    if not begun.exists():
        write_text(begun, wanted)


def _copied_from(folder: Path) -> str:
    """Return the fingerprint of a folder without `.begun`: copying may skip dotfiles."""
    meta = read_meta(folder) or {}
    return str(meta.get("fingerprint", "unknown"))


def _place_in(attic: Path, folder: Path, owner: str) -> Path:
    return attic / f"{'-'.join(folder.parts[-2:])}-{owner}"


def _delete(folder: Path) -> None:
    """Remove a folder; its metadata first, in case the run is killed meanwhile."""
    withdraw(folder)
    (folder / ".begun").unlink(missing_ok=True)
    shutil.rmtree(folder)
