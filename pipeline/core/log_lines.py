"""Log lines: plain text in files; at a terminal, a running job's progress moves in place."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

CHATTY = ("matplotlib", "PIL", "timm", "lightning", "lightning.fabric", "urllib3")
STYLES = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}
_job = ""  # what this process is doing; a process does one job at a time


def is_verbose() -> bool:
    """Return whether VERBOSE=1 asks for details of training and the statistics in full."""
    return os.environ.get("VERBOSE", "") not in ("", "0")


def start_logging(*, in_worker: bool = False) -> None:
    """Send log lines to stderr; results go to stdout.

    LOG=WARNING and the like choose the least level of lines, VERBOSE=1 is LOG=DEBUG.

    Args:
        in_worker: whether lines go nowhere but into the files of jobs.
    """
    level = logging.getLevelName(os.environ.get("LOG", "DEBUG" if is_verbose() else "INFO").upper())
    at_terminal = sys.stderr.isatty() and level <= logging.INFO and not in_worker
    handler = _TerminalLines(level) if at_terminal else logging.StreamHandler(sys.stderr)
    if in_worker:
        handler = logging.NullHandler()
    handler.setFormatter(JobFormatter("%(message)s"))
    if not at_terminal:
        handler.addFilter(lambda record: record.levelno >= logging.INFO or not _progress(record))
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO))
    logging.getLogger("pipeline").setLevel(logging.DEBUG if at_terminal else level)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def lines_of_job(name: str) -> Iterator[None]:
    """Begin every log line with a job's name, until the job ends."""
    global _job
    _job = name
    try:
        yield
    finally:
        _job = ""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, _TerminalLines):
                handler.end_bar()


@contextmanager
def lines_in_file(path: Path) -> Iterator[None]:
    """Also append log lines to a file, each with its time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _FileLines(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(lambda record: bool(record.getMessage()))  # progress that says nothing yet
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


@contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """Yield a list, to which warnings and errors are added as they come."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(JobFormatter("%(message)s").format(record))
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


def log_progress(
    logger: logging.Logger, done: int, total: int, text: str, *, level: int = logging.INFO
) -> None:
    """Log how far a job is: a bar at a terminal, a line elsewhere.

    Args:
        level: DEBUG for steps that only a terminal shows.
    """
    logger.log(level, "%s", text, extra={"progress": (done, total)})


def _progress(record: logging.LogRecord) -> tuple[int, int] | None:
    return getattr(record, "progress", None)


class JobFormatter(logging.Formatter):
    """Puts the name of the running job before a line."""

    def format(self, record: logging.LogRecord) -> str:
        return " · ".join(filter(None, (_job, super().format(record))))


class _FileLines(logging.FileHandler):
    """Lines in a file, if they can be written."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave a full disk to those whose files are needed."""


class _TerminalLines(logging.Handler):
    """Prints lines, and below them a bar that moves."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.least_level, self.pid = level, os.getpid()
        self.console = Console(stderr=True, highlight=False)
        self.bar: Progress | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text, progress = self.format(record), _progress(record)
        if os.getpid() != self.pid:  # a forked worker shares no thread that draws
            print(text, file=sys.stderr)
        elif progress is not None:
            self._draw_bar(text, *progress)
        elif record.levelno >= self.least_level:
            self.console.print(Text(text, style=STYLES.get(record.levelno, "")))

    def _draw_bar(self, text: str, done: int, total: int) -> None:
        if self.bar is None:
            description = TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            )
            self.bar = Progress(
                *(SpinnerColumn(), description, BarColumn(bar_width=20), TaskProgressColumn()),
                console=self.console,
                transient=True,
                refresh_per_second=4,
            )
            self.bar.add_task("")
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], description=text, completed=done, total=total)

    def end_bar(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
