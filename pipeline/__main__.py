"""The command line: one command per stage; each imports only what it runs."""

import errno
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pipeline.core.interruption import (
    INTERRUPTED,
    TERMINATED,
    catch_early_interrupts,
    end_by_sigterm,
    print_interrupted,
)

catch_early_interrupts()  # what is imported below takes a while

import typer
from typer.core import TyperGroup

from pipeline.core.artifacts import WRITE_ERRORS
from pipeline.core.log_lines import start_logging
from pipeline.core.runtime import let_threads_sleep, tune_allocator
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.workflow.make_variables import refuse_ignored


class Commands(TyperGroup):
    """Commands whose EOFError is an error; Click takes it for Ctrl-D and says "Aborted."."""

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
BudgetOption = Annotated[
    str, typer.Option("--budget", help="Leave out members that do not fit into 30m, 6h, 1h30m.")
]
FoldOption = Annotated[
    str, typer.Option("--fold", help="Only these folds: 0,1; of each repeat K more")
]

RunOption = Annotated[
    str, typer.Option("--run", help="A submission: part of its name, last or best.")
]
NoteOption = Annotated[str, typer.Option("--note", help="A note on the submission.")]


def _whole(stage: str) -> Callable[..., None]:
    """Return the command of a stage that has no parts."""

    def command(
        config: ConfigOption = "digits",
        overrides: Overrides = None,
        more: SetOption = "",
        run: RunOption = "",
    ) -> None:
        from pipeline.workflow import make

        make.run(stage, config, _split(overrides, more), repeats=run)

    return command


def _in_time(stage: str) -> Callable[..., None]:
    """Return the command of a stage that can be limited to a time."""

    def command(
        config: ConfigOption = "digits",
        overrides: Overrides = None,
        more: SetOption = "",
        budget: BudgetOption = "",
        run: RunOption = "",
        note: NoteOption = "",
    ) -> None:
        from pipeline.workflow import make

        chosen = _split(overrides, more)
        make.run(stage, config, chosen, budget=budget, repeats=run, note=note)

    return command


def _in_parts(stage: str) -> Callable[..., None]:
    """Return the command of a stage that can be limited to members and folds."""

    def command(
        config: ConfigOption = "digits",
        overrides: Overrides = None,
        more: SetOption = "",
        member: MemberOption = "",
        fold: FoldOption = "",
        run: RunOption = "",
    ) -> None:
        from pipeline.workflow import make

        chosen = _split(overrides, more)
        make.run(stage, config, chosen, members=member, folds=fold, repeats=run)

    return command


def _check(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    member: MemberOption = "",
) -> None:
    from pipeline.workflow import make

    if not make.check(config, _split(overrides, more), members=member):
        raise typer.Exit(1)


def _weights(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    from pipeline.workflow import make

    make.weights(config, _split(overrides, more))


def _doctor(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    from pipeline.workflow import make

    if not make.doctor(config, _split(overrides, more)):
        raise typer.Exit(1)


def _ledger(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    run: RunOption = "",
    note: NoteOption = "",
    public: Annotated[str, typer.Option("--public", help="Its public score: 0.934")] = "",
) -> None:
    from pipeline.stages.ledger import show_ledger

    show_ledger(_workspace(config, overrides, more), run=run, note=note, public=public)


def _diff(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    a: Annotated[str, typer.Option("--a", help="A submission; default: the one before B.")] = "",
    b: Annotated[str, typer.Option("--b", help="A submission; default: the last one.")] = "",
) -> None:
    from pipeline.stages.diff import show_diff

    show_diff(_workspace(config, overrides, more), a, b)


def _restore(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    run: RunOption = "",
    out: Annotated[str, typer.Option("--out", help="The file; default: restored_NAME.yaml")] = "",
) -> None:
    from pipeline.stages.restore import restore

    restore(_workspace(config, overrides, more), run=run, out=out)


def _reproduce(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    run: RunOption = "",
) -> None:
    from pipeline.workflow.reproduce import reproduce

    if not reproduce(_workspace(config, overrides, more), run=run):
        raise typer.Exit(1)


def _clean(
    competition: Annotated[str, typer.Argument(help="The folder under input/.")] = "",
    keep: Annotated[
        str, typer.Option("--keep", help="Parts that stay: submissions,models or nothing.")
    ] = "",
) -> None:
    from pipeline.stages.clean import clean

    if not competition:
        raise UserError("which competition? Say COMPETITION=name, a folder under features/.")
    clean(Workspace(Path.cwd(), competition), keep)


def _status(
    config: ConfigOption = "digits", overrides: Overrides = None, more: SetOption = ""
) -> None:
    from pipeline.workflow.status import show_status

    show_status(_workspace(config, overrides, more))


def _board(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    port: Annotated[str, typer.Option("--port", help="Default: 6006, or the next free.")] = "",
) -> None:
    from pipeline.stages.board import open_board

    open_board(_workspace(config, overrides, more), port=port)


def _kernel(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    run: RunOption = "",
) -> None:
    from pipeline.stages.kernel import make_kernel

    if _split(overrides, more):
        raise UserError("kernel: SET= changes nothing of a submission. Use it with make ensemble.")
    make_kernel(config, _workspace(config, None, ""), run=run)


def _submit(
    config: ConfigOption = "digits",
    overrides: Overrides = None,
    more: SetOption = "",
    run: RunOption = "",
    message: Annotated[str, typer.Option("--message", help="Shown beside the score.")] = "",
    wait: Annotated[str, typer.Option("--wait", help="Seconds to wait for the score.")] = "",
) -> None:
    from pipeline.config.load import load_config
    from pipeline.stages.submit import WAIT_SECONDS, submit

    if wait and not wait.isdecimal():
        raise UserError(f"WAIT={wait}: expected a number of seconds, such as WAIT=600.")
    settings = load_config(config, _split(overrides, more))
    submit(
        Workspace(Path.cwd(), settings.competition),
        settings,
        run=run,
        message=message,
        wait_seconds=float(wait or WAIT_SECONDS),
    )


def _demo(overrides: Overrides = None, more: SetOption = "") -> None:
    from pipeline.workflow import make

    make.demo(_split(overrides, more))


def _new(
    competition: Annotated[str, typer.Argument(help="The folder under input/.")] = "",
    target: Annotated[str, typer.Option("--target", help="Target columns: label or a,b,c.")] = "",
    metric: Annotated[str, typer.Option("--metric", help="Our name of it, or Kaggle's.")] = "",
    budget: Annotated[str, typer.Option("--budget", help="Time for a first run: 30m, 6h.")] = "",
    out: Annotated[str, typer.Option("--out", help="File to write; default: NAME.yaml.")] = "",
) -> None:
    from pipeline.discovery.discover import Asked
    from pipeline.stages.new import write_config
    from pipeline.workflow.budget import parse_budget

    competition = competition.removeprefix("./").removeprefix("input/").rstrip("/")  # completed
    if not competition:
        raise UserError("which competition? Say COMPETITION=name, the folder under input/.")
    seconds = parse_budget(budget) if budget else None
    write_config(Path.cwd(), competition, Asked(target, metric.strip(), seconds), out)


def _config(
    config: ConfigOption = "",
    overrides: Overrides = None,
    more: SetOption = "",
    show: Annotated[bool, typer.Option("--show", help="Print the resolved config.")] = False,
) -> None:
    from pipeline.config import explain
    from pipeline.metrics.find_metric import METRICS_OF_KIND

    if show or config:
        explain.show(config, _split(overrides, more))
        return
    explain.schema()
    explain.backbones()
    explain.metrics(METRICS_OF_KIND)


COMMANDS = {  # name: function, help
    "new": (_new, "Look at input/NAME and write a commented config for it."),
    "doctor": (
        _doctor,
        "Look whether this machine, a config and its files are ready; exit code 1 if not.",
    ),
    "folds": (_whole("folds"), "Check the competition's files, find duplicates, write folds.csv."),
    "features": (_whole("features"), "Extract frozen features of each backbone, once."),
    "weights": (
        _weights,
        "Bring the hub's weights into a folder for machines without internet.",
    ),
    "check": (
        _check,
        "Try each network for a minute before a long training; exit code 1 if a check failed.",
    ),
    "audit": (
        _whole("audit"),
        "Look for target leaks and train/test shift; run a permutation test.",
    ),
    "plan": (
        _in_time("plan"),
        "Print what is to do, with times and memory predicted by a few batches.",
    ),
    "train": (_in_parts("train"), "Fit every member on every fold."),
    "infer": (_in_parts("infer"), "Predict held-out and test rows with every member."),
    "ensemble": (
        _in_time("ensemble"),
        "Blend the members, estimate the score, write the submission.",
    ),
    "ledger": (_ledger, "Print submissions, the best first; write a note or a public score."),
    "diff": (_diff, "Print what differs between two submissions."),
    "restore": (_restore, "Write a submission's settings as a YAML file that runs."),
    "reproduce": (
        _reproduce,
        "Make a submission again from its settings alone; exit code 1 if its file differs.",
    ),
    "clean": (_clean, "Say what a competition's artifacts hold; with --keep, remove the others."),
    "status": (_status, "Say what runs on a competition are doing now, and what is left."),
    "board": (_board, "Open TensorBoard over the training logs of all networks."),
    "kernel": (_kernel, "Write a dataset and a notebook that predict where there is no internet."),
    "submit": (_submit, "Send a submission to Kaggle and wait for its public score."),
    "report": (_in_time("report"), "Write a page of figures and tables about all of it."),
    "demo": (_demo, "Run all stages on the handwritten digits of scikit-learn."),
    "config": (
        _config,
        "Print every key of the YAML with its default; with --show, a config fully resolved.",
    ),
}
for _name, (_command, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_command)


def main() -> None:
    """Run a command; print errors that a user caused as one message, without a traceback.

    Exit code 2 for these errors, 130 for Ctrl-C, 143 for SIGTERM.
    """
    tune_allocator()
    let_threads_sleep()
    end_by_sigterm()
    start_logging()
    # A class name that a terminal cannot show does not end a run.
    sys.stdout.reconfigure(errors="replace")
    try:
        refuse_ignored(next(iter(sys.argv[1:]), ""), COMMANDS, os.environ)
        app()
    except KeyboardInterrupt:
        print_interrupted()
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        if end.code in (INTERRUPTED, TERMINATED):  # Typer exits so, without a message
            print_interrupted()
        raise
    except UserError as error:
        sys.exit(_print_error(str(error)))
    except OSError as error:
        if error.filename is None and error.errno not in WRITE_ERRORS:
            raise
        sys.exit(_print_error(_disk_error(error)))


def _disk_error(error: OSError) -> str:
    """Return where reading or writing failed, why, and how much room there is."""
    path = Path(os.fsdecode(error.filename or Path.cwd()))  # TensorBoard names files in bytes
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
        free = shutil.disk_usage(folder).free / 2**20
        what = f"{free:,.1f} MiB are free in {folder}. Make room there (or of files: `df -i`)"
    elif error.errno in WRITE_ERRORS:
        what = "Allow reading and writing there"
    else:
        what = "Look at the file there"
    return (
        f"{path}: {error.strerror}. {what}, and run the same command again: finished work is kept."
    )


def _workspace(config: str, overrides: list[str] | None, more: str) -> Workspace:
    """Return the folders of a config's competition."""
    from pipeline.config.load import load_config

    return Workspace(Path.cwd(), load_config(config, _split(overrides, more)).competition)


def _split(overrides: list[str] | None, more: str) -> list[str]:
    """Return overrides as a list; a value may hold spaces, a new one begins at `key=`."""
    texts = re.split(r"\s+(?=[\w.-]+=)", more.strip())
    return [*(overrides or []), *filter(None, texts)]


def _print_error(message: str) -> int:
    for line in message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
