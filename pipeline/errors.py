"""Exceptions for what a user can cause; the command line prints them without a traceback."""

import difflib
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any
from zipfile import BadZipFile

DAMAGED_ARCHIVE = (
    *(BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, RuntimeError),  # a way of packing that zipfile does not know; a password
)


class UserError(Exception):
    """Wrong input: says where, what came, what was expected and what to do now."""


class JobFailed(UserError):
    """A job cannot be done for a reason of its own, such as a loss that is not finite."""


class JobsFailed(UserError):
    """Some of a run's jobs failed, none of them by wrong input, and others were done.

    Attributes:
        reasons: why members' own jobs failed, by member.
    """

    def __init__(self, message: str, reasons: Mapping[str, str]) -> None:
        super().__init__(message)
        self.reasons = reasons


def did_you_mean(wrong: Any, known: Iterable[str], *, most: int = 1, list_all: bool = True) -> str:
    """Return what follows "unknown NAME": the nearest known names, or else all of them.

    Args:
        most: how many near names are given.
        list_all: False: where no name is near, return an empty text instead of a long list.
    """
    known = list(known)
    if near := close_names(wrong, known, most=most):
        return f"; did you mean {' or '.join(f'`{name}`' for name in near)}?"
    return f"; known: {', '.join(known) or 'none'}" if list_all else ""


def close_names(wrong: Any, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Return the known names that are nearest to a wrong one; none where all are far."""
    return difflib.get_close_matches(str(wrong), list(known), n=most, cutoff=0.5)


def first_line(error: Exception) -> str:
    """Return an error's type and the first line of its message, for a message of ours."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:200]}"
