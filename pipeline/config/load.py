"""Reading a config: YAML with line numbers, presets, overrides, and errors that help.

Whatever is wrong is reported at once, each with its file and line and, for a key that does not
exist, the nearest one that does.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config.errors import UserError, nearest
from pipeline.config.expansion import expand_members, merge
from pipeline.config.members import KINDS, member_kind
from pipeline.config.references import wrong_references
from pipeline.config.schema import Config, Learner

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
Place = dict[tuple[str, ...], str]  # path of a key -> "file:line"


def load_config(name: str, overrides: Iterable[str] = ()) -> Config:
    """Read, merge, override and check a config.

    Args:
        name: a path, or the name of a file in pipeline/configs/ (or its presets/).
        overrides: "folds.n=3" and the like; values are YAML.
    Raises:
        UserError: with all that is wrong, one line each.
    """
    path = find_config(name)
    raw, places = _read(path, ())
    for override in overrides:
        _override(raw, override, places)
    if isinstance(raw.get("members"), dict):
        raw["members"] = expand_members(
            raw["members"], place=lambda *keys: _place(("members", *keys), places, path)
        )
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(problem, raw, places, path) for problem in error.errors()]
        raise UserError("\n".join(dict.fromkeys(lines))) from None
    if problems := list(wrong_references(config)):
        raise UserError(
            "\n".join(f"{_place(keys, places, path)}: {text}" for keys, text in problems)
        )
    return config


def find_config(name: str) -> Path:
    """The file that a path or a shipped config's name stands for."""
    candidates = [Path(name), CONFIGS / f"{name}.yaml", CONFIGS / "presets" / f"{name}.yaml"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    shipped = sorted(path.stem for path in CONFIGS.rglob("*.yaml"))
    raise UserError(
        f"config {name!r}: no such file. Shipped configs: {', '.join(shipped)}. "
        "Say CONFIG=path/to/file.yaml or CONFIG=name."
    )


def _read(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], Place]:
    """Parse a file and, below it, the one that its top-level `extends` names.

    Args:
        above: the files that extend this one.
    """
    if path.resolve() in above:
        chain = " -> ".join(file.name for file in (*above, path))
        raise UserError(f"{above[-1]}: configs extend each other in a circle: {chain}.")
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
        places: Place = {}
        _note_places(yaml.compose(text), (), path, places)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected `key: value` lines, found {type(raw).__name__}.")
    base_name = raw.pop("extends", None)
    if base_name is None:
        return raw, places
    sibling = path.parent / str(base_name)
    base_path = sibling if sibling.is_file() else find_config(str(base_name))
    base, base_places = _read(base_path, (*above, path.resolve()))
    merged, inherited = merge(base, raw), base.get("members")
    if isinstance(inherited, dict) and isinstance(merged["members"], dict):
        for name in inherited:
            if merged["members"][name] is None:  # `trees: null` leaves a member of the base out
                del merged["members"][name]
    return merged, base_places | places


def _note_places(node: yaml.Node | None, keys: tuple[str, ...], path: Path, places: Place) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            where = f"{path}:{key.start_mark.line + 1}"
            if key.value in seen:
                raise UserError(f"{where}: key {key.value!r} stands twice; keep one.")
            seen.add(key.value)
            places[(*keys, key.value)] = where
            _note_places(value, (*keys, key.value), path, places)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            places[(*keys, str(index))] = f"{path}:{value.start_mark.line + 1}"
            _note_places(value, (*keys, str(index)), path, places)


def _override(raw: dict[str, Any], override: str, places: Place) -> None:
    dotted, equals, text = override.partition("=")
    keys = tuple(dotted.strip().split("."))
    if not equals or not all(keys):
        raise UserError(f"SET {override!r}: expected key=value, such as folds.n=3.")
    section = raw
    for key in keys[:-1]:
        inner = section.get(key, {})
        if not isinstance(inner, dict):
            raise UserError(f"SET {override!r}: {key} holds {inner!r}, not keys.")
        section[key] = dict(inner)  # a copy: sections that share a YAML anchor stay as they are
        section = section[key]
    try:
        section[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"SET {override!r}: the value is not valid YAML: {error}") from None
    for depth in range(1, len(keys) + 1):
        places.setdefault(keys[:depth], f"SET {override}")
    places[keys] = f"SET {override}"


def _explain(problem: dict[str, Any], raw: dict, places: Place, path: Path) -> str:
    """One validation problem as one line: file, line, key, what came, what was expected."""
    keys = _written_keys(problem["loc"], raw)
    where, dotted = _place(keys, places, path), ".".join(keys)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(keys[:-1], raw)
        return f"{where}: unknown key `{dotted}`{nearest(keys[-1], known)}"
    if problem["type"] == "missing":
        return f"{where}: `{dotted}` is missing."
    came = problem.get("input")
    shown = f" (got {came!r})" if not isinstance(came, dict) else ""
    if not keys:  # of sections that do not fit each other
        return f"{where}: {problem['msg'].removeprefix('Value error, ')}."
    return f"{where}: `{dotted}`: {problem['msg'].removeprefix('Value error, ')}{shown}."


def _written_keys(loc: tuple[str | int, ...], raw: dict) -> tuple[str, ...]:
    """A problem's place without what no user wrote: the names of a union's branches."""
    if loc[:1] == ("members",):
        loc = loc[:2] + loc[3:]
    keys: list[str] = []
    section: Any = raw
    for key in loc:
        if isinstance(section, dict):
            section = section.get(key)
        elif isinstance(section, list) and isinstance(key, int):
            section = section[key]
        else:
            continue
        keys.append(str(key))
    return tuple(keys)


def _known_keys(keys: tuple[str, ...], raw: dict) -> list[str]:
    """Keys of the section at a path of the config."""
    model: type[BaseModel] = Config
    extends = ["extends"] if not keys or (keys[0] == "members" and len(keys) == 2) else []
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


def _place(keys: tuple[str, ...], places: Place, path: Path) -> str:
    """File and line of a key, or of the nearest section around it."""
    for depth in range(len(keys), 0, -1):
        if keys[:depth] in places:
            return places[keys[:depth]]
    return str(path)
