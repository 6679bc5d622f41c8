"""YAML parsing that keeps line numbers and refuses unsafe or ambiguous input."""

import math
from typing import Any

import yaml

from pipeline.errors import UserError

UNNAMED = "<unicode string>"  # PyYAML's name for a text
MAX_VALUES = 100_000  # with anchors written out; the longest real config has some hundred
# Sections whose keys are names that the user gives, or a competition's classes.
NAMING = (("members",), ("backbones",), ("task", "class_weights"))
DEEPEST_NAMES = ("members", "NAME", "blocks")  # so are these keys
MERGE = "<<"
TEXT_TAG = "tag:yaml.org,2002:str"
READ_AS_VALUES = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float"))
PLAIN = (str, int, float, bool, type(None))


def parse_yaml(text: str, name: str, keys: tuple[str, ...] = ()) -> tuple[Any, yaml.Node | None]:
    """Return a YAML text's value, and its nodes with their lines.

    Names of members, backbones, blocks and classes stay texts, also `no` and `007`.

    Args:
        name: of the file or text, for messages.
        keys: path of the key of a config whose value the text is.
    Raises:
        UserError: invalid YAML, a repeated key, an anchor that contains itself, anchors
            that multiply beyond MAX_VALUES, or a value that is no plain text, number, list or
            mapping.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _count_values(node, name, {}, set())
        value = _construct(text, keys)
    except RecursionError:
        raise UserError(f"{name}: lists or mappings are nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no such date, too long a number
        reason = str(error).replace(UNNAMED, name)
        raise UserError(f"{name}: not valid YAML: {reason}") from None
    if node is not None:
        _check_values(node, value, name)
    return value, node


def line_of(node: yaml.Node) -> int:
    """Return a node's line, counted from 1."""
    return node.start_mark.line + 1


def _construct(text: str, keys: tuple[str, ...]) -> Any:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        return None
    _mark_names(node, keys)
    return yaml.SafeLoader("").construct_document(node)


def _mark_names(node: yaml.Node, keys: tuple[str, ...]) -> None:
    """Give keys that are names, and the names in `extends`, the tag of a text."""
    if not isinstance(node, yaml.MappingNode) or len(keys) > len(DEEPEST_NAMES):
        return
    for key, value in node.value:
        if key.value != MERGE and (keys in NAMING or keys[2:] == DEEPEST_NAMES[2:]):
            key.tag = TEXT_TAG
        if key.value == "extends" and value.tag in READ_AS_VALUES:
            value.tag = TEXT_TAG
        _mark_names(value, (*keys, key.value))


def _count_values(node: yaml.Node, name: str, known: dict[int, int], above: set[int]) -> int:
    """Count a node's values, aliases written out.

    Args:
        known: counts by id of a node.
        above: ids of the nodes around this one.
    """
    if id(node) in above:
        raise UserError(f"{name}:{line_of(node)}: this anchor contains itself; write it out.")
    if id(node) in known or isinstance(node, yaml.ScalarNode):
        return known.get(id(node), 1)
    inner = node.value
    if isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
        _check_keys(node, name)
    above.add(id(node))
    count = 1 + sum(_count_values(part, name, known, above) for part in inner)
    above.remove(id(node))
    if count > MAX_VALUES:
        raise UserError(
            f"{name}:{line_of(node)}: more than {MAX_VALUES:,} values, with anchors written out. "
            "Use fewer of them."
        )
    known[id(node)] = count
    return count


def _check_keys(node: yaml.MappingNode, name: str) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{name}:{line_of(key)}: a key must be a text, not a list or mapping.")
        if key.value in seen:
            raise UserError(f"{name}:{line_of(key)}: key {key.value!r} stands twice; keep one.")
        seen.add(key.value)


def _check_values(node: yaml.Node, value: Any, name: str) -> None:
    """Refuse dates, binary data, sets and numbers that are not finite: no key takes them."""
    if isinstance(node, yaml.MappingNode) and isinstance(value, dict):
        values = {str(key): inner for key, inner in value.items()}
        for key, inner in node.value:
            if key.value in values:  # << and keys of another type are not in it
                _check_values(inner, values[key.value], name)
    elif isinstance(node, yaml.SequenceNode) and isinstance(value, list):
        for inner, element in zip(node.value, value, strict=True):
            _check_values(inner, element, name)
    elif not isinstance(value, PLAIN):
        kind = type(value).__name__
        shown = node.value if isinstance(node, yaml.ScalarNode) else kind
        raise UserError(
            f"{name}:{line_of(node)}: {shown!r} is read as a {kind}; put it in quotes if a text is "
            "meant."
        )
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name}:{line_of(node)}: expected a finite number, got {node.value}.")
