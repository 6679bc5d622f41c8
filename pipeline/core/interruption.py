"""Ends of processes: Ctrl-C and SIGTERM, with one line on how to go on, and a parent's death."""

import os
import signal
import sys
import threading
from multiprocessing import parent_process
from types import FrameType, TracebackType

INTERRUPTED = 128 + signal.SIGINT  # the exit codes that shells expect
TERMINATED = 128 + signal.SIGTERM


def catch_early_interrupts() -> None:
    """Print the one line for Ctrl-C also while libraries are imported, before a command begins."""
    sys.excepthook = _print_exception


def _print_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print_interrupted()
    else:
        sys.__excepthook__(kind, error, trace)


def end_by_sigterm() -> None:
    """Let SIGTERM, which schedulers send, end a run as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the run at once
    sys.exit(TERMINATED)


def end_with_parent() -> None:
    """Let this process end when the one that started it has ended, even by SIGKILL.

    torch's workers compare their parent's number with the one that they began with, and so miss a
    parent that ended while they were starting: they would stay for ever.
    """
    threading.Thread(target=_wait_for_parents_end, daemon=True).start()


def _wait_for_parents_end() -> None:
    parent_process().join()
    os.kill(os.getpid(), signal.SIGKILL)


def print_interrupted() -> None:
    """Say how to go on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the run at once
    print(
        "interrupted: finished work is kept; the same command continues from there",
        file=sys.stderr,
    )
