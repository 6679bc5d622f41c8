"""New stage: looks at input/<competition> and writes a config for it."""

import os
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.config.load import load_config
from pipeline.core.archives import with_unpacked
from pipeline.core.read_competition import read_competition
from pipeline.core.workspace import Workspace
from pipeline.discovery.discover import Asked, Discovery, discover
from pipeline.discovery.yaml_file import one_line, yaml_text
from pipeline.errors import UserError
from pipeline.metrics.find_metric import task_metric
from pipeline.submission.find_form import find_form

VALUE_WIDTH = 32  # of the printed table


def write_config(root: Path, competition: str, asked: Asked, out: str = "") -> Path:
    """Write a commented YAML for a competition, and print what was decided and what to check.

    Args:
        out: the file, with or without .yaml; empty: <competition>.yaml at the root.
    Raises:
        UserError: if the file is there already, or the folder is not, or holds no images.
    """
    Workspace(root, competition)  # refuses names that lead elsewhere
    path = root / f"{(out or competition).removesuffix('.yaml')}.yaml"
    if not path.parent.is_dir():
        raise UserError(f"OUT={out}: no folder {path.parent}. Make it, or name a file here.")
    if path.exists():
        raise UserError(
            f"{path.name} is there already and is kept. Write beside it with OUT=other.yaml, or "
            f"delete it first."
        )
    found = discover(root, competition, asked)
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(yaml_text(found), encoding="utf-8")
        refused = [f"`make folds` refuses: {problem}" for problem in _problems(draft, root)]
        found = replace(found, notes=[*found.notes, *refused])
        draft.write_text(yaml_text(found), encoding="utf-8")
        os.link(draft, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        raise UserError(f"{path.name} appeared meanwhile and is kept: OUT=other.yaml.") from None
    finally:
        draft.unlink(missing_ok=True)
    file = os.path.relpath(path, root)
    print(_summary(found, file, f"CONFIG={shlex.quote(file.removesuffix('.yaml'))}"))
    return path


def _problems(path: Path, root: Path) -> list[str]:
    """Return what `make folds` would refuse, one line each, without the line's number."""
    try:
        config = load_config(str(path))
        folder = with_unpacked(Workspace(root, config.competition), config.data)
        competition = read_competition(folder, config.task, config.data, config.submission)
        find_form(competition, task_metric(config.task, competition.classes), config.submission)
    except UserError as error:
        text = re.sub(rf"^{re.escape(str(path))}:\d+: ", "", str(error), flags=re.MULTILINE)
        return [line.rstrip(".") for line in text.replace(f"{root}/", "").splitlines()]
    return []


def _summary(found: Discovery, file: str, chosen: str) -> str:
    """Return the decisions as a table, what to check, and the next commands.

    Args:
        chosen: how a command names the file.
    """
    width = max(shutil.get_terminal_size((110, 24)).columns, 60)
    lines = [f"{found.competition}: {fact}" for fact in found.facts]
    shown = {key: guess for key, guess in found.decisions.items() if guess.value is not None}
    key_width = max(map(len, shown))
    for key, guess in shown.items():
        value = ", ".join(guess.value) if isinstance(guess.value, list) else str(guess.value)
        value = _cut(value, VALUE_WIDTH)
        text = f"  {key:{key_width}}  {value:<{VALUE_WIDTH}}  {guess.certainty:<8} {guess.reason}"
        lines.append(_cut(one_line(text), width))
    if checks := [*found.notes, *_open_decisions(found)]:
        lines.append("to check:")
    for check in checks:
        indented = {"initial_indent": "  - ", "subsequent_indent": "    "}
        lines += textwrap.wrap(one_line(check), width, break_long_words=False, **indented)
    lines.append(f"wrote {file}; next: make doctor {chosen}, then make ensemble {chosen}")
    return "\n".join(lines)


def _open_decisions(found: Discovery) -> Iterator[str]:
    """Yield what a person should decide, or confirm."""
    for key, guess in found.decisions.items():
        if guess.is_remark:
            yield from [] if guess.certainty == "sure" else [guess.reason]
        elif guess.value is None:
            yield f"{key}: {guess.reason}; candidates: {', '.join(guess.alternatives)}"
        elif guess.certainty == "a guess" and guess.alternatives:
            yield f"{key} is a guess: {guess.value}; or {', '.join(guess.alternatives)}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 4]} ..."
