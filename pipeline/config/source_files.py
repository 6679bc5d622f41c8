"""Source files of a module of the user's own: which they are, and the digest of what they hold."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

PIPELINE = Path(__file__).parents[1]
INSTALLED = ("site-packages", "dist-packages")


def code_digest(module: str) -> str:
    """Return the SHA-256 of a module's file, and of the files beside it that it imports.

    Raises:
        ImportError, OSError, ValueError: if there is no such module, or it has no file.
    """
    files = own_files(module)
    contents = [path.read_bytes() for path in files]
    if len(contents) > 1:
        contents = [hashlib.sha256(content).digest() for content in contents]
    return hashlib.sha256(b"".join(contents)).hexdigest()


def own_files(module: str) -> list[Path]:
    """Return a module's file and those of modules beside it, or in its package, that it imports."""
    top, start = module.split(".")[0], _file_of(module)
    folder = start.parents[module.count(".") + (start.name == "__init__.py")]
    files, to_read = {start: None}, [module]
    while to_read:
        name = to_read.pop()
        for imported in _imports_of(_file_of(name), name):
            try:
                file = _file_of(imported) if _is_own(imported.split(".")[0], top, folder) else None
            except (ImportError, ValueError):  # a function of a module, or one without a file
                continue
            if file is not None and file not in files:
                files[file] = None
                to_read.append(imported)
    return list(files)


def _is_own(first: str, top: str, folder: Path) -> bool:
    """Return whether a top-level module is a plugin's own, `top`, or lies beside it in a folder."""
    if first == top or folder.name in INSTALLED or first == PIPELINE.name:
        return first == top
    file = _file_of(first)
    return file.parents[file.name == "__init__.py"] == folder


def _file_of(module: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or not found.has_location or not found.origin.endswith(".py"):
        raise ImportError(f"module {module!r} has no Python file")
    return Path(found.origin)


def _imports_of(path: Path, module: str) -> Iterator[str]:
    """Yield the names of modules, and of what may be modules, that a file imports."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
