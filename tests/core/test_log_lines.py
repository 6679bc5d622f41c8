"""Log lines: named by their job in files; at a terminal, progress moves in place."""

import io
import logging
import sys

import pytest
from rich.console import Console

from pipeline.core import log_lines
from pipeline.core.log_lines import lines_of_job, log_progress, start_logging

log = logging.getLogger("pipeline.test")


@pytest.fixture
def root_logger(monkeypatch: pytest.MonkeyPatch):
    """The root logger without handlers, and as it was afterwards."""
    root, package = logging.getLogger(), logging.getLogger("pipeline")
    handlers, levels = root.handlers[:], (root.level, package.level)
    for name in ("VERBOSE", "LOG"):
        monkeypatch.delenv(name, raising=False)
    yield root
    root.handlers = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])


def start_anew() -> None:
    logging.getLogger().handlers = []  # pytest's
    start_logging()


def say() -> None:
    log.info("before")
    with lines_of_job("[7/15] train net fold 2"):
        log.info("epoch 3/8 · loss 0.41")
        log.debug("details")
        log_progress(log, 1, 2, "1/2 views")
        log_progress(log, 1, 2, "batch 1/2", level=logging.DEBUG)
    log.warning("after")


IN_JOB = ["[7/15] train net fold 2 · epoch 3/8 · loss 0.41", "[7/15] train net fold 2 · 1/2 views"]


@pytest.mark.parametrize(
    ("variable", "lines"),
    [
        ("", ["before", *IN_JOB, "after"]),
        ("LOG=WARNING", ["after"]),
        (
            "VERBOSE=1",
            ["before", IN_JOB[0], "[7/15] train net fold 2 · details", IN_JOB[1], "after"],
        ),
    ],
)
def test_a_file_gets_plain_lines_that_name_their_job(
    variable, lines, root_logger, monkeypatch, capsys
) -> None:
    name, _, value = variable.partition("=")
    if name:
        monkeypatch.setenv(name, value)
    start_anew()
    say()
    assert capsys.readouterr().err.splitlines() == lines


def test_a_job_that_fails_does_not_name_later_lines(root_logger, capsys) -> None:
    start_anew()
    with pytest.raises(ValueError, match="broken"), lines_of_job("job"):
        raise ValueError("broken")
    log.info("later")
    assert capsys.readouterr().err.splitlines() == ["later"]


def test_a_terminal_shows_progress_as_a_bar_and_keeps_lines(root_logger, monkeypatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(
        log_lines, "Console", lambda **_: Console(file=screen, force_terminal=True, width=100)
    )
    start_anew()
    say()
    shown = screen.getvalue()
    assert "batch 1/2" in shown
    assert "50%" in shown
    assert "details" not in shown
    kept = [line.strip() for line in shown.split("\n") if "loss 0.41" in line]
    assert any(line.endswith("epoch 3/8 · loss 0.41") for line in kept)
    (handler,) = root_logger.handlers
    assert handler.bar is None  # it goes with its job
