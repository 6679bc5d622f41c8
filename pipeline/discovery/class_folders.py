"""Labels without a CSV of training rows: a folder per class, or names that begin with the class."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from pipeline.discovery.image_names import SECONDARY, SPLITS, ImageNames, is_of_split
from pipeline.discovery.unlisted_images import find_test_folder

NO_CLASS = {"images", "image", "img", "imgs", "val", "valid", "validation", "data", "jpg", "png"}
NO_CLASS |= {word for words in SPLITS.values() for word in words} | {"training", "testing", "dev"}
CLASS_IN_NAME = re.compile(r"([^\W\d]+)[\W_]*\d+")  # cat.12, dog_7
MOST_CLASSES = 100


@dataclass(frozen=True)
class ClassFolders:
    """A folder whose folders are classes.

    Attributes:
        folder: relative to input/<competition>; `.` for that itself.
        labels: of each image below it.
        test_folder: of images without labels; empty where there is none.
        others: folders of other splits that also have classes, such as valid.
    """

    folder: str
    labels: pd.Series
    test_folder: str
    others: tuple[str, ...]

    @property
    def classes(self) -> Counter:
        """Return the number of images of each class."""
        return Counter(self.labels)


def find_class_folders(names: ImageNames) -> ClassFolders | None:
    """Find the folder with the most images in folders of its own, best one named like train."""
    below: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for folder, files in names.by_folder.items():
        parts = folder.split("/") if folder else []
        for depth in range(len(parts)):
            if parts[depth].lower() in NO_CLASS or _is_secondary(parts[depth]):
                continue
            below["/".join(parts[:depth])][parts[depth]] += len(files)
    found = {folder: classes for folder, classes in below.items() if _are_classes(folder, names)}
    if not found:
        return None

    def worth(folder: str) -> tuple:
        return (
            is_of_split(folder, "train"),
            not is_of_split(folder, "test"),
            len(found[folder]) > 1,
            sum(found[folder].values()),
            -folder.count("/"),
        )

    best = max(found, key=worth)
    labels = [label for label, number in found[best].items() for _ in range(number)]
    outside = [
        folder
        for folder in names.by_folder
        if not (best == "" or folder == best or folder.startswith(f"{best}/"))
    ]
    if best == "":
        outside = [folder for folder in names.by_folder if folder.split("/")[0] not in found[best]]
    test = find_test_folder(outside)
    if not test:
        plain = [f for f in outside if not is_of_split(f, "train") and not _is_secondary(f)]
        plain = [f for f in plain if PurePosixPath(f).parent.as_posix() not in found]
        test = max(plain, key=lambda folder: len(names.by_folder[folder]), default="")
    others = tuple(
        sorted(
            folder or "."
            for folder in found
            if folder not in (best, test) and len(found[folder]) > 1
        )
    )
    return ClassFolders(best or ".", pd.Series(labels, dtype=str), test, others[:3])


def _is_secondary(folder: str) -> bool:
    return any(word in folder.lower() for word in SECONDARY)


def _are_classes(folder: str, names: ImageNames) -> bool:
    """Return whether a folder's images all lie in folders below it, which may be classes.

    There are two at least, or the folder is called train.
    """
    prefix = f"{folder}/" if folder else ""
    if names.by_folder.get(folder):
        return False
    children = {
        other[len(prefix) :].split("/")[0]
        for other in names.by_folder
        if other.startswith(prefix) and other != folder
    }
    classes = {child for child in children if child.lower() not in NO_CLASS}
    if is_of_split(folder, "train") and len(classes) >= 1:
        return len(classes) == len(children)
    is_archive = "." in PurePosixPath(folder).name and len(children) == 1
    return len(classes) >= 2 and not is_archive


def classes_in_names(paths: list[str]) -> list[str]:
    """Return classes that files' names seem to begin with, cat.1.jpg; empty where they do not."""
    found = [CLASS_IN_NAME.fullmatch(PurePosixPath(path).stem) for path in paths]
    if not all(found):
        return []
    classes = sorted({match[1] for match in found if match})
    return classes if 2 <= len(classes) <= MOST_CLASSES else []
