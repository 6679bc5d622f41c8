"""Sending to Kaggle, by its own client against a small server; skipped without the client."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from kaggle_server import TOKEN, Kaggle, serving
from tiny_project import CONFIG, run, submission, write_competition

from pipeline.config.schema import Config
from pipeline.core.ledger import read_ledger
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.stages import submit as submit_stage
from pipeline.stages.submit import submit

CODE = Path(__file__).resolve().parents[2]
needs_client = pytest.mark.skipif(
    importlib.util.find_spec("kaggle") is None,
    reason="Kaggle's client is not installed (make install EXTRAS=kaggle)",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("submit")
    write_competition(root)
    run(root, blends=["soft_vote"])
    return root


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """The server, and a client that asks it; no credentials but a token in the environment."""
    home = tmp_path_factory.mktemp("home")
    for name, value in {
        "HOME": str(home),
        "KAGGLE_CONFIG_DIR": str(home),
        "KAGGLE_API_TOKEN": TOKEN,
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    kaggle_env = pytest.importorskip("kagglesdk.kaggle_env")
    with serving(Kaggle()) as server:
        endpoints = {kaggle_env.KaggleEnv.LOCAL: server.url}
        monkeypatch.setattr(kaggle_env, "_env_to_endpoint", endpoints)
        yield server


def send(root: Path, **more) -> list[float]:
    """Submit the last one; return the pauses between questions, which are not made."""
    pauses: list[float] = []
    changes = more.pop("changes", {})
    config = Config.model_validate(CONFIG | changes)
    submit(Workspace(root, "tiny"), config, sleep=pauses.append, **more)
    return pauses


def entry_of(root: Path) -> dict:
    return read_ledger(root / "submissions" / "tiny" / "ledger.jsonl")[-1]


@needs_client
def test_a_submission_is_sent_and_its_score_written_down(copied, kaggle, capsys):
    kaggle.scores = [("PENDING", "", ""), ("PENDING", "", ""), ("COMPLETE", "0.2", "")]
    assert send(copied, message="first") == [3.0, 6.0]
    assert kaggle.uploads == [submission(copied).read_bytes()]
    assert kaggle.listed[0]["fileName"] == submission(copied).name
    assert kaggle.listed[0]["description"] == "first"
    entry = entry_of(copied)
    assert entry["public_score"] == 0.2
    assert (entry["sent"]["status"], entry["sent"]["ref"], entry["sent"]["slug"]) == (
        *("scored", 1),
        "tiny",
    )
    said = capsys.readouterr().out
    assert f"file      submissions/tiny/{submission(copied).name} (9 rows" in said
    assert "public log_loss 0.2000, " in said
    assert "the interval for the public rows" in said


@needs_client
def test_the_same_file_is_never_sent_twice(copied, kaggle):
    """Where the score took too long, and where the ledger was lost, as of a killed run."""
    kaggle.scores = [("PENDING", "", "")]
    with pytest.raises(UserError, match=r"has no score after 10s\. Run the same command later"):
        send(copied, wait_seconds=10)
    assert entry_of(copied)["sent"]["status"] == "sent"
    (copied / "submissions" / "tiny" / "ledger.jsonl").write_text(
        json.dumps({k: v for k, v in entry_of(copied).items() if k != "sent"}) + "\n"
    )
    kaggle.scores = [("COMPLETE", "0.25", "")]
    send(copied)
    send(copied)
    assert len(kaggle.uploads) == 1
    assert entry_of(copied)["public_score"] == 0.25


@needs_client
def test_what_kaggle_no_longer_lists_is_not_sent_again(copied, kaggle):
    send(copied)
    kaggle.listed.clear()
    with pytest.raises(UserError, match="and Kaggle does not list it"):
        send(copied)
    assert len(kaggle.uploads) == 1


@needs_client
@pytest.mark.parametrize(
    ("method", "status", "message", "said"),
    [
        ("ListSubmissions", 401, "Unauthenticated", "does not take the credentials. Make a token"),
        ("ListSubmissions", 403, "Accept the rules", "accept its rules at https://www.kaggle.com"),
        ("StartSubmissionUpload", 403, "Permission denied", "competitions/tiny/rules"),
        ("CreateSubmission", 400, "Daily limit of 5 reached", "400: Daily limit of 5 reached. If"),
        ("CreateSubmission", 429, "Too many requests", "429: Too many requests. That is the daily"),
        ("ListSubmissions", 500, "Internal error", "500: Internal error. Run the same command"),
        ("upload", 400, "", "the upload failed, and nothing was submitted"),
    ],
)
def test_refusals_say_what_to_do(copied, kaggle, method, status, message, said):
    kaggle.fails = {method: (status, message)}
    with pytest.raises(UserError, match=re.escape(said)):
        send(copied)
    assert "sent" not in entry_of(copied)
    kaggle.fails = {}
    send(copied)  # and it is sent once the reason is gone
    assert len(kaggle.listed) == 1


@needs_client
def test_a_wrong_name_is_said_and_the_key_takes_the_right_one(copied, kaggle):
    kaggle.slug = "tiny-images-2026"
    with pytest.raises(UserError, match=re.escape("no competition 'tiny', or it takes no subm")):
        send(copied)
    send(copied, changes={"submission": {"slug": "tiny-images-2026"}})
    assert entry_of(copied)["sent"]["slug"] == "tiny-images-2026"


@needs_client
def test_a_file_that_kaggle_refuses_is_said_with_its_reason(copied, kaggle):
    kaggle.scores = [("ERROR", "", "Submission must have 10 rows")]
    for _ in range(2):
        with pytest.raises(UserError, match=r"Kaggle refused .*: Submission must have 10 rows\."):
            send(copied)
    assert len(kaggle.uploads) == 1
    assert entry_of(copied)["sent"]["status"] == "refused"
    assert "public_score" not in entry_of(copied)


@needs_client
def test_a_wrong_token_is_an_error_and_none_is_a_dry_run(copied, kaggle, monkeypatch, capsys):
    kaggle.knows_token = False
    with pytest.raises(UserError, match="does not know the token of KAGGLE_API_TOKEN"):
        send(copied)
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    send(copied)
    assert "Dry run, nothing is sent: no token of Kaggle's" in capsys.readouterr().out
    assert "ListSubmissions" not in kaggle.calls


@needs_client
def test_a_key_of_an_older_account_works_too(copied, kaggle, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "0123456789")
    send(copied)
    assert len(kaggle.uploads) == 1


@needs_client
def test_where_kaggle_is_not_reached_it_says_so(copied, kaggle, monkeypatch):
    kaggle_env = pytest.importorskip("kagglesdk.kaggle_env")
    gone = {kaggle_env.KaggleEnv.LOCAL: "http://localhost:9"}
    monkeypatch.setattr(kaggle_env, "_env_to_endpoint", gone)
    with pytest.raises(UserError, match=r"Kaggle is not reached \(ConnectionError\)"):
        send(copied)


RUN = """
import sys
import kagglesdk.kaggle_env as kaggle_env
kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] = {url!r}
from pipeline.__main__ import main
sys.argv = ["pipeline", "submit", "--config", "tiny.yaml", "--wait", "0"]
main()
"""


@needs_client
@pytest.mark.slow
@pytest.mark.parametrize("fails", [{}, {"CreateSubmission": (400, f"no {TOKEN} here")}])
def test_tokens_are_in_no_line_and_no_file(copied, kaggle, fails):
    """Also where the client is asked to print its requests, and the answer holds the token."""
    kaggle.fails = fails
    loud = {"VERBOSE": "1", "LOG": "DEBUG", "PYTHONPATH": f"{CODE}:{os.environ['PYTHONPATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(url=kaggle.url)],
        cwd=copied,
        env=os.environ | loud,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == (2 if fails else 0), said
    assert len(kaggle.uploads) == 1
    files = [path.read_bytes() for path in copied.rglob("*") if path.is_file()]
    for secret in (TOKEN, "secret-of-the-upload", "Authorization"):
        assert secret not in said
        assert not any(secret.encode() in content for content in files)


def test_without_the_client_it_is_a_dry_run(copied, monkeypatch, capsys):
    monkeypatch.setattr(submit_stage, "is_installed", lambda: False)
    send(copied, message="hello")
    said = capsys.readouterr().out
    assert "message   hello\n" in said
    assert "to        https://www.kaggle.com/competitions/tiny\n" in said
    assert "expected  log_loss " in said
    assert "Dry run, nothing is sent: Kaggle's client is not installed. `make install EX" in said


def other(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The file in some wrong forms."""
    twice = table.copy()
    twice.loc[1, "id"] = twice.loc[0, "id"]
    blank = table.copy()
    blank.loc[2, "red"] = None
    return {
        "columns": table[["id", "red", "blue", "green"]],
        "rows": table[:-1],
        "ids": twice,
        "cells": blank,
    }


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("columns", "columns ['id', 'red', 'blue', 'green'], expected ['id', 'red', 'green', 'bl"),
        ("rows", "its ids are not the sample's: 1 missing ['038.png'], 0 unknown"),
        ("ids", "1 missing ['031.png'], 0 unknown [], 1 repeated ['030.png']"),
        ("cells", "1 cells of 'red' are no finite numbers"),
    ],
)
def test_a_file_that_was_changed_is_not_sent(copied, monkeypatch, form, said):
    monkeypatch.setattr(submit_stage, "is_installed", lambda: pytest.fail("goes on"))
    path = submission(copied)
    other(pd.read_csv(path))[form].to_csv(path, index=False)
    with pytest.raises(UserError, match=re.escape(said)):
        send(copied)


def test_the_name_on_kaggle_changes_no_submission(copied, caplog):
    caplog.set_level("INFO")
    run(copied, blends=["soft_vote"], submission={"slug": "tiny-images"})
    assert "up to date, nothing to do" in caplog.text
