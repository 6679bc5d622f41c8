"""New stage: looks at input/<competition> and writes a config for it."""

import logging
import os
import shutil
import textwrap
from pathlib import Path

from pipeline.config.load import load_config
from pipeline.core.competition import read_competition
from pipeline.core.workspace import Workspace
from pipeline.discovery.discover import Asked, Discovery, discover
from pipeline.discovery.yaml_file import yaml_text
from pipeline.errors import UserError
from pipeline.metrics.find_metric import task_metric
from pipeline.submission.find_form import find_form

log = logging.getLogger(__name__)


def write_config(root: Path, competition: str, asked: Asked, out: str = "") -> Path:
    """Write a commented YAML for a competition, and print what was decided and what to check.

    Args:
        out: the file; empty: <competition>.yaml at the root.
    Raises:
        UserError: if the file is there already, or the folder is not, or holds no images.
    """
    Workspace(root, competition)  # refuses names that lead elsewhere
    path = root / (out or f"{competition}.yaml")
    if path.exists():
        raise UserError(
            f"{path.name} is there already and is kept. Write beside it with OUT=other.yaml, or "
            f"delete it first."
        )
    found = discover(root, competition, asked)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(yaml_text(found), encoding="utf-8")
    try:
        problems = _problems(draft, root)
        os.link(draft, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        raise UserError(f"{path.name} appeared meanwhile and is kept: OUT=other.yaml.") from None
    finally:
        draft.unlink()
    print(_summary(found, path.name, problems))
    return path


def _problems(path: Path, root: Path) -> list[str]:
    """Return what `make folds` would refuse, one line each."""
    try:
        config = load_config(str(path))
        folder = Workspace(root, config.competition).input
        competition = read_competition(folder, config.task, config.data)
        find_form(competition, task_metric(config.task, competition.classes), config.submission)
    except UserError as error:
        return str(error).replace(f"{path}:", "line ").splitlines()
    return []


def _summary(found: Discovery, file: str, problems: list[str]) -> str:
    """Return the decisions as a table, what to check, and the next command."""
    width = max(shutil.get_terminal_size((110, 24)).columns, 60)
    lines = [f"{found.competition}: {fact}" for fact in found.facts]
    shown = {key: guess for key, guess in found.decisions.items() if guess.value is not None}
    key_width = max(map(len, shown))
    for key, guess in shown.items():
        value = ", ".join(guess.value) if isinstance(guess.value, list) else str(guess.value)
        text = f"  {key:{key_width}}  {textwrap.shorten(value, 40, placeholder=' ...'):<32} "
        lines.append(_cut(f"{text} {guess.certainty:<8} {guess.reason}", width))
    checks = [*found.notes, *(f"`make folds` would refuse: {problem}" for problem in problems)]
    for key, guess in found.decisions.items():
        if guess.value is None and guess.alternatives:
            checks.append(f"{key}: {guess.reason}; candidates: {', '.join(guess.alternatives)}")
        elif guess.certainty == "a guess":
            others = f"; or {', '.join(guess.alternatives)}" if guess.alternatives else ""
            checks.append(f"{key} is a guess ({guess.value}{others})")
    if checks:
        lines.append("to check:")
        for check in checks:
            lines += textwrap.wrap(
                f"  - {check}", width, subsequent_indent="    ", break_long_words=False
            )
    name = file.removesuffix(".yaml")
    lines.append(f"wrote {file}; next: make folds CONFIG={name}, then make ensemble CONFIG={name}")
    return "\n".join(lines)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 4]} ..."
