"""The command line: one sub-command per stage; imports only what the work at hand needs."""

import errno
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.core.runtime import start_logging, tune_allocator
from pipeline.errors import UserError
from pipeline.workflow.jobs import NOTHING_CAN_BE_WRITTEN

INTERRUPTED = 130  # what a shell expects of a command that Ctrl-C ended


class Commands(TyperGroup):
    """Click takes a command's EOFError for Ctrl-D and says "Aborted."; here it is an error."""

    def invoke(self, ctx: typer.Context) -> Any:
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise RuntimeError(f"a file ended too early: {error}") from error


app = typer.Typer(
    cls=Commands,
    help="From a folder of images to an accepted submission and an honest score estimate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    str, typer.Option("--config", "-c", help="A YAML file, or the name of a shipped config.")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Keys to override: folds.n=3 members.net.epochs=2")
]
MemberOption = Annotated[str, typer.Option("--member", help="Only these members: linear,net")]
SetOption = Annotated[str, typer.Option("--set", help="The same as one text: 'folds.n=3 seed=1'")]
FoldOption = Annotated[
    str, typer.Option("--fold", help="Only these folds: 0,1; of each repeat K more")
]


@app.command()
def folds(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    """Check the competition's files, find duplicates, write folds.csv."""
    from pipeline.workflow import make

    make.run("folds", config, _split(overrides, more))


@app.command()
def features(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    """Extract frozen features of each backbone, once."""
    from pipeline.workflow import make

    make.run("features", config, _split(overrides, more))


@app.command()
def check(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    member: MemberOption = "",
) -> None:
    """Try each network for a minute before a night of training; exit code 1 if a check failed."""
    from pipeline.workflow import make

    if not make.check(config, _split(overrides, more), members=member):
        raise typer.Exit(1)


@app.command()
def audit(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    """Look for leaks: file features, train/test shift, a permutation test on shuffled targets."""
    from pipeline.workflow import make

    make.audit(config, _split(overrides, more))


@app.command()
def train(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    member: MemberOption = "",
    fold: FoldOption = "",
) -> None:
    """Fit every member on every fold."""
    from pipeline.workflow import make

    make.run("train", config, _split(overrides, more), members=member, folds=fold)


@app.command()
def infer(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    member: MemberOption = "",
    fold: FoldOption = "",
) -> None:
    """Predict held-out and test rows with every member."""
    from pipeline.workflow import make

    make.run("infer", config, _split(overrides, more), members=member, folds=fold)


@app.command()
def ensemble(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    """Blend the members, estimate the score, write the submission."""
    from pipeline.workflow import make

    make.run("ensemble", config, _split(overrides, more))


@app.command()
def report(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    """Write a page of pictures and numbers about all of it."""
    from pipeline.workflow import make

    make.run("report", config, _split(overrides, more))


@app.command()
def demo(overrides: Overrides = None, more: SetOption = "") -> None:
    """Write the handwritten digits of scikit-learn as a competition and run the whole chain."""
    from pipeline.workflow import make

    make.demo(_split(overrides, more))


@app.command(name="config")
def show_config(
    config: ConfigOption = "",
    overrides: Overrides = None,
    more: SetOption = "",
    show: Annotated[bool, typer.Option("--show", help="Print the resolved config.")] = False,
) -> None:
    """Print every key of the YAML with its default; with --show, a config fully resolved."""
    from pipeline.config import explain
    from pipeline.metrics.named import METRICS_OF_KIND

    if show or config:
        explain.show(config, _split(overrides, more))
        return
    explain.schema()
    explain.metrics(METRICS_OF_KIND)


def main() -> None:
    """Run a command; what a user caused is one message and exit code 2, never a traceback.

    Ctrl-C: one message and exit code 130.
    """
    tune_allocator()
    start_logging()
    sys.stdout.reconfigure(errors="replace")  # a class name that a terminal cannot show ends no run
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(_interrupted())
    except SystemExit as end:
        if end.code == INTERRUPTED:  # Typer makes this of Ctrl-C, without a word
            _interrupted()
        raise
    except UserError as error:
        sys.exit(_refuse(str(error)))
    except OSError as error:
        if error.filename is None and error.errno not in NOTHING_CAN_BE_WRITTEN:
            raise
        sys.exit(_refuse(_of_the_disk(error)))


def _of_the_disk(error: OSError) -> str:
    """Where something cannot be read or written, why, and how much room there is."""
    path = Path(error.filename or Path.cwd())
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
        free = shutil.disk_usage(folder).free / 2**20
        what = f"{free:,.1f} MiB are free in {folder}. Make room there (or of files: `df -i`)"
    elif error.errno in NOTHING_CAN_BE_WRITTEN:
        what = "Allow reading and writing there"
    else:
        what = "Look at what lies there"
    return (
        f"{path}: {error.strerror}. {what}, and run the same command again: what was finished is "
        "kept."
    )


def _split(overrides: list[str] | None, more: str) -> list[str]:
    """Overrides as a list; a value may hold spaces, a new one begins at `key=`."""
    texts = re.split(r"\s+(?=[\w.-]+=)", more.strip())
    return [*(overrides or []), *filter(None, texts)]


def _interrupted() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C waits for no worker
    print(
        "interrupted: what is finished is kept; the same command goes on from there",
        file=sys.stderr,
    )
    return INTERRUPTED


def _refuse(message: str) -> int:
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
