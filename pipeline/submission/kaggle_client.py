"""Kaggle's own client: sends a file, lists what was sent; its errors in words.

The package `kaggle` is an extra (`make install EXTRAS=kaggle`). It is imported when it is needed:
importing it already asks Kaggle whether the token is good. What it prints is dropped: with VERBOSE
in the environment it would be requests with their token.
"""

import contextlib
import importlib.util
import io
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import UserError, first_line

Answer = TypeVar("Answer")

PACKAGE = "kaggle"
LISTED = 100  # submissions that are asked for, the newest first
LOUD = ("VERBOSE", "VERBOSE_OUTPUT")  # variables that make the client print its requests
HIDDEN = "***"
MAX_LETTERS = 300  # of what Kaggle answered, in a message
TOKENS = "https://www.kaggle.com/settings"


@dataclass(frozen=True)
class SentSubmission:
    """A submission as Kaggle lists it.

    Attributes:
        status: pending, complete or error.
        error: Kaggle's message where the file was refused.
        public_score, private_score: None where not shown.
    """

    ref: int
    file_name: str
    status: str
    error: str
    public_score: float | None
    private_score: float | None


class NoCredentials(UserError):
    """There is no token of Kaggle's on this machine."""


def is_installed() -> bool:
    """Return whether Kaggle's client can be imported."""
    return importlib.util.find_spec(PACKAGE) is not None


class KaggleClient:
    """A competition on Kaggle, by its client.

    Args:
        slug: the competition's name in its address.
    Raises:
        NoCredentials: there are none.
        UserError: Kaggle refuses them, or is not reached.
    """

    def __init__(self, slug: str) -> None:
        self.slug = slug
        with _quiet():
            try:
                from kaggle.api.kaggle_api_extended import KaggleApi
                from kagglesdk.kaggle_env import get_access_token_from_env
            except ImportError as error:
                raise UserError(
                    f"Kaggle's client cannot be imported ({first_line(error)}): it may be too old. "
                    "Run `make install EXTRAS=kaggle`."
                ) from None
            self._api = KaggleApi()
            token, source = get_access_token_from_env()
        try:
            self._ask(self._api.authenticate)
        except SystemExit:  # how the client says that nothing lets it in
            if token:
                raise UserError(
                    f"Kaggle does not know the token of {source}: it is wrong or expired. Make "
                    f"another at {TOKENS} (API), and set KAGGLE_API_TOKEN to it."
                ) from None
            raise NoCredentials("no token of Kaggle's on this machine") from None

    def submissions(self) -> list[SentSubmission]:
        """Return what this account sent to the competition, the newest first."""
        found = self._ask(self._api.competition_submissions, self.slug, page_size=LISTED)
        return [_as_sent(entry) for entry in found or [] if entry is not None]

    def send(self, csv: Path, message: str) -> int | None:
        """Send a file; return its number, None where Kaggle does not say.

        Raises:
            UserError: it was not taken.
        """
        answer = self._ask(self._api.competition_submit, str(csv), message, self.slug, quiet=True)
        if answer.message == self._api.COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE:
            raise UserError(
                f"{csv}: the upload failed, and nothing was submitted. Run the same command again."
            )
        return answer.ref or None

    def _ask(self, call: Callable[..., Answer], *values: Any, **named: Any) -> Answer:
        """Call the client; errors become messages that say what to do, without tokens."""
        from requests.exceptions import HTTPError, RequestException

        with _quiet():
            try:
                return call(*values, **named)
            except HTTPError as error:
                raise UserError(self._refusal(error)) from None
            except RequestException as error:
                raise UserError(
                    f"Kaggle is not reached ({type(error).__name__}). Is there a way to the "
                    "internet from here? Run the same command again: it never sends a file twice."
                ) from None

    def _refusal(self, error: Any) -> str:
        """Return why Kaggle refused, and what to do."""
        response = error.response
        status = 0 if response is None else response.status_code
        said = self._hide(_message_of(error))
        page = f"https://www.kaggle.com/competitions/{self.slug}"
        advice = {
            401: f"Kaggle does not take the credentials. Make a token at {TOKENS} (API).",
            403: f"Join the competition and accept its rules at {page}/rules, then run this again.",
            404: (
                f"There is no competition {self.slug!r}, or it takes no submissions any more. The "
                "name is the last part of its address: SET=submission.slug=NAME, or the key in "
                "the YAML."
            ),
            429: "That is the daily limit, or too many requests: run the same command tomorrow.",
        }
        what = advice.get(status, "Run the same command again later.")
        if status == 400:
            what = (
                "If that is the daily limit, run the same command tomorrow; else look at the file "
                f"and at {page}/overview/evaluation."
            )
        return f"Kaggle answered {status or 'an error'}: {said}. {what}"

    def _hide(self, text: str) -> str:
        """Replace credentials in a text."""
        values = getattr(self._api, "config_values", {})
        secrets = [values.get(name) for name in ("token", "key")]
        secrets += [os.environ.get(name) for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY")]
        for secret in filter(None, secrets):
            text = text.replace(secret, HIDDEN)
        return text


def _as_sent(entry: Any) -> SentSubmission:
    """Return the client's entry with plain values."""
    return SentSubmission(
        ref=entry.ref,
        file_name=entry.file_name or "",
        status=entry.status.name.lower(),
        error=(entry.error_description or "").strip(),
        public_score=_score(entry.public_score),
        private_score=_score(entry.private_score),
    )


def _score(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):  # empty while it is hidden
        return None


def _message_of(error: Any) -> str:
    """Return what Kaggle says in its answer, or else the status line."""
    try:
        content = error.response.json()
        said = str(content.get("message") or content.get("error") or "")
    except (AttributeError, ValueError):
        said = ""
    return " ".join((said or first_line(error)).split())[:MAX_LETTERS].rstrip(".")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is printed and logged: requests with tokens, addresses of uploads."""
    logger = logging.getLogger("urllib3")
    taken = {name: os.environ.pop(name) for name in LOUD if name in os.environ}
    level, nowhere = logger.level, io.StringIO()
    logger.setLevel(logging.ERROR)  # it logs addresses of uploads that it tries again
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logger.setLevel(level)
        os.environ.update(taken)
