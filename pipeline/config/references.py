"""Names in a config that refer to something else in it: backbones, teachers, blends."""

import re
from collections.abc import Iterable
from typing import get_args

from pipeline.config.members import METADATA, STACKED
from pipeline.config.schema import (
    AnyMember,
    BlendKind,
    Config,
    External,
    Learner,
    Network,
    Pseudo,
)
from pipeline.errors import nearest

BLENDS = get_args(BlendKind)
TAKEN = {  # folders beside theirs, and what `submission.blend` and `teacher` may also name
    "backbones": (
        *("images", METADATA, STACKED),
        *("folds.csv", "audit.json", "meta.json", "failed.json", "traceback.txt"),
    ),
    "members": ("attic", "best", *BLENDS),
}
SAME_FOR_START = ("network", "channels", "pool", "stages")
SAME_FOR_HEAD = ("head", "hidden")
MAX_NAME = 100  # letters; a disk takes 255 bytes, and folders in the attic have longer names
Problem = tuple[tuple[str, ...], str]  # path of a key, what is wrong with it


def wrong_references(config: Config) -> Iterable[Problem]:
    """Names that cannot be used, that refer to nothing, or that go in a circle."""
    for section in ("backbones", "members"):
        for name in getattr(config, section):
            same = [other for other in getattr(config, section) if other.lower() == name.lower()]
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
                yield (section, name), f"{section} name {name!r} must be usable as a folder's name"
            elif len(name) > MAX_NAME:
                reason = f"has {len(name)} letters, more than {MAX_NAME}; a folder is named so"
                yield (section, name), f"{section} name {name[:20]}... {reason}"
            elif name.lower() in TAKEN[section]:
                yield (section, name), f"{section} name {name!r} is taken; call it otherwise"
            elif same[0] != name:
                reason = f"differs from {same[0]!r} in case only, which some disks do not tell"
                yield (section, name), f"{section} name {name!r} {reason}; call it otherwise"
    for name, member in config.members.items():
        key = "blocks" if isinstance(member, Learner) else "network"
        for block in backbones_of(member):
            if block not in config.backbones:
                near = nearest(block, config.backbones)
                yield ("members", name, key), f"no backbone {block!r}{near}"
        asks = isinstance(member, Learner) and METADATA in member.blocks
        if asks and not (config.data.numeric or config.data.categorical):
            reason = f"{METADATA} is made of data.numeric and data.categorical; name columns there"
            yield ("members", name, "blocks"), reason
        yield from _wrong_teachers(config, name)
        yield from _wrong_stacks(config, name)
    if config.submission.blend not in ("best", *config.blends, *config.members):
        names = ["best", *config.blends, *config.members]
        near = nearest(config.submission.blend, names)
        yield ("submission", "blend"), f"no blend {config.submission.blend!r}{near}"


def _wrong_teachers(config: Config, name: str) -> Iterable[Problem]:
    member = config.members[name]
    others = [other for other in config.members if other != name]
    for key, teacher in member.teachers.items():
        if isinstance(config.members.get(teacher), External):
            reason = f"{teacher} was made elsewhere: nobody knows which rows its test part saw"
            yield ("members", name, key), reason
        elif teacher not in (*others, *BLENDS):
            near = nearest(teacher, [*others, *BLENDS])
            yield ("members", name, key), f"no teacher {teacher!r}{near}"
        elif _depends_on(config, teacher, name):
            yield ("members", name, key), "its teacher is, in the end, itself"
    if (pseudo := getattr(member, "pseudo", None)) is not None and pseudo.after is not None:
        yield from _wrong_round_before(config, name, pseudo)
    start = getattr(member, "start", None)
    if start is None:
        return
    networks = [other for other in others if isinstance(config.members[other], Network)]
    if start.member not in networks:
        near = nearest(start.member, networks)
        yield ("members", name, "start"), f"no network {start.member!r} to start from{near}"
        return
    if _depends_on(config, start.member, name):
        yield ("members", name, "start"), "it starts, in the end, from itself"
    if member.all_rows and not config.members[start.member].all_rows:
        reason = f"all_rows starts from a model of all rows: say so for {start.member} too"
        yield ("members", name, "start"), reason
    keys = (*SAME_FOR_START, *(SAME_FOR_HEAD if start.head == "keep" else ()))
    for key in keys:
        own, theirs = getattr(member, key), getattr(config.members[start.member], key)
        if own != theirs:
            reason = f"{start.member} has {key} {theirs!r}, but {name} {own!r}: they must agree"
            yield ("members", name, "start"), reason


def _wrong_stacks(config: Config, name: str) -> Iterable[Problem]:
    """Members that cannot be fitted anew without two folds, as stacking with features needs."""
    place = ("members", name, "stacks")
    others = [other for other in config.members if other != name]
    for stacked in getattr(config.members[name], "stacks", []):
        member = config.members.get(stacked)
        if stacked not in others:
            yield place, f"no other member {stacked!r} to stack{nearest(stacked, others)}"
        elif isinstance(member, External):
            yield place, f"{stacked} was made elsewhere and cannot be fitted again without a fold"
        elif isinstance(member, Network):
            reason = f"{stacked} is a network, to be trained K - 1 times more in each of K folds"
            yield place, f"{reason}; only learners are stacked with features, blends stack the rest"
        elif member.stands_on:
            reason = f"{stacked} follows {member.stands_on}, whose models saw what a refit must not"
            yield place, reason


def _wrong_round_before(config: Config, name: str, pseudo: Pseudo) -> Iterable[Problem]:
    """What `pseudo.after` may not be."""
    place = ("members", name, "pseudo", "after")
    others = [other for other in config.members if other != name]
    if pseudo.after not in others:
        yield place, f"no member {pseudo.after!r}{nearest(pseudo.after, others)}"
    elif isinstance(config.members[pseudo.after], External):
        yield (
            place,
            f"{pseudo.after} was made elsewhere: nobody knows which rows its test part saw",
        )
    elif pseudo.teacher not in (*BLENDS, pseudo.after):
        yield place, f"{pseudo.after} joins a blend that teaches, but {pseudo.teacher} is a member"
    elif pseudo.teacher in BLENDS and _depends_on(config, pseudo.after, name):
        yield place, "the round before is, in the end, itself"


def backbones_of(member: AnyMember) -> list[str]:
    """Names of the backbones that a member uses."""
    if isinstance(member, Learner):
        return member.backbones
    return [member.network] if isinstance(member, Network) else []


def blocks_of(config: Config) -> list[str]:
    """Backbones that a learner sees, in the config's order; a network's own needs no block."""
    seen = (getattr(member, "backbones", []) for member in config.members.values())
    used = {name for names in seen for name in names}
    return [name for name in config.backbones if name in used]


def backbone_of_scenes(config: Config) -> str | None:
    """The backbone whose features tell scenes that folds keep whole; None: no folds do, or none.

    The first of the config, whatever members use it, so that no member changes folds.
    """
    if config.folds.scheme != "scenes":
        return None
    return next(iter(config.backbones), None)


def _depends_on(config: Config, name: str, wanted: str) -> bool:
    """Whether a member stands on another, directly or through others."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current == wanted:
            return True
        if current in config.members and current not in seen:
            seen.add(current)
            waiting += config.members[current].stands_on
    return False


def untaught_members(config: Config) -> list[str]:
    """Return members of round 0: those that a blend used as a teacher is made of.

    What was made elsewhere is not among them: its test part may have seen any row.
    """
    members = config.members

    def is_taught(name: str) -> bool:
        if members[name].teachers or isinstance(members[name], External):
            return True
        return any(is_taught(other) for other in members[name].stands_on)

    return [name for name in members if not is_taught(name)]


def members_of_blend(config: Config, student: str, key: str) -> list[str]:
    """Return the members of the blend that teaches a student by `pseudo` or `distill`.

    Those of round 0; in later rounds of pseudo-labels also the student of the round before.
    """
    pseudo = config.members[student].pseudo
    joins = [pseudo.after] if key == "pseudo" and pseudo.after is not None else []
    return list(dict.fromkeys([*untaught_members(config), *joins]))
