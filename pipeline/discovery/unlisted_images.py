"""Test images that no CSV names: a folder called test, or those that no training row has."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.core.image_files import image_paths, without_ending
from pipeline.discovery.image_names import ImageNames, Template, is_of_split
from pipeline.discovery.tables import Table


@dataclass(frozen=True)
class UnlistedImages:
    """Images that are the test rows.

    Attributes:
        folder: that all of them lie in or below.
        ending: of ids' files, where ids come without; else empty.
        count: of images.
        is_named: whether the folder is called test, or the like.
    """

    folder: str
    ending: str
    count: int
    is_named: bool


def find_test_folder(folders: Iterable[str]) -> str:
    """Return the folder of all images below the uppermost folder called test; else empty.

    Args:
        folders: that hold images; if several are called test, the one with most folders is taken.
    """
    by_top: dict[str, list[str]] = {}
    for folder in folders:
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            if is_of_split("/".join(parts[:depth]), "test"):
                by_top.setdefault("/".join(parts[:depth]), []).append(folder)
                break
    if not by_top:
        return ""

    def worth(top: str) -> tuple:
        return "test" in top.rpartition("/")[2].lower(), len(by_top[top]), top

    return os.path.commonpath(by_top[max(by_top, key=worth)])


def find_unlisted(train: Table, found: Template | None, names: ImageNames) -> UnlistedImages | None:
    """Find test images beside those of train.csv's rows.

    Args:
        found: the template of train.csv's images.
    """
    if found is None:
        return None
    taken = {*map(without_ending, image_paths(train.rows, found.text))}
    free = [path for path in names.paths if without_ending(path) not in taken]
    folder = find_test_folder({path.rpartition("/")[0] for path in free})
    is_named = bool(folder)
    if not is_named:
        folder = found.text.rpartition("/")[0]
        if not folder or "{" in folder:
            return None
    inside = [path for path in free if path.startswith(f"{folder}/")]
    ending = found.text.rpartition("}")[2]
    ending = ending if all(path.endswith(ending) for path in inside) else ""
    return UnlistedImages(folder, ending, len(inside), is_named) if inside else None
