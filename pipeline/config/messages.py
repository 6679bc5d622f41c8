"""Messages about a config that is wrong: one line for each key, with its file and line."""

import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from pipeline.config.members import KINDS, member_kind
from pipeline.config.schema import Config, Learner
from pipeline.errors import did_you_mean

Place = dict[tuple[str, ...], str]  # path of a key -> "file:line"
Found = tuple[tuple[str, ...], str, dict[str, Any]]  # path of a key, message, pydantic's problem


def merge_problems(problems: list[dict[str, Any]], raw: dict) -> list[Found]:
    """Merge pydantic's problems to one finding per written key; each branch of a union has its own.

    Where a problem is inside a branch, those of the value as a whole are dropped.
    """
    gathered: dict[tuple[tuple[str, ...], str], Found] = {}
    for problem in problems:
        keys, message = written_keys(problem, raw), problem["msg"]
        of = keys, problem["type"] if problem["type"] in ("missing", "extra_forbidden") else ""
        if of in gathered:
            message = _either(gathered[of][1], message)
        gathered[of] = keys, message, problem
    entered = {keys[:depth] for keys, *_ in gathered.values() for depth in range(len(keys))}
    return [
        found
        for (keys, _), found in gathered.items()
        if keys not in entered or found[2]["type"] == "value_error"
    ]


def _either(one: str, other: str) -> str:
    """Join two messages of pydantic: "Input should be this or that"."""
    shared = "Input should be "
    if one == other or not (one.startswith(shared) and other.startswith(shared)):
        return one if one == other else f"{one}; or: {other}"
    first, second = (text.partition(", unable to")[0] for text in (one, other))
    return f"{first}, or {second.removeprefix(shared)}"


def without_inherited(findings: list[Found], places: Place) -> list[Found]:
    """Return findings without those that a member only inherited from another one's keys."""

    def inherits(keys: tuple[str, ...]) -> bool:
        return keys[:1] == ("members",) and keys not in places

    own = {(keys[2:], message) for keys, message, _ in findings if not inherits(keys)}
    return [
        finding
        for finding in findings
        if not inherits(finding[0]) or (finding[0][2:], finding[1]) not in own
    ]


def as_line(
    keys: tuple[str, ...],
    message: str,
    problem: dict[str, Any],
    raw: dict,
    places: Place,
    path: Path,
) -> str:
    """Return one finding as one line: file, line, key, what came, what was expected."""
    where, dotted = place_of(keys, places, path), ".".join(keys)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(keys[:-1], raw)
        return f"{where}: unknown key `{dotted}`{did_you_mean(keys[-1], known)}"
    if problem["type"] == "missing":
        return f"{where}: `{dotted}` is missing."
    came, near = problem.get("input"), ""
    if "Input should be '" in message:
        near = _nearest_option(str(came), re.findall(r"'([^']*)'", message))
    shown = f" (got {came!r})" if not isinstance(came, dict) else ""
    return f"{where}: `{dotted}`: {message.removeprefix('Value error, ')}{shown}{near or '.'}"


def _nearest_option(came: str, options: list[str]) -> str:
    """Return what follows a wrong option: the nearest, as multiclass is to classification."""
    alike = [option for option in options if option in came or came[:5] in option]
    return did_you_mean(alike[0] if len(alike) == 1 else came, options, list_all=False)


def written_keys(problem: dict[str, Any], raw: dict) -> tuple[str, ...]:
    """Return a problem's path without keys that no user wrote: names of a union's branches."""
    loc = problem["loc"]
    if loc[:1] == ("members",):
        loc = loc[:2] + loc[3:]
    keys: list[str] = []
    section: Any = raw
    for depth, key in enumerate(loc):
        missing = problem["type"] == "missing" and depth == len(loc) - 1
        if isinstance(section, dict) and (missing or str(key) in map(str, section)):
            section = section.get(key)
        elif isinstance(section, list) and isinstance(key, int):
            section = section[key]
        else:
            continue
        keys.append(str(key))
    return tuple(keys)


def _known_keys(keys: tuple[str, ...], raw: dict) -> list[str]:
    """Return the keys of the section at a path of the config."""
    model: type[BaseModel] = Config
    named = len(keys) == 2 and keys[0] in ("members", "backbones")
    extends = ["extends"] if not keys or named else []
    if keys[:1] == ("members",) and len(keys) > 1:
        members = {str(name): member for name, member in raw["members"].items()}
        model = KINDS.get(member_kind(members[keys[1]]), Learner)
        keys = keys[2:]
    for key in keys:
        field = model.model_fields.get(key)
        options = [field.annotation, *get_args(field.annotation)] if field else []
        options += [inner for option in options for inner in get_args(option)]
        models = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        model = models[0] if models else model
    return [*model.model_fields, *extends]


def place_of(keys: tuple[str, ...], places: Place, path: Path) -> str:
    """Return file and line of a key, or of the nearest section around it."""
    for depth in range(len(keys), 0, -1):
        if keys[:depth] in places:
            return places[keys[:depth]]
    return str(path)
