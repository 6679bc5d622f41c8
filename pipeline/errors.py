"""Exceptions for what a user can cause; the command line prints them without a traceback."""

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """Wrong input: says where, what came, what was expected and what to do now."""


class JobFailed(UserError):
    """A job cannot be done for a reason of its own, such as a loss that is not finite."""


def nearest(wrong: Any, known: Iterable[str]) -> str:
    """What to add to "unknown NAME": the nearest name that is known, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(known) or 'none'}"
