"""Rows of competitions without CSVs: a folder for each class, and a folder of test images."""

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.core.image_files import IMAGE_ENDINGS, without_ending
from pipeline.core.targets import examples


def rows_of_class_folders(
    folder: Path, id_column: str, target: str, problems: list[str], *, but: Path
) -> pd.DataFrame | None:
    """Return a row for each image below a folder of classes: its path there, and its class.

    The order is arbitrary, but always the same: sorted rows would tell the class by their position.

    Args:
        problems: gets why there are none.
        but: the folder of test images, which is no class where it lies among the classes.
    """
    if not folder.is_dir():
        beside = sorted(child.name for child in folder.parent.glob("*") if child.is_dir())
        problems.append(
            f"{folder}: no such folder. `data.class_folders` names the folder that holds a folder "
            f"for each class; there are {examples(beside)}."
        )
        return None
    among = but != folder and but.is_relative_to(folder)
    paths = [
        path
        for path in images_below(folder)
        if "/" in path and not (among and (folder / path).is_relative_to(but))
    ]
    if not paths:
        problems.append(f"{folder}: no images in folders of classes, such as cat/1.jpg.")
        return None
    paths.sort(key=lambda path: hashlib.sha256(path.encode()).digest())
    classes = [PurePosixPath(path).parts[0] for path in paths]
    return pd.DataFrame({id_column: paths, target: classes}, dtype=str)


def rows_of_folder(
    root: Path, folder: str, *, template: str, id_column: str, taken: Collection[str]
) -> pd.DataFrame:
    """Return a row for each image below a folder that a template of paths leads to, sorted by id.

    Args:
        root: that both the folder's path and the template start at.
        template: `test/{id}.jpg`: then ids are paths below test without their ending.
        taken: images of other rows, without endings; they are left out.
    """
    before, _, after = template.partition(f"{{{id_column}}}")
    paths = [PurePosixPath(folder, path).as_posix() for path in images_below(root / folder)]
    found = [
        path[len(before) : len(path) - len(after)]
        for path in paths
        if path.startswith(before) and path.endswith(after) and without_ending(path) not in taken
    ]
    return pd.DataFrame({id_column: sorted(found)}, dtype=str)


def images_below(folder: Path) -> Iterator[str]:
    """Yield the paths of a folder's images, also in folders below, without hidden ones."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in files:
            if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith("."):
                yield (Path(parent) / name).relative_to(folder).as_posix()
