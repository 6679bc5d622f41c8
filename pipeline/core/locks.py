"""Locks between runs at the same time: one makes an artifact, none replaces what another uses.

Each run records which artifacts it uses. Locks are the operating system's, so that they end with
their process; beside each is a file that names its holder. All files are in one folder of the
competition; if that cannot be written, no run can write artifacts, and no locks are needed.
"""

import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core.artifacts import read_json, write_json

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5


class Run:
    """This process, among those that work on a competition.

    Attributes:
        folder: of all locks.
        counts_on: fingerprints by folder, of what this run reads or writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        name = f"run {socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
        self._record = folder / f"{name}.json"
        self._lock = FileLock(folder / f"{name}.lock")
        self._announced = _beside(self._record)
        self._owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        self.counts_on: dict[str, str] = {}

    def __enter__(self) -> "Run":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            log.debug("no locks in %s: %s", self.folder, error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock.is_locked:
            self._record.unlink(missing_ok=True)
            self._announced.unlink(missing_ok=True)
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def count_on(self, artifacts: Mapping[Path, str]) -> None:
        """Wait for runs that use other content of these folders; make later runs wait for this one.

        Args:
            artifacts: fingerprints by folder, of all that is read or written from now on.
        """
        if not self._lock.is_locked:
            return
        wanted = self.counts_on | {str(folder): recipe for folder, recipe in artifacts.items()}
        told = None
        while clash := self._first_clash(wanted):
            if clash != told:
                log.warning(
                    "%s is being used for another config, by %s: waiting for its end. To run both "
                    "at once, link the competition under a second name, or copy the project",
                    *clash,
                )
            told = clash
            time.sleep(POLL_SECONDS)

    def _first_clash(self, wanted: dict[str, str]) -> tuple[str, str] | None:
        """Return a folder whose other content another run uses, and that run's description.

        If there is none, record what this run uses.
        """
        with FileLock(self.folder / "gate.lock"):
            for record in self._records_of_others():
                theirs = (read_json(record) or {}).get("artifacts", {})
                for folder, recipe in wanted.items():
                    if theirs.get(folder, recipe) != recipe:
                        return folder, _describe(record)
            self.counts_on = wanted
            record = {"owner": self._owner, "artifacts": wanted}
            write_json(self._record, record, lasting=False)
        return None

    def _records_of_others(self) -> list[Path]:
        """Return records of the other live runs; remove those of dead ones."""
        alive = []
        for path in sorted(self.folder.glob("run *.lock")):
            record = path.with_suffix(".json")
            if record == self._record:
                continue
            try:
                with FileLock(path, timeout=0):
                    record.unlink(missing_ok=True)
                    _beside(record).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
            except Timeout:
                alive.append(record)
        return alive

    @contextmanager
    def lock(self, folder: Path, *, wait: bool = False) -> Iterator[bool]:
        """Hold the lock of one artifact; it is not in its folder, which may be replaced.

        Yields:
            Whether it is held; without `wait` another run may hold it.
        """
        if not self._lock.is_locked:
            yield True
            return
        lock, owner = FileLock(self._lock_of(folder)), self._owner_of(folder)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        try:
            write_json(owner, {"owner": self._owner}, lasting=False)
            yield True
        finally:
            owner.unlink(missing_ok=True)
            lock.release()

    def announce(self, content: dict[str, Any]) -> None:
        """Say what this run is doing, in place of what it said before."""
        if self._lock.is_locked:
            write_json(self._announced, content, lasting=False)

    def announcements(self) -> list[tuple[str, dict[str, Any]]]:
        """Return descriptions of the other runs that said what they are doing, and what."""
        with FileLock(self.folder / "gate.lock"):
            records = self._records_of_others()
        said = [(_describe(record), read_json(_beside(record))) for record in records]
        return [(description, content) for description, content in said if content is not None]

    def holder(self, folder: Path) -> tuple[str, float] | None:
        """Return who holds the lock of one artifact, and since when; None if nobody does."""
        owner = self._owner_of(folder)
        try:
            begun = owner.stat().st_mtime
            with FileLock(self._lock_of(folder), timeout=0):
                return None
        except FileNotFoundError:
            return None
        except Timeout:
            return _describe(owner), begun

    def others(self) -> list[str]:
        """Describe the other runs that work on the competition now."""
        with FileLock(self.folder / "gate.lock"):
            return [_describe(record) for record in self._records_of_others()]

    def holder_of(self, folder: Path) -> str:
        """Describe who holds the lock of one artifact."""
        return _describe(self._owner_of(folder))

    def _lock_of(self, folder: Path) -> Path:
        return self.folder / f"{' '.join(folder.parts[-3:])}.lock"

    def _owner_of(self, folder: Path) -> Path:
        return self._lock_of(folder).with_suffix(".json")


def _beside(record: Path) -> Path:
    """Return the file of what a run says it is doing."""
    return record.with_suffix(".jobs.json")


def _describe(record: Path) -> str:
    owner = (read_json(record) or {}).get("owner")  # None: it has just ended
    if owner is None:
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
