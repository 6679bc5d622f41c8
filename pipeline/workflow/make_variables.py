"""Variables of make that not every target takes."""

from collections.abc import Collection, Mapping

from pipeline.errors import UserError

# Which targets take a variable, and what to say to the others.
TAKEN_BY = {
    "MEMBER": (
        ("check", "train", "infer"),
        'To leave a member out of the blend: SET="members.NAME=null"; to submit one alone: '
        'SET="submission.blend=NAME"; to fit one: make train MEMBER=NAME.',
    ),
    "FOLD": (("train", "infer"), "To fit one fold: make train FOLD=0; a blend needs all folds."),
    "BUDGET": (("new", "plan", "ensemble", "report"), "It leaves members out of the blend."),
    "RUN": (
        (
            *("folds", "audit", "features", "plan", "train", "infer", "ensemble", "report"),
            *("kernel", "ledger", "restore", "reproduce", "submit"),
        ),
        "`make restore RUN=...` writes a submission's settings to a file for CONFIG=.",
    ),
    "NOTE": (
        ("ensemble", "report", "ledger"),
        'On a submission that is there: make ledger RUN=last NOTE="...".',
    ),
    "OUT": (("new", "restore"), "It names the YAML file that is written."),
    "COMPETITION": (("new", "clean"), "CONFIG= names a config."),
    "KEEP": (("clean",), "It names what `make clean` does not remove."),
    "TARGET": (("new",), "The config names it: SET=task.target=NAME."),
    "METRIC": (("new",), "The config names it: SET=task.metric=NAME."),
    "PORT": (("board",), "make board PORT=6007 opens TensorBoard there."),
    "MESSAGE": (("submit",), "A note on a submission is NOTE=."),
    "WAIT": (("submit",), "make submit WAIT=600 waits so many seconds for the score."),
    "A": (("diff",), "make diff A=NAME B=NAME compares two submissions."),
    "B": (("diff",), "make diff A=NAME B=NAME compares two submissions."),
    "PUBLIC": (("ledger",), "Write it with make ledger RUN=last PUBLIC=0.934."),
}


def refuse_ignored(stage: str, stages: Collection[str], environ: Mapping[str, str]) -> None:
    """Refuse what make hands over to a target that does nothing with it.

    Raises:
        UserError: with what to say instead.
    """
    if "MAKELEVEL" not in environ or stage not in stages:  # not called by make
        return
    for name, (targets, advice) in TAKEN_BY.items():
        if (value := environ.get(name, "").strip()) and stage not in targets:
            raise UserError(
                f"make {stage} takes no {name}= (given: {value}); {', '.join(targets)} do. {advice}"
            )
