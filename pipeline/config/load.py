"""Load a config: YAML with line numbers, presets, overrides, validation.

All errors are reported at once, each with its file and line; an unknown key with the nearest known
one.
"""

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.config.catalogue import expand_backbones
from pipeline.config.check import find_problems
from pipeline.config.expand import expand_members, merge
from pipeline.config.learners import LEARNERS
from pipeline.config.messages import (
    Place,
    as_line,
    merge_problems,
    place_of,
    without_inherited,
    written_keys,
)
from pipeline.config.own_parts import import_plugins
from pipeline.config.schema import Config
from pipeline.config.yaml_text import line_of, parse_yaml
from pipeline.errors import UserError

log = logging.getLogger(__name__)

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
Texts = dict[tuple[str, ...], str]  # path of a key -> its value as it is written


def load_config(name: str, overrides: Iterable[str] = ()) -> Config:
    """Read, merge, override and check a config.

    Args:
        name: a path, or the name of a file in pipeline/configs/ (or its presets/).
        overrides: "folds.n=3" and the like; values are YAML.
    Raises:
        UserError: with all errors, one line each.
    """
    path = find_config(name)
    raw, places, texts = _read(path, ())
    for override in overrides:
        _override(raw, override, places, texts)
        _expand_backbones(raw, places, path)
    _import_plugins(raw.get("plugins"), places, path)
    if isinstance(raw.get("members"), dict):
        raw["members"] = expand_members(
            raw["members"],
            place=lambda *keys: place_of(("members", *keys), places, path),
            leave_out=partial(_cannot_fit, raw.get("task"), places, path),
        )
    try:
        config = _validated(raw, texts)
    except ValidationError as error:
        found = without_inherited(merge_problems(error.errors(), raw), places)
        lines = [as_line(*finding, raw, places, path) for finding in found]
        raise UserError("\n".join(dict.fromkeys(lines))) from None
    if problems := [(keys, text, {}) for keys, text in find_problems(config)]:
        found = without_inherited(problems, places)
        raise UserError(
            "\n".join(f"{place_of(keys, places, path)}: {text}" for keys, text, _ in found)
        )
    return config


def find_config(name: str, *, own: bool = True) -> Path:
    """Return the file of a path or of a shipped config's name.

    Args:
        own: whether NAME.yaml here goes before a shipped one of this name; `extends: quick` in
            quick.yaml means the shipped one.
    """
    shipped = [CONFIGS / f"{name}.yaml", CONFIGS / "presets" / f"{name}.yaml"]
    candidates = [Path(name), *([Path(f"{name}.yaml")] if own else []), *shipped]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    shipped = sorted(
        path.stem for folder in (CONFIGS, CONFIGS / "presets") for path in folder.glob("*.yaml")
    )
    raise UserError(
        f"config {name!r}: no such file. Shipped configs: {', '.join(shipped)}. "
        "Use CONFIG=path/to/file.yaml or CONFIG=name."
    )


def _import_plugins(names: Any, places: Place, path: Path) -> None:
    """Import the plugins that a config names; of what is no list of names nothing is imported."""
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    import_plugins(
        names if is_list else (),
        lambda position: place_of(("plugins", str(position)), places, path),
    )


def _cannot_fit(task: Any, places: Place, path: Path, name: str, member: Any) -> bool:
    """Return whether a member of a preset predicts classes, and the task has none; say so.

    A member of the config's own file is kept: it is refused later, with its line.
    """
    learner = member.get("learner") if isinstance(member, dict) else None
    is_regression = isinstance(task, dict) and task.get("kind") == "regression"
    if not (is_regression and learner in LEARNERS and LEARNERS[learner].only_classes):
        return False
    keys = [("members", name, key) for key in ("learner", "extends")]
    if any(places.get(key, "").startswith((f"{path}:", "SET ")) for key in keys):
        return False
    log.info("%s of the preset is left out: %s predicts classes, not values", name, learner)
    return True


def _validated(raw: dict[str, Any], texts: Texts) -> Config:
    """Validate; names that YAML reads as truth values or numbers (no, 007) stay as written."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        wrong = [problem for problem in error.errors() if problem["type"] == "string_type"]
        keys_of_names = {written_keys(problem, raw) for problem in wrong}
    inherited = {keys[2:]: text for keys, text in texts.items() if keys[:1] == ("members",)}
    for keys in keys_of_names:
        text = texts.get(keys) or (inherited.get(keys[2:]) if keys[:1] == ("members",) else None)
        if text:
            _replace(raw, keys, text)
    return Config.model_validate(raw)


def _replace(raw: Any, keys: tuple[str, ...], text: str) -> None:
    """Replace a number or truth value by its text; other values are left for pydantic."""
    for key in keys[:-1]:
        raw = raw[int(key) if isinstance(raw, list) else key]
    last = int(keys[-1]) if isinstance(raw, list) else keys[-1]
    if not isinstance(raw[last], dict | list | str):
        raw[last] = text


def _read(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], Place, Texts]:
    """Parse a file, merged over the one that its top-level `extends` names.

    Args:
        above: the files that extend this one.
    """
    if path.resolve() in above:
        chain = " -> ".join(file.name for file in (*above, path))
        raise UserError(f"{above[-1]}: configs extend each other in a circle: {chain}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as UTF-8 text: {error}.") from None
    raw, node = parse_yaml(text, str(path))
    places, texts = {}, {}
    _note_places(node, (), path, places, texts)
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected `key: value` lines, found {type(raw).__name__}.")
    _expand_backbones(raw, places, path)  # before the base: an entry's keys replace the base's
    base_name = raw.pop("extends", None)
    if base_name is None:
        return raw, places, texts
    sibling = path.parent / str(base_name)
    base_path = sibling if sibling.is_file() else find_config(str(base_name), own=False)
    base, base_places, base_texts = _read(base_path, (*above, path.resolve()))
    merged, inherited = merge(base, raw), base.get("members")
    if isinstance(inherited, dict) and isinstance(merged["members"], dict):
        merged["members"] = {  # `trees: null` removes a member of the base
            name: member
            for name, member in merged["members"].items()
            if member is not None or name not in inherited
        }
    _remove_backbones(merged, raw.get("backbones"), base)
    return merged, base_places | places, base_texts | texts


def _remove_backbones(merged: dict[str, Any], own: Any, base: dict[str, Any]) -> None:
    """Take inherited backbones that a file sets to null out, also of the blocks of members."""
    inherited = base.get("backbones")
    if not (isinstance(own, dict) and isinstance(inherited, dict)):
        return
    for name in [name for name in own if own[name] is None and name in inherited]:
        _take_out(merged, name)


def _take_out(raw: dict[str, Any], backbone: str) -> None:
    """Remove a backbone and its place in members' blocks."""
    raw["backbones"] = {name: b for name, b in raw["backbones"].items() if name != backbone}
    if isinstance(members := raw.get("members"), dict):
        raw["members"] = {name: _without_block(m, backbone) for name, m in members.items()}


def _without_block(member: Any, backbone: str) -> Any:
    if not (isinstance(member, dict) and isinstance(member.get("blocks"), dict)):
        return member
    blocks = {name: weight for name, weight in member["blocks"].items() if name != backbone}
    return member | {"blocks": blocks}


def _expand_backbones(raw: dict[str, Any], places: Place, path: Path) -> None:
    """Replace names of the catalogue of backbones by their keys."""
    if isinstance(raw.get("backbones"), dict):
        raw["backbones"] = expand_backbones(
            raw["backbones"], place=lambda *keys: place_of(("backbones", *keys), places, path)
        )


def _note_places(
    node: yaml.Node | None, keys: tuple[str, ...], path: Path, places: Place, texts: Texts
) -> None:
    """Note on which line each key stands, and how each value is written."""
    if isinstance(node, yaml.ScalarNode):
        texts[keys] = node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            places[(*keys, key.value)] = f"{path}:{line_of(key)}"
            _note_places(value, (*keys, key.value), path, places, texts)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            places[(*keys, str(index))] = f"{path}:{line_of(value)}"
            _note_places(value, (*keys, str(index)), path, places, texts)


def _override(raw: dict[str, Any], override: str, places: Place, texts: Texts) -> None:
    dotted, equals, text = override.partition("=")
    keys = tuple(dotted.strip().split("."))
    if len(keys) == 3 and (keys[0], keys[2]) == ("backbones", "extends"):
        keys = keys[:2]  # all of another entry, in place of what was extended before
    if not equals or not all(keys):
        raise UserError(f"SET {override!r}: expected key=value, such as folds.n=3.")
    section = raw
    for key in keys[:-1]:
        inner = section.get(key, {})
        if not isinstance(inner, dict):
            raise UserError(f"SET {override!r}: {key} holds {inner!r}, not keys.")
        section[key] = dict(inner)  # a copy: sections that share a YAML anchor stay as they are
        section = section[key]
    section[keys[-1]], node = parse_yaml(text, f"SET {override!r}", keys)
    _note_places(node, keys, Path("SET"), {}, texts)
    if keys[:-1] == ("members",) and section[keys[-1]] is None:
        del section[keys[-1]]  # `members.trees=null` removes a member
    for known in [known for known in places if known[: len(keys)] == keys]:
        del places[known]  # of the value that is replaced
    if keys[:-1] == ("backbones",) and section[keys[-1]] is None:
        _take_out(raw, keys[-1])
    for depth in range(1, len(keys) + 1):
        places.setdefault(keys[:depth], f"SET {override}")
    places[keys] = f"SET {override}"
