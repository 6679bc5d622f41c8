"""Source files of a module of the user's own: which they are, and the digest of what they hold."""

import ast
import hashlib
import importlib.util
import shutil
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


def copy_module(module: str, target: Path) -> list[Path]:
    """Copy a module of the user's own, and what it imports beside it, to be imported from there.

    Returns:
        The copies; none of an installed module.
    Raises:
        ImportError, OSError, ValueError: if there is no such module, or it has no file.
    """
    files = own_files(module)
    folder = files[0].parents[module.count(".") + (files[0].name == "__init__.py")]
    if folder.name in INSTALLED or PIPELINE in files[0].parents:
        return []
    copies = [target / file.relative_to(folder) for file in files]
    for file, copy in zip(files, copies, strict=True):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return copies


def own_files(module: str) -> list[Path]:
    """Return a module's file and those of modules beside it, or in its package, that it imports.

    Nothing is imported to find them. Of an installed module it is its own file alone.
    """
    found = importlib.util.find_spec(module)
    if found is None or not found.has_location:
        raise ImportError(f"module {module!r} has no file")
    start = Path(found.origin)
    folder = start.parents[module.count(".") + (start.name == "__init__.py")]
    files, to_read = {start: None}, [(start, module)]
    while to_read and folder.name not in INSTALLED:
        for name in _imports_of(*to_read.pop()):
            file = _file_in(folder, name)
            if file is not None and file not in files:
                files[file] = None
                to_read.append((file, name))
    return list(files)


def _file_in(folder: Path, module: str) -> Path | None:
    """Return the file of a module or package in a folder; None if it lies elsewhere, or is ours."""
    *packages, last = module.split(".")
    inside = folder.joinpath(*packages)
    files = (inside / f"{last}.py", inside / last / "__init__.py")
    return next((file for file in files if file.is_file() and PIPELINE not in file.parents), None)


def _imports_of(path: Path, module: str) -> Iterator[str]:
    """Yield names of modules that a file imports, of packages around them, and of attributes."""
    if path.suffix != ".py":
        return
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
