"""`make config`: the schema as a page, or a config after presets, `extends` and overrides."""

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipeline.config import schema as sections
from pipeline.config.catalogue import FIGURES, catalogue, figures, read_entry
from pipeline.config.load import load_config
from pipeline.config.names import names_in


def show(config: str, overrides: list[str]) -> None:
    """Print a config with every key, as YAML that can be used as it is."""
    resolved = load_config(config, overrides).model_dump(mode="json")
    print(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, width=100), end="")


def metrics(of_kind: dict[str, list[str]]) -> None:
    """Print the names that `task.metric` may have, a line for each kind of task."""
    print(
        "METRICS: names for task.metric (capital letters stand for numbers: map_at_5, f2_macro), "
        "or module:function of your own"
    )
    for kind, names in of_kind.items():
        print(f"  {kind}: {', '.join(names)}")


def backbones() -> None:
    """Print the catalogue of backbones as a table: what `extends` of a backbone may name."""
    print(
        "BACKBONES: entries for `backbones: {NAME: ENTRY}` or `{NAME: {extends: ENTRY, ...}}` "
        "(pipeline/configs/backbones/)"
    )
    titles = ("entry", "px", *FIGURES, "good for")
    rows = [titles]
    for name in catalogue():
        about = figures(name)
        size = str(read_entry(name)["image_size"])
        rows.append((name, size, *(about[key] for key in FIGURES), about["use"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, use in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print("  " + "  ".join((*padded, use)))
    print()


def schema() -> None:
    """Print every key: its type, default and meaning."""
    print("# Keys of pipeline/configs/*.yaml. A key without a default is required.\n")
    _print_section("", sections.Config)
    pages = {
        "task": sections.Task,
        "data": sections.Data,
        "data.split": sections.Split,
        "data.extra": sections.Extra,
        "folds": sections.Folds,
        "backbones.NAME": sections.Backbone,
        "members.NAME (learner)": sections.Learner,
        "members.NAME (network)": sections.Network,
        "members.NAME (external)": sections.External,
        "members.NAME.search": sections.Search,
        "members.NAME.pseudo": sections.Pseudo,
        "members.NAME.start": sections.Start,
        "members.NAME.distill": sections.Distill,
        "tta": sections.TTA,
        "submission": sections.Submission,
        "runtime": sections.Runtime,
        "runtime.resources.KIND": sections.Resources,
    }
    for title, model in pages.items():
        _print_section(title, model)


def _print_section(title: str, model: type[BaseModel]) -> None:
    print(f"{title or '(top level)'}: {(model.__doc__ or '').splitlines()[0]}")
    for name, field in model.model_fields.items():
        meaning = f"  {field.description}" if field.description else ""
        print(f"  {name}: {_field_type(field)}{_default(field)}{meaning}")
    if not title:
        print("  extends: str  another config, a path or a name; its keys, with these on top")
    if model is sections.Backbone:
        print("  extends: str  an entry of the catalogue (see BACKBONES); these keys on top")
    if model in (sections.Learner, sections.Network):
        print("  extends: str  another member's name; its keys, with this member's on top")
    print()


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return ""
    if isinstance(field.default, BaseModel):
        return " = see below"
    return f" = {field.default!r}"


def _field_type(field: FieldInfo) -> str:
    return " | ".join(names_in(field.metadata)) or _type_name(field.annotation)


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, UnionType):
        return " | ".join(_type_name(option) for option in inner if option is not NoneType)
    if hasattr(annotation, "__metadata__"):
        return " | ".join(names_in(annotation.__metadata__)) or _type_name(inner[0])
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_type_name(option) for option in inner)}]"
    return getattr(annotation, "__name__", str(annotation))
