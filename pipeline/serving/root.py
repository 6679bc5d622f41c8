"""The folder that holds input/, models/ and submissions/, for callers that work elsewhere."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError

REPOSITORY = Path(__file__).parents[2]


@contextmanager
def in_root(config: str | Path, root: str | Path | None) -> Iterator[str]:
    """Work in the root; yield the config's name as it is found from there.

    Args:
        config: a path, or the name of a file here or of a shipped config.
        root: default: the folder of the config's file, one above it, or the working directory,
            whichever has a folder `input` first; else the repository.
    Raises:
        UserError: if the root is no folder.
    """
    given = Path(config).expanduser()
    files = [path for path in (given, given.with_name(f"{given.name}.yaml")) if path.is_file()]
    name = str(files[0].resolve()) if files else str(config)
    if root is None:
        parents = Path(name).parents if files else ()
        folders = (folder for folder in (*parents, Path.cwd()) if (folder / "input").is_dir())
        root = next(folders, REPOSITORY)
    if not Path(root).expanduser().is_dir():
        raise UserError(f"root={root}: no such folder. Name the one that holds input/ and models/.")
    with contextlib.chdir(Path(root).expanduser()):
        yield name
