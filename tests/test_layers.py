"""Layers: imports point down only, and every file is used by another."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# From the street inwards: a room may import itself and those further down.
ROOMS = [
    *(
        "__main__",
        "workflow",
        "stages",
        "serving",
        "report",
        "discovery",
        "leaks",
        "members",
        "ensembles",
        "estimates",
    ),
    *("learners", "networks", "backbones", "splitting", "project", "images", "submission"),
    *("plugins", "metrics", "core", "config", "errors"),
]
STAGES = {
    "folds",
    "features",
    "train",
    "infer",
    "ensemble",
    "report",
    "check",
    "plan",
    "audit",
    "ledger",
    "diff",
    "restore",
    "board",
    "kernel",
    "submit",
    "demo",
    "weights",
    "doctor",
    "new",
}
HEAVY = {"torch", "timm", "torchvision", "lightning", "albumentations"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(source: str, module: str) -> set[str]:
    """Modules that a file imports anywhere in it, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found.add(node.module)
            # `from pipeline.core import artifacts` names a module; a function's name does no harm.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@lru_cache
def imports(path: Path) -> frozenset[str]:
    return frozenset(imports_in(path.read_text(encoding="utf-8"), module_name(path)))


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def in_layer(name: str) -> list[Path]:
    return [path for path in FILES if layer(module_name(path)) == name]


def test_imports_are_found_wherever_they_stand():
    source = "import a.b\nfrom c import d\ndef f():\n    from e.f import g as h\n"
    assert imports_in(source, "x") == {"a.b", "c", "c.d", "e.f", "e.f.g"}


def test_every_folder_is_a_known_room():
    assert {layer(module_name(path)) for path in FILES} - {""} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_down_only(path):
    here = layer(module_name(path))
    ours = {module for module in imports(path) if module.startswith("pipeline.")}
    if not here:  # pipeline/__init__.py
        assert not ours
        return
    above = ROOMS[: ROOMS.index(here)]
    upward = sorted(module for module in ours if layer(module) in above)
    assert not upward, f"{module_name(path)} imports {upward}"


WITHOUT_TORCH = (
    "core",
    "config",
    "plugins",
    "metrics",
    "submission",
    "splitting",
    "ensembles",
    "estimates",
)


@pytest.mark.parametrize(
    "path", [p for room in WITHOUT_TORCH for p in in_layer(room)], ids=module_name
)
def test_rooms_that_need_no_torch_import_none(path):
    assert not {module.split(".")[0] for module in imports(path)} & HEAVY


@pytest.mark.parametrize("name", sorted(STAGES))
def test_no_stage_imports_another(name):
    path = ROOT / "stages" / f"{name}.py"
    if not path.exists():
        pytest.skip("not there yet")
    others = {f"pipeline.stages.{other}" for other in STAGES - {name}}
    assert not imports(path) & others


def test_every_module_is_used():
    used = {module for path in FILES for module in imports(path) if path.name != "__init__.py"}
    for path in FILES:  # functions that jobs name as text, and what packages hand on
        used |= set(re.findall(r'"(pipeline(?:\.\w+)+):', path.read_text()))
        if path.name == "__init__.py" and module_name(path) in used:
            used |= imports(path)
    modules = {module_name(path) for path in FILES if path.name != "__init__.py"}
    for_people = {"pipeline.__main__", "pipeline.plugins", "pipeline.serving.kernel"}
    assert sorted(modules - used - for_people) == []


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_function_takes_more_than_eight_parameters(path):
    for function in functions(path):
        given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        names = [argument.arg for argument in given if argument.arg not in ("self", "cls")]
        assert len(names) <= 8, f"{path.name}: {function.name} takes {names}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_settings_travel_under_a_name_that_hides_them(path):
    hiding = {"how", "scoring", "settings", "options", "task"}
    for function in functions(path):
        star = function.args.kwarg
        assert star is None or star.arg not in hiding, f"{path.name}: {function.name}"


def test_there_is_no_drawer_for_odds_and_ends():
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "misc", "common")]


def test_modules_do_not_import_each_other_in_a_circle():
    modules = {module_name(path) for path in FILES}
    graph = {module_name(path): imports(path) & modules - {module_name(path)} for path in FILES}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"a circle: {' -> '.join((*above, module))}"
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())
