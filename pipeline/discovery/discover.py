"""Everything that is found out about a competition's folder, as guesses by key of the config."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.core.image_files import UNREADABLE
from pipeline.discovery.class_folders import ClassFolders, classes_in_names, find_class_folders
from pipeline.discovery.columns import find_columns
from pipeline.discovery.files import UNREAD, Listing, list_files
from pipeline.discovery.guess import Guess, counted
from pipeline.discovery.ids import WHERE, Rows, find_rows
from pipeline.discovery.image_names import ImageNames, is_of_split
from pipeline.discovery.image_problems import image_problems, other_images
from pipeline.discovery.metric import USUAL, find_metric, kinds_of, unknown_metric
from pipeline.discovery.pixels import look_at
from pipeline.discovery.presets import find_preset
from pipeline.discovery.sample_form import SampleForm, columns_per_class, find_form
from pipeline.discovery.split_rows import part_tables
from pipeline.discovery.tables import Table, Tables, find_tables
from pipeline.discovery.target import Target, find_target
from pipeline.discovery.target_kind import find_kind, fitting_kind
from pipeline.discovery.unlisted_images import find_test_folder
from pipeline.errors import UserError

FEW_ROWS = 5  # of a class, fewer than folds


@dataclass(frozen=True)
class Asked:
    """What the user decides: TARGET=, METRIC=, and BUDGET= in seconds."""

    target: str = ""
    metric: str = ""
    budget: float | None = None


@dataclass(frozen=True)
class Discovery:
    """Guesses by key of the config, in the order of the file.

    Attributes:
        facts: on the images, one line each.
        notes: what a person should check or do.
    """

    competition: str
    decisions: dict[str, Guess]
    facts: list[str]
    notes: list[str] = field(default_factory=list)


def discover(root: Path, competition: str, asked: Asked) -> Discovery:
    """Look at input/<competition> and decide on every key.

    Raises:
        UserError: if the folder is not there or holds no images, or TARGET= names no column.
    """
    folder = root / "input" / competition
    listing = list_files(_checked(folder))
    if not listing.images:
        raise UserError(f"{folder}: no images were found.{_instead(listing)}")
    names = ImageNames([unicodedata.normalize("NFC", path) for path in listing.images])
    tables = find_tables(listing, names)
    form = find_form(tables.sample, tables.train, names)
    classes = None if tables.train else find_class_folders(names)
    if tables.train is not None:
        decisions, notes = _of_rows(tables, form, names, asked)
    elif classes is not None:
        decisions, notes = _of_folders(classes, tables, form, names, asked)
    else:
        decisions, notes = _without_labels(names, tables, form, asked)
    pixels = look_at(listing, listing.images)
    packed = f", in {', '.join(listing.archives[:4])}" if listing.archives else ""
    facts = [f"{len(listing.images):,} images{packed}: {pixels.text}"]
    if pixels.is_deep:
        decisions["data.pixel_range"] = Guess(
            None,
            "a guess",
            "left out, the range is measured on the training images",
            ("[0, 65535]",),
        )
    if pixels.broken:
        number = counted(len(pixels.broken), "image")
        path, why = next(iter(pixels.broken.items()))
        notes.append(f"{number} of those tried cannot be opened, e.g. {path}: {why}")
    found = {"extends": find_preset(len(listing.images), asked.budget), **decisions}
    return Discovery(competition, found, facts, [*notes, *tables.notes, *_about_files(listing)])


def _checked(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    if folder.is_symlink():
        raise UserError(
            f"{folder}: a link to {folder.readlink()}, which is no folder. Link the one that holds "
            f"the competition's files: `ln -sfn /path/to/{folder.name} {folder}`."
        )
    if folder.exists():
        raise UserError(f"{folder}: a file, not a folder. Move it into a folder of that name.")
    beside = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
    there = f" There are: {', '.join(beside[:6])}." if beside else ""
    raise UserError(
        f"{folder}: no such folder.{there} Link the competition's files there: "
        f"`ln -s /path/to/{folder.name} {folder}`, or unpack them: "
        f"`unzip {folder.name}.zip -d {folder}`."
    )


def _instead(listing: Listing) -> str:
    """Return what a folder without images holds, and what to do."""
    held = [f"{number:,} {ending}" for ending, number in sorted(listing.unread.items())]
    advice = [UNREAD[ending] for ending in sorted(listing.unread)]
    what = f" It holds {', '.join(held)} files ({'; '.join(advice)})." if held else ""
    if not any(listing.root.iterdir()):
        what = " The folder is empty: put the competition's files there, or a link to them."
    problems = "".join(f" {problem}." for problem in listing.problems)
    return f"{what}{problems} JPEG, PNG, TIFF, WebP, BMP, GIF and JPEG 2000 are read."


def _of_rows(
    tables: Tables, form: SampleForm, names: ImageNames, asked: Asked
) -> tuple[dict[str, Guess], list[str]]:
    """Decide where there is a CSV of training rows."""
    tables, split = part_tables(tables)
    rows = find_rows(tables, form, names)
    target = find_target(tables, rows.test, form, rows.id, asked.target)
    cells = tables.train.rows[target.columns[0]] if len(target.columns) == 1 else None
    task, notes = _task(target, form, cells, asked)
    pictures = other_images(tables.train, names)
    further = find_columns(
        tables.train, rows.test, tables.sample, [*target.columns, *pictures], rows.id
    )
    notes = [*rows.notes, *notes]
    if pictures:
        rows.decisions.update(_several_images(rows, tables.train, pictures))
    if blank := [] if cells is None else int((cells.str.strip() == "").sum()):
        notes.append(
            f"{blank:,} of {len(cells):,} rows of {tables.train.path} have no `{cells.name}`: if "
            "they are the test rows, save them as test.csv, and the others as train.csv"
        )
    if cells is not None and task["task.kind"].value in ("binary", "multiclass", "ordinal"):
        notes += _rare_classes(cells)
    elif rows.test is None and not rows.decisions["data.test_csv"].value:
        notes.append(
            f"no test images: put them into a folder test, or name a CSV with a column `{rows.id}` "
            "of their ids in data.test_csv"
        )
    of_data = {key: guess for key, guess in target.decisions.items() if key.startswith("data.")}
    decisions = task | rows.decisions | of_data | further
    if split is not None:
        del decisions["data.test_csv"]
        decisions["data.split"] = split
    train, key = tables.train, rows.id
    is_apart = train.image not in ("", key) and "data.rows" not in decisions
    if is_apart and train.rows[key].duplicated().any() and form.id == key:
        number = train.rows[key].nunique()
        what = f"{len(train.rows):,} images of {number:,} `{key}`, and the sample asks for these"
        decisions["data.rows"] = Guess("file", "likely", what)
    return decisions, notes


def _several_images(rows: Rows, train: Table, pictures: list[str]) -> dict[str, Guess]:
    """Decide on the paths of rows whose images are in several columns."""
    found = {}
    for split, table in (("train", train), ("test", rows.test)):
        template = rows.decisions[WHERE[split]]
        named = [name for name in pictures if table is not None and name in table.columns]
        first = f"{{{train.image}}}"
        if named and first in str(template.value):
            paths = [template.value, *(template.value.replace(first, f"{{{n}}}") for n in named)]
            reason = f"each row has {len(paths)} images, in {', '.join([train.image, *named])}"
            found[WHERE[split]] = Guess(paths, "likely", reason, (template.value,))
    return found


def _of_folders(
    classes: ClassFolders, tables: Tables, form: SampleForm, names: ImageNames, asked: Asked
) -> tuple[dict[str, Guess], list[str]]:
    """Decide where there is a folder per class."""
    test = tables.test or tables.sample
    name = asked.target or form.column or "label"
    per_class = columns_per_class(form, sorted(classes.classes))
    kind = find_kind("label", classes.labels, form, per_class)
    is_known = bool(asked.target or form.column)
    guess = Guess(name, "sure" if is_known else "likely", "the folders' names, under this name")
    target = Target([name], kind, per_class, {"task.target": guess})
    decisions, notes = _task(target, form, classes.labels, asked)
    number = len(classes.labels)
    decisions["data.class_folders"] = Guess(
        classes.folder,
        "sure" if len(classes.classes) > 1 else "a guess",
        f"{counted(number, 'image')} in {counted(len(classes.classes), 'folder')}, one per class",
    )
    if test is not None:
        key = form.id or test.image or test.columns[0]
        decisions["data.id"] = Guess(key, "sure", f"the first column of {test.path}")
        if tables.test is not None:
            decisions["data.test_csv"] = Guess(tables.test.path, "likely", "test rows")
        if tables.sample is not None:
            decisions["data.sample_submission"] = Guess(tables.sample.path, "sure", "the sample")
        found = names.find_template(test.rows, test.image, "test") if test.image else None
        if found:
            decisions["data.test_images"] = Guess(
                found.text, "sure", f"finds {found.share:.0%} of those tried", found.others
            )
    elif classes.test_folder:
        below = [path for path in names.paths if path.startswith(f"{classes.test_folder}/")]
        decisions["data.test_images"] = Guess(
            f"{classes.test_folder}/{{id}}", "likely", f"{len(below):,} images, all are test rows"
        )
    else:
        notes.append(
            "no test images: put them into a folder test, or name their folder in data.test_images"
        )
    if classes.others:
        notes.append(f"folders per class that are not used: {', '.join(classes.others)}")
    return decisions, [*notes, *_rare_classes(classes.labels)]


def _task(
    target: Target, form: SampleForm, cells: pd.Series | None, asked: Asked
) -> tuple[dict[str, Guess], list[str]]:
    """Decide on kind and metric, each in view of the other."""
    kind, metric, notes = target.kind, asked.metric, []
    if metric and ":" not in metric:
        fitting = fitting_kind(kind, kinds_of(metric), cells)
        if fitting is None:
            notes.append(unknown_metric(metric, kind.value))
            metric = ""
        else:
            kind = fitting
    per_class = target.per_class or len(target.columns) > 1
    found = find_metric(kind.value, form, per_class, metric)
    if asked.metric and not metric:
        found = Guess(
            found.value, "a guess", f"METRIC={asked.metric} is not known", found.alternatives
        )
    of_task = {key: guess for key, guess in target.decisions.items() if key.startswith("task.")}
    if kind.value != "binary":
        of_task.pop("task.positive", None)
    if kind.value != "multilabel":
        of_task.pop("task.separator", None)
    return {"task.kind": kind, **of_task, "task.metric": found}, notes


def _without_labels(
    names: ImageNames, tables: Tables, form: SampleForm, asked: Asked
) -> tuple[dict[str, Guess], list[str]]:
    """Decide where no labels are found: keys to fill in, and how to make a train.csv."""
    test = tables.sample or tables.test
    key, target = form.id or "id", asked.target or form.column or "label"
    key = "id" if UNREADABLE & set(key) else key
    folder = max(names.by_folder, key=lambda f: (is_of_split(f, "train"), len(names.by_folder[f])))
    where = f"{folder}/{{{key}}}" if folder else f"{{{key}}}"
    page = "the competition's page says which"
    decisions = {
        "task.kind": Guess("multiclass", "a guess", "no labels were found"),
        "task.target": Guess(target, "a guess", "a column of the train.csv to be written"),
        "task.metric": Guess("accuracy", "a guess", page, USUAL["multiclass"][1:]),
        "data.id": Guess(key, "a guess", "a column of the train.csv to be written"),
        "data.train_images": Guess(
            where, "a guess", counted(len(names.by_folder[folder]), "image")
        ),
    }
    asking = (
        "no labels were found, neither in a CSV whose cells name images nor as a folder per class. "
        f"Write train.csv (columns {key} and {target}, a row for each training image)"
    )
    folder_of_test = find_test_folder(names.by_folder)
    if test is not None:
        decisions["data.sample_submission"] = Guess(test.path, "likely", "test rows")
    elif folder_of_test:
        decisions["data.test_csv"] = Guess(folder_of_test, "likely", "its images are test rows")
    else:
        asking += f" and test.csv (column {key})"
    found = test and test.image and names.find_template(test.rows, test.image, "test")
    if found:
        decisions["data.test_images"] = Guess(found.text, "likely", "finds test images")
    elif folder_of_test:
        decisions["data.test_images"] = Guess(f"{folder_of_test}/{{{key}}}", "a guess", "its name")
    unused = [table for table in (*tables.others, tables.sample, tables.test) if table is not None]
    notes = [
        note
        for table in unused
        if not table.image and table.role != "answers"
        for note in image_problems(table, None, names)
    ] or [f"{asking} into the folder, and run `make new` with OUT= again"]
    if classes := classes_in_names(names.by_folder[folder]):
        few = ", ".join(classes[:4])
        notes.append(
            f"names in {folder or '.'} begin with what may be classes ({few}). Python writes them: "
            "`pandas.DataFrame([(name, re.match('[^0-9_.-]+', name)[0]) for name in "
            f"os.listdir(FOLDER)], columns=['{key}', '{target}']).to_csv('train.csv', index=False)`"
        )
    return decisions, notes


def _rare_classes(labels: Sequence[str]) -> list[str]:
    """Return a note on classes with fewer rows than folds."""
    counts = pd.Series(labels).value_counts().drop("", errors="ignore")
    rare = counts[counts < FEW_ROWS]
    if len(counts) == 1:
        return [f"one class only, {counts.index[0]!r}: there is nothing to learn"]
    if not len(rare):
        return []
    few = f"fewer rows than folds ({FEW_ROWS}), e.g. {rare.index[0]!r}"
    return [f"{counted(len(rare), 'class')} with {few}"]


def _about_files(listing: Listing) -> list[str]:
    """Return notes on files that are not read."""
    return [
        *(
            f"{number:,} {ending} files are not read ({UNREAD[ending]})"
            for ending, number in listing.unread.items()
        ),
        *listing.problems,
    ]
