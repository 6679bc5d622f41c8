"""Submit stage: checks a submission's file, sends it to Kaggle, writes its public score down.

The ledger knows what was sent, and Kaggle's own list is looked at before anything is sent: a run
that was killed, or waited too long for a score, asks for it when it is repeated.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.core.archives import with_unpacked
from pipeline.core.artifacts import file_digest
from pipeline.core.find_submission import config_of, csv_of, find_submission, stem
from pipeline.core.ledger import Entry, now, update_ledger
from pipeline.core.public_score import PublicScore, expected_of
from pipeline.core.read_competition import read_competition
from pipeline.core.runtime import duration
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.metrics.find_metric import task_metric
from pipeline.report import wording
from pipeline.submission.check_file import check_file
from pipeline.submission.kaggle_client import (
    KaggleClient,
    NoCredentials,
    SentSubmission,
    is_installed,
)

log = logging.getLogger(__name__)

WAIT_SECONDS = 600
FIRST_POLL, LAST_POLL = 3.0, 30.0  # seconds between two questions for the score
HOW_TO_SEND = (
    "To send it: make a token at https://www.kaggle.com/settings (API), set KAGGLE_API_TOKEN to it "
    "(or put kaggle.json into ~/.kaggle), accept the competition's rules, and run this again."
)


@dataclass(frozen=True)
class Parcel:
    """What is sent.

    Attributes:
        slug: the competition's name on Kaggle.
        message: that Kaggle shows beside the score.
    """

    entry: Entry
    csv: Path
    slug: str
    message: str


def submit(
    workspace: Workspace,
    config: Config,
    *,
    run: str = "",
    message: str = "",
    wait_seconds: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Check and show a submission, send it if it was not sent yet, and wait for its public score.

    Args:
        run: see `find_submission`; empty: the last.
        message: empty: the note, or the blend and its estimate.
    Raises:
        UserError: a file that differs from the sample, or whatever Kaggle refuses.
    """
    entry = find_submission(workspace, run or "last")
    slug = config.submission.slug or config.competition
    parcel = Parcel(entry, csv_of(entry, workspace), slug, message or _message(entry, workspace))
    _show(parcel, workspace)
    if not is_installed():
        print(
            "Dry run, nothing is sent: Kaggle's client is not installed. `make install "
            f"EXTRAS=kaggle` installs it. {HOW_TO_SEND}"
        )
        return
    try:
        client = KaggleClient(slug)
    except NoCredentials as error:
        print(f"Dry run, nothing is sent: {error}. {HOW_TO_SEND}")
        return
    sent = _sent_before(client, parcel)
    if sent is None:
        _send(client, parcel, workspace)
    else:
        log.info("submit %s: sent before, and not sent again", stem(entry))
    sent = _wait(client, parcel, wait_seconds=wait_seconds, sleep=sleep)
    _record(sent, parcel, workspace)


def _message(entry: Entry, workspace: Workspace) -> str:
    expected = expected_of(entry, workspace)
    estimate = "" if expected is None else f", expected {entry['metric']} {expected:.4f}"
    return entry.get("note") or f"{entry['blend']} of {len(entry['members'])} members{estimate}"


def _show(parcel: Parcel, workspace: Workspace) -> None:
    """Check the file against the sample, and print what would be sent."""
    entry, csv = parcel.entry, parcel.csv
    if not csv.is_file():
        raise UserError(f"{csv}: no such file. `make ensemble RUN=...` writes it again.")
    made_with = config_of(entry, workspace)
    folder = with_unpacked(workspace, made_with.data)
    competition = read_competition(folder, made_with.task, made_with.data, made_with.submission)
    rows = check_file(csv, competition, task_metric(made_with.task, competition.classes))
    expected = expected_of(entry, workspace)
    interval = wording.interval_text(entry["low"], entry["high"])
    estimate = f"{entry['metric']} {wording.number_text(expected)} ({interval})"
    for name, value in (
        ("file", f"{csv.relative_to(workspace.root)} ({rows} rows, as the sample asks)"),
        ("to", f"https://www.kaggle.com/competitions/{parcel.slug}"),
        ("expected", estimate),
        ("message", parcel.message),
    ):
        print(f"{name:<10}{value}")


def _sent_before(client: KaggleClient, parcel: Parcel) -> SentSubmission | None:
    """Return this file as Kaggle lists it; None if it was not sent to this competition yet."""
    listed = _find(client.submissions(), parcel)
    sent = parcel.entry.get("sent", {})
    if listed is None and sent.get("slug") == parcel.slug:
        raise UserError(
            f"{parcel.csv.name} was sent on {sent['time'][:16]} UTC, and Kaggle does not list it "
            f"among the last ones. Look at https://www.kaggle.com/competitions/{parcel.slug}/"
            "submissions, and write its score with make ledger RUN=... PUBLIC=..."
        )
    if listed is not None and sent.get("digest", digest := file_digest(parcel.csv)) != digest:
        log.warning("%s was changed since it was sent; the score is the sent file's", parcel.csv)
    return listed


def _find(listed: list[SentSubmission], parcel: Parcel) -> SentSubmission | None:
    """Find a file by its name, which holds its fingerprint."""
    return next((sent for sent in listed if sent.file_name == parcel.csv.name), None)


def _send(client: KaggleClient, parcel: Parcel, workspace: Workspace) -> None:
    ref = client.send(parcel.csv, parcel.message)
    sent = {
        "slug": parcel.slug,
        "time": now(),
        "message": parcel.message,
        "digest": file_digest(parcel.csv),
        "ref": ref,
        "status": "sent",
    }
    parcel.entry["sent"] = sent
    update_ledger(workspace, parcel.entry["fingerprint"], sent=sent)
    log.info("submit %s: sent to %s", stem(parcel.entry), parcel.slug)


def _wait(
    client: KaggleClient,
    parcel: Parcel,
    *,
    wait_seconds: float,
    sleep: Callable[[float], None],
) -> SentSubmission:
    """Ask for the score until it is there.

    Raises:
        UserError: it is not there in time.
    """
    waited, pause = 0.0, FIRST_POLL
    while True:
        sent = _find(client.submissions(), parcel)  # a new one may be listed a little later
        if sent is not None and sent.status != "pending":
            return sent
        if waited >= wait_seconds:
            raise UserError(
                f"{parcel.csv.name} is sent, and has no score after {duration(waited)}. Run the "
                "same command later: it asks for the score and sends nothing twice."
            )
        pause = min(pause, wait_seconds - waited)
        sleep(pause)
        waited, pause = waited + pause, min(2 * pause, LAST_POLL)


def _record(sent: SentSubmission, parcel: Parcel, workspace: Workspace) -> None:
    """Write what Kaggle says into the ledger, and print it.

    Raises:
        UserError: Kaggle refused the file.
    """
    entry = parcel.entry
    known = entry.get("sent") or {"slug": parcel.slug, "time": now(), "ref": sent.ref}
    status = "refused" if sent.status == "error" else "scored"
    changes = {"sent": known | {"ref": sent.ref, "status": status}}
    if status == "refused":
        changes["sent"]["error"] = sent.error
        update_ledger(workspace, entry["fingerprint"], **changes)
        raise UserError(
            f"Kaggle refused {parcel.csv.name}: {sent.error or 'without a reason'}. Compare it "
            f"with {workspace.input / 'sample_submission.csv'}; `submission.format` changes what "
            "its columns hold. The same file is not sent again."
        )
    for key in ("public_score", "private_score"):
        if (score := getattr(sent, key)) is not None:
            changes[key] = score
    update_ledger(workspace, entry["fingerprint"], **changes)
    public = PublicScore.of(entry | changes, workspace)
    if public is None:
        print("Kaggle took the file, and shows no public score.")
        return
    print(f"{public.sentence(entry['metric'])}.")
    if sent.private_score is not None:
        print(f"private {entry['metric']} {sent.private_score:.4f}")
