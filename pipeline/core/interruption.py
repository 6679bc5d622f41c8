"""Ctrl-C and SIGTERM: a run ends with one line on how to go on."""

import signal
import sys
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT  # the exit codes that shells expect
TERMINATED = 128 + signal.SIGTERM


def end_by_sigterm() -> None:
    """Let SIGTERM, which schedulers send, end a run as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the run at once
    sys.exit(TERMINATED)


def print_interrupted() -> None:
    """Say how to go on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the run at once
    print(
        "interrupted: finished work is kept; the same command continues from there",
        file=sys.stderr,
    )
