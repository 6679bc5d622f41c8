"""Catalogue of backbones: pipeline/configs/backbones/NAME.yaml, which a config's backbones extend.

An entry's first comment line says what it is good for; `# key: value` lines below it give figures,
which tests/bench/backbones.py computes.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.config.expand import merge
from pipeline.config.yaml_text import parse_yaml
from pipeline.errors import UserError, did_you_mean

CATALOGUE = Path(__file__).resolve().parent.parent / "configs" / "backbones"
FIGURES = ("licence", "features", "pooling", "parameters", "GMACs", "memory", "training")


def catalogue() -> dict[str, Path]:
    """Return the file of each entry by name."""
    return {path.stem: path for path in sorted(CATALOGUE.glob("*.yaml"))}


@lru_cache
def read_entry(name: str) -> dict[str, Any]:
    """Return an entry's keys of a config's backbone."""
    return parse_yaml(catalogue()[name].read_text(encoding="utf-8"), f"{name}.yaml")[0]


def figures(name: str) -> dict[str, str]:
    """Return what an entry's comment says: `use`, and each of FIGURES."""
    first, *lines = re.findall(r"^# (.*)$", catalogue()[name].read_text("utf-8"), re.MULTILINE)
    found = dict(line.split(": ", 1) for line in lines if ": " in line)
    return {"use": first} | {key: found.get(key, "") for key in FIGURES}


def expand_backbones(backbones: dict[str, Any], *, place: Callable[..., str]) -> dict[str, Any]:
    """Return backbones with the keys of the entries that they extend; their own keys come on top.

    Args:
        backbones: by name: keys, or the name of an entry, which stands for `{extends: NAME}`.
        place: of a backbone's key, for messages.
    Raises:
        UserError: for an entry that does not exist.
    """
    return {name: _expanded(name, value, place) for name, value in backbones.items()}


def _expanded(name: str, value: Any, place: Callable[..., str]) -> Any:
    keys = {"extends": value} if isinstance(value, str) else value
    if not isinstance(keys, dict) or "extends" not in keys:
        return value
    entry = keys["extends"]
    if entry not in catalogue():
        where = place(name) if isinstance(value, str) else place(name, "extends")
        raise UserError(
            f"{where}: backbones.{name}: no entry {entry!r} in the catalogue of backbones"
            f"{did_you_mean(entry, catalogue())} `make config` lists them; or write "
            "`{arch: NAME_IN_TIMM}`."
        )
    return merge(read_entry(entry), {key: v for key, v in keys.items() if key != "extends"})
