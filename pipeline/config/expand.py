"""Expansion of members: `extends` completes one; `seeds`, `vary`, `cycles`, `rounds` add more."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from pipeline.config.schema import known_blends
from pipeline.errors import UserError, did_you_mean

MULTIPLIERS = ("seeds", "vary", "cycles")  # `extends` does not inherit them
MAX_MEMBERS = 1000
ROUNDS = "rounds"  # of `pseudo`; not inherited either
Place = Callable[..., str]  # keys -> "file:line"
Raw = dict[str, Any]  # as YAML gives it; pydantic refuses wrong types later


def expand_members(
    members: Raw, *, place: Place, leave_out: Callable[[str, Any], bool] = lambda *_: False
) -> Raw:
    """Return all members: bases merged in, one for each seed, value, cycle and round.

    Args:
        place: of a member's key, for messages.
        leave_out: by name and keys, after bases were merged in.
    Raises:
        UserError: bases in a circle or absent, or two members of one name.
    """
    whole = {name: _with_base(name, members, (), place) for name in members}
    whole = {name: member for name, member in whole.items() if not leave_out(name, member)}
    expanded: Raw = {}
    for name, member in whole.items():
        for added, settings in _in_rounds(_multiplied(name, member)):
            if added in expanded or (added != name and added in whole):
                keys = ", ".join(key for key in (*MULTIPLIERS, "pseudo") if key in member)
                raise UserError(
                    f"{place(name)}: {keys} would add a member {added}, and there is one. Rename "
                    "one of them."
                )
            if len(expanded) >= MAX_MEMBERS:
                raise UserError(
                    f"{place(name)}: with this one there are more than {MAX_MEMBERS:,} members. "
                    "Shorten its seeds, vary, cycles or rounds."
                )
            expanded[added] = settings
    return expanded


def merge(base: Any, top: Any) -> Any:
    """Merge `top` over `base`, mapping by mapping; other values replace those of `base`."""
    if not (isinstance(base, dict) and isinstance(top, dict)):
        return top
    return base | {key: merge(base.get(key), value) for key, value in top.items()}


def _with_base(name: str, members: Raw, chain: tuple[str, ...], place: Place) -> Any:
    """Return a member merged over the one that its `extends` names."""
    member = members[name]
    if not isinstance(member, dict) or "extends" not in member:
        return member
    base = member["extends"]
    where = place(name, "extends")
    if base in (*chain, name):
        raise UserError(f"{where}: members extend each other in a circle: {(*chain, name)}.")
    if not isinstance(base, str) or base not in members:
        raise UserError(f"{where}: no member {base!r}{did_you_mean(base, members)}")
    own = {key: value for key, value in member.items() if key != "extends"}
    found = _with_base(base, members, (*chain, name), place)
    if isinstance(found, dict):
        found = _without(found, *MULTIPLIERS)
        if isinstance(found.get("pseudo"), dict):
            found["pseudo"] = _without(found["pseudo"], ROUNDS)
    return merge(found, own)


def _multiplied(name: str, member: Any) -> Iterator[tuple[str, Any]]:
    """Yield the member with the first seed and values, under its own name; then the others."""
    if not isinstance(member, dict) or not any(key in member for key in MULTIPLIERS):
        yield name, member
        return
    vary, cycles = member.get("vary", {}), member.get("cycles", 1)
    if "seeds" in member:
        vary = {"seed": member["seeds"]} | (vary if isinstance(vary, dict) else {})
    lists_only = isinstance(vary, dict) and all(isinstance(v, list) and v for v in vary.values())
    if not lists_only or type(cycles) is not int or cycles < 1:
        yield name, member
        return
    plain = _without(member, *MULTIPLIERS)
    for numbers in product(*(range(len(values)) for values in vary.values())):
        settings, suffix = plain, ""
        for (key, values), number in zip(vary.items(), numbers, strict=True):
            settings = merge(settings, _nested(key, values[number]))
            suffix += f"_{key}-{_as_name(values[number], number)}" if number else ""
        yield f"{name}{suffix}", settings
        before = f"{name}{suffix}"
        for cycle in range(2, cycles + 1):
            after = f"{name}{suffix}_{cycle}"
            yield after, settings | {"start": {"member": before, "head": "keep"}}
            before = after


def _in_rounds(members: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield each member as the student of round 1, under its own name; then those of later rounds.

    A student's teacher is the student of the round before. If the teacher is a blend, that student
    joins the blend's members; it replaces none, because the errors of its base differ from its own.
    """
    for name, member in members:
        pseudo = member.get("pseudo") if isinstance(member, dict) else None
        rounds = pseudo.get(ROUNDS) if isinstance(pseudo, dict) else None
        if type(rounds) is not int or rounds < 1:
            yield name, member
            continue
        first = _without(pseudo, ROUNDS)
        yield name, member | {"pseudo": first}
        before, by_blend = name, first.get("teacher") in known_blends()
        for number in range(2, rounds + 1):
            teacher = first["teacher"] if by_blend else before
            pseudo = first | {"teacher": teacher, "after": before}
            before = f"{name}_round-{number}"
            yield before, member | {"pseudo": pseudo}


def _without(settings: Raw, *keys: str) -> Raw:
    return {key: value for key, value in settings.items() if key not in keys}


def _nested(key: str, value: Any) -> Raw:
    """Return `pseudo.threshold` and 0.9 as {pseudo: {threshold: 0.9}}."""
    for part in reversed(str(key).split(".")):
        value = {part: value}
    return value


def _as_name(value: Any, number: int) -> str:
    """Return a value as part of a folder's name; of a list or mapping, its number, from 1."""
    return str(number + 1) if isinstance(value, (list, dict)) else str(value)
