"""Rules across sections of a config: names that refer to others, and what fits the task."""

import re
from collections.abc import Iterator

from pipeline.config.dependencies import backbones_of, depends_on
from pipeline.config.members import METADATA, STACKED
from pipeline.config.schema import (
    Config,
    External,
    Learner,
    Network,
    Pseudo,
    Start,
    blends_of_probabilities,
    known_blends,
)
from pipeline.errors import did_you_mean

TAKEN = {  # folders beside theirs, and what `submission.blend` and `teacher` may also name
    "backbones": (
        *("images", METADATA, STACKED),
        *("folds.csv", "audit.json", "meta.json", "failed.json", "traceback.txt"),
    ),
    "members": ("attic", "best"),  # and blends
}
SAME_FOR_START = ("network", "channels", "pool", "stages")
SAME_FOR_HEAD = ("head", "hidden")
MAX_NAME = 100  # letters; a disk takes 255 bytes, and folders in the attic have longer names
Problem = tuple[tuple[str, ...], str]  # path of a key, what is wrong with it


def find_problems(config: Config) -> list[Problem]:
    """Return what is wrong between sections that are each valid on their own."""
    problems = [*_wrong_names(config), *_wrong_blends(config)]
    for name in config.members:
        problems += _missing_package(config, name)
        problems += _wrong_for_task(config, name)
        problems += _wrong_backbones(config, name)
        problems += _wrong_teachers(config, name)
        problems += _wrong_round_before(config, name)
        problems += _wrong_start(config, name)
        problems += _wrong_stacks(config, name)
    return problems


def _wrong_names(config: Config) -> Iterator[Problem]:
    """Yield names of backbones and members that cannot be folders, or that are taken."""
    for section in ("backbones", "members"):
        blends = known_blends() if section == "members" else ()
        taken = {taken.lower() for taken in (*TAKEN[section], *blends)}
        for name in getattr(config, section):
            same = [other for other in getattr(config, section) if other.lower() == name.lower()]
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
                yield (section, name), f"{section} name {name!r} must be usable as a folder's name"
            elif len(name) > MAX_NAME:
                reason = f"has {len(name)} letters, more than {MAX_NAME}; a folder is named so"
                yield (section, name), f"{section} name {name[:20]}... {reason}"
            elif name.lower() in taken:
                yield (section, name), f"{section} name {name!r} is taken; call it otherwise"
            elif same[0] != name:
                reason = f"differs from {same[0]!r} in case only, which some disks do not tell"
                yield (section, name), f"{section} name {name!r} {reason}; call it otherwise"


def _wrong_blends(config: Config) -> Iterator[Problem]:
    """Yield blends that do not fit the task, and a submission of a blend that does not exist."""
    for blend in config.blends:
        if config.task.is_regression and blend in blends_of_probabilities():
            yield (
                ("blends",),
                f"blends: {blend} is for probabilities, but task.kind is regression; soft_vote "
                "(mean) and hard_vote (median) take its place",
            )
    names = ["best", *config.blends, *config.members]
    if (chosen := config.submission.blend) not in names:
        yield ("submission", "blend"), f"no blend {chosen!r}{did_you_mean(chosen, names)}"


def _missing_package(config: Config, name: str) -> Iterator[Problem]:
    """Yield a learner whose package is not installed."""
    member = config.members[name]
    if isinstance(member, Learner) and not member.entry.is_installed:
        yield (
            ("members", name, "learner"),
            f"members.{name}: {member.learner} needs a package that is not installed; run "
            f"`pip install {member.entry.package}`",
        )


def _wrong_for_task(config: Config, name: str) -> Iterator[Problem]:
    """Yield settings that need classes, or one class per row, in a task without them."""
    member, task = config.members[name], config.task
    if task.has_one_class_per_row:
        return
    but, one_class = f"but task.kind is {task.kind}", "one class per row"
    if isinstance(member, Learner):
        if task.is_regression and member.entry.only_classes:
            yield (
                ("members", name, "learner"),
                f"members.{name}: {member.learner} predicts classes, {but}; use ridge, lightgbm, "
                "extra_trees, knn or mlp",
            )
        if member.class_weights != "none":
            yield (
                ("members", name, "class_weights"),
                f"members.{name}: class_weights need {one_class}, {but}",
            )
        if member.sampling == "smote" or (task.is_regression and member.sampling != "all"):
            needed = "classes" if task.is_regression else one_class
            yield (
                ("members", name, "sampling"),
                f"members.{name}: sampling: {member.sampling} needs {needed}, {but}",
            )
    pseudo = _pseudo(config, name)
    if pseudo is not None and pseudo.after is None:  # later rounds repeat the first one's settings
        for key in ("agreement", "balance"):
            if getattr(pseudo, key):
                yield (
                    ("members", name, "pseudo", key),
                    f"members.{name}: pseudo.{key} needs {one_class}, {but}",
                )


def _wrong_backbones(config: Config, name: str) -> Iterator[Problem]:
    """Yield backbones that do not exist, and metadata without columns."""
    member = config.members[name]
    key = "blocks" if isinstance(member, Learner) else "network"
    for backbone in backbones_of(member):
        if backbone not in config.backbones:
            near = did_you_mean(backbone, config.backbones)
            yield ("members", name, key), f"no backbone {backbone!r}{near}"
    has_columns = config.data.numeric or config.data.categorical
    if isinstance(member, Learner) and METADATA in member.blocks and not has_columns:
        reason = f"{METADATA} is made of data.numeric and data.categorical; name columns there"
        yield ("members", name, "blocks"), reason


def _wrong_teachers(config: Config, name: str) -> Iterator[Problem]:
    """Yield teachers that do not exist, that cannot teach, or that depend on their student."""
    others = _others(config, name)
    known = [*others, *known_blends()]
    for key, teacher in config.members[name].teachers.items():
        place = ("members", name, key)
        if isinstance(config.members.get(teacher), External):
            yield place, _external_teacher(teacher)
        elif teacher not in known:
            yield (
                place,
                f"no teacher {teacher!r}{did_you_mean(teacher, known)}",
            )
        elif depends_on(config, teacher, name):
            yield place, "its teacher depends on it, directly or through others"


def _wrong_round_before(config: Config, name: str) -> Iterator[Problem]:
    """Yield members that `pseudo.after` must not name."""
    pseudo, place = _pseudo(config, name), ("members", name, "pseudo", "after")
    if pseudo is None or pseudo.after is None:
        return
    others = _others(config, name)
    if pseudo.after not in others:
        yield place, f"no member {pseudo.after!r}{did_you_mean(pseudo.after, others)}"
    elif isinstance(config.members[pseudo.after], External):
        yield place, _external_teacher(pseudo.after)
    elif pseudo.teacher not in (*known_blends(), pseudo.after):
        yield place, f"{pseudo.after} joins a blend that teaches, but {pseudo.teacher} is a member"
    elif pseudo.teacher in known_blends() and depends_on(config, pseudo.after, name):
        yield place, "the round before depends on it, directly or through others"


def _wrong_start(config: Config, name: str) -> Iterator[Problem]:
    """Yield members whose weights a network cannot start from."""
    start: Start | None = getattr(config.members[name], "start", None)
    if start is None:
        return
    place, member = ("members", name, "start"), config.members[name]
    others = _others(config, name)
    networks = [other for other in others if isinstance(config.members[other], Network)]
    if start.member not in networks:
        near = did_you_mean(start.member, networks)
        yield place, f"no network {start.member!r} to start from{near}"
        return
    if depends_on(config, start.member, name):
        yield place, "the member that it starts from depends on it, directly or through others"
    if member.all_rows and not config.members[start.member].all_rows:
        yield place, f"all_rows starts from a model of all rows: say so for {start.member} too"
    for key in (*SAME_FOR_START, *(SAME_FOR_HEAD if start.head == "keep" else ())):
        own, theirs = getattr(member, key), getattr(config.members[start.member], key)
        if own != theirs:
            yield place, f"{start.member} has {key} {theirs!r}, but {name} {own!r}: they must agree"


def _wrong_stacks(config: Config, name: str) -> Iterator[Problem]:
    """Yield members that cannot be fitted without two folds, as stacking with features needs."""
    place, others = ("members", name, "stacks"), _others(config, name)
    for stacked in getattr(config.members[name], "stacks", []):
        member = config.members.get(stacked)
        if stacked not in others:
            yield place, f"no other member {stacked!r} to stack{did_you_mean(stacked, others)}"
        elif isinstance(member, External):
            yield place, f"{stacked} was made elsewhere and cannot be fitted again without a fold"
        elif isinstance(member, Network):
            reason = f"{stacked} is a network, to be trained K - 1 times more in each of K folds"
            yield place, f"{reason}; only learners are stacked with features, blends stack the rest"
        elif member.depends_on:
            reason = f"{stacked} depends on {member.depends_on}, whose models saw rows that a refit"
            yield place, f"{reason} must not see"


def _others(config: Config, name: str) -> list[str]:
    return [other for other in config.members if other != name]


def _pseudo(config: Config, name: str) -> Pseudo | None:
    return getattr(config.members[name], "pseudo", None)


def _external_teacher(name: str) -> str:
    return f"{name} was made elsewhere: which rows its test predictions saw is not known"
