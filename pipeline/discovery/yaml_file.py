"""The YAML of what was found: a key and a comment per decision, aligned; defaults are left out."""

import json
import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from pipeline.config.schema import Data
from pipeline.discovery.discover import Discovery
from pipeline.discovery.guess import Guess

WIDTH = 110
MOST_BEFORE = 50  # columns of key and value, for a comment to stand beside them
SECTIONS = ("task", "data", "folds", "submission")
KEYS_OF_TASK = ("kind", "target", "metric")  # written always
DEFAULTS = {f"data.{key}": field.default for key, field in Data.model_fields.items()}


def yaml_text(found: Discovery) -> str:
    """Return the config's text."""
    lines = [(f"competition: {_scalar(found.competition)}", "the folder under input/")]
    entries = [(key, guess) for key, guess in found.decisions.items() if not _is_silent(key, guess)]
    below: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
    for key, guess in entries:
        section, _, name = key.rpartition(".")
        line = (_written(name, guess), comment_of(guess))
        below[section].append(
            (f"  {line[0]}" if line[0] else "", line[1])
        ) if section else lines.append(line)
    for section, inside in below.items():
        if not inside:
            continue
        is_open = any(text and not text.lstrip().startswith("#") for text, _ in inside)
        # A section of comments alone would be read as null.
        lines.append((f"{section}:" if is_open else f"# {section}:", ""))
        lines += inside
    name = one_line(found.competition)
    head = [
        f"# make ensemble CONFIG={shlex.quote(name)}",
        "# Written by `make new`: check what is not marked `sure`.",
        *(f"# {one_line(fact)}." for fact in found.facts),
        *(f"# Check: {one_line(note)}." for note in found.notes),
    ]
    wrapped = [part for line in head for part in _wrapped(line)]
    return "\n".join([*wrapped, *_aligned(lines)]) + "\n"


def _is_silent(key: str, guess: Guess) -> bool:
    """Return whether a decision is a default, or a remark that changes nothing."""
    is_default = key in DEFAULTS and DEFAULTS[key] == guess.value
    return guess.certainty == "sure" if guess.value is None else is_default


def comment_of(guess: Guess) -> str:
    """Return a decision's certainty, its reason and what else it may be."""
    if guess.is_remark:
        return one_line(guess.reason)
    others = guess.alternatives if guess.value is not None else guess.alternatives[1:]
    more = f". Or: {', '.join(others)}" if others else ""
    return one_line(f"{guess.certainty}: {guess.reason}{more}")


def _written(key: str, guess: Guess) -> str:
    """Return `key: value`; as a comment where a person decides, empty for a remark."""
    if guess.value is not None:
        return f"{key}: {_value(guess.value, indent=len(key) + 4)}"
    if guess.is_remark:
        return ""
    text = guess.alternatives[0]
    is_written = text.startswith(("[", '"'))
    return f"# {key}: {text if is_written else _scalar(text)}"


def _value(value: Any, indent: int) -> str:
    """Return a value as YAML; a long list goes over several lines."""
    if isinstance(value, list):
        listed = f"[{', '.join(_scalar(item) for item in value)}]"
        lines = textwrap.wrap(
            listed, WIDTH - indent, break_long_words=False, break_on_hyphens=False
        )
        if any("  " in item or "\n" in item for item in map(_scalar, value)):
            return listed  # wrapping would change spaces within names
        return "\n    ".join(lines)
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{_scalar(key)}: {_value(v, indent)}' for key, v in value.items())}}}"
        )
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Return a text, plain where YAML reads it as the same text, else in quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = value.isprintable() and value == value.strip() and not set(value) & set("{}[],\"'")
    if is_plain and value:
        try:
            if yaml.safe_load(f"a: {value}") == {"a": value}:
                return value
        except yaml.YAMLError:
            pass
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _aligned(lines: list[tuple[str, str]]) -> Iterator[str]:
    """Yield lines with their comments in one column; above the line where it is too long."""
    beside = [len(text) for text, comment in lines if text and comment and len(text) <= MOST_BEFORE]
    column = max((length for length in beside if length <= MOST_BEFORE), default=0) + 2
    for text, comment in lines:
        indent = "  " if text.startswith("  ") or not text else ""
        if not comment:
            yield text
        elif not text or len(text) > MOST_BEFORE or "\n" in text:
            yield from _wrapped(f"{indent}# {comment}")
            if text:
                yield text
        else:
            first, *more = textwrap.wrap(comment, WIDTH - column - 2, break_long_words=False)
            yield f"{text:{column}}# {first}"
            yield from (f"{'':{column}}# {line}" for line in more)


def _wrapped(line: str) -> list[str]:
    """Return a comment over several lines."""
    front = line[: line.index("#") + 2]
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=front, break_long_words=False, break_on_hyphens=False
    )


def one_line(text: str) -> str:
    """Return a text without what would end a comment's line."""
    return "".join(c if c.isprintable() else " " for c in text)
