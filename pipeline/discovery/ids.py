"""Which column identifies rows, which CSV names the test rows, and which template finds images."""

from dataclasses import dataclass, field, replace

from pipeline.discovery.guess import Guess, counted
from pipeline.discovery.image_names import ENOUGH, ImageNames, Template, is_of_split
from pipeline.discovery.image_problems import image_problems
from pipeline.discovery.sample_form import SampleForm
from pipeline.discovery.tables import Table, Tables
from pipeline.discovery.unlisted_images import UnlistedImages, find_unlisted

Decisions = dict[str, Guess]
DEFAULTS = {
    "data.train_csv": "train.csv",
    "data.test_csv": "test.csv",
    "data.sample_submission": "sample_submission.csv",
}
WHERE = {"train": "data.train_images", "test": "data.test_images"}


@dataclass(frozen=True)
class Rows:
    """Where rows are and what identifies them.

    Attributes:
        id: column.
        test: the CSV of test rows; None where there is none.
        decisions: keys of `data`.
        notes: what a person should know.
    """

    id: str
    test: Table | None
    decisions: Decisions
    notes: list[str] = field(default_factory=list)


def find_rows(tables: Tables, form: SampleForm, names: ImageNames) -> Rows:
    """Decide on ids, CSVs and templates of paths of a competition with a train.csv."""
    train = tables.train
    assert train is not None, "class_folders.py decides where there is no train.csv"
    notes: list[str] = []
    key = _id_column(train, tables, form)
    test, test_guess = _test_rows(tables, form, key.value)
    decisions: Decisions = {"data.id": key}
    others = () if tables.certain else tuple(t.path for t in tables.others if t.role == "train")
    decisions["data.train_csv"] = Guess(
        train.path,
        "sure" if tables.certain else "likely",
        f"{len(train.rows):,} rows, columns {_few(train.columns)}",
        others[:3],
    )
    decisions["data.test_csv"] = test_guess
    if tables.sample is not None:
        what = f"{len(tables.sample.rows):,} rows, columns {_few(tables.sample.columns)}"
        certainty = "likely" if tables.samples else "sure"
        decisions["data.sample_submission"] = Guess(
            tables.sample.path, certainty, what, tables.samples
        )
        if form.id and key.value not in tables.sample.columns:
            decisions["submission.id"] = Guess(form.id, "sure", "the sample's name for the ids")
    if test is not None and key.value not in test.columns and test.image:
        # As `submission.id` calls the sample's, or a copy that `make folds` asks for.
        test = replace(
            test, rows=test.rows.rename(columns={test.image: key.value}), image=key.value
        )
    templates = {
        "train": _template(train, "train", names),
        "test": _template(test, "test", names),
    }
    for split, table in (("train", train), ("test", test)):
        found = templates[split]
        decisions[WHERE[split]] = _where(found, table, split, key.value, names)
        notes += [] if table is None else image_problems(table, found, names)
    if test is None and (unlisted := find_unlisted(train, templates["train"], names)):
        decisions |= _of_unlisted(unlisted, key.value)
    shared = _shared_ids(train, test, key.value)
    if shared and templates["train"] and templates["test"]:
        if templates["train"].text != templates["test"].text:
            decisions["data.allow_shared_ids"] = Guess(
                True, "likely", f"{shared:,} ids are in both splits, of images in other folders"
            )
        else:
            notes.append(f"{shared:,} ids of {train.path} are test rows, too, with the same image")
    return Rows(key.value, test, decisions, notes)


def _id_column(train: Table, tables: Tables, form: SampleForm) -> Guess:
    """Return the column of ids, best one that every CSV has."""
    image = train.image
    others = [table for table in (tables.test, tables.sample) if table is not None]
    shared = [name for name in train.columns if all(name in table.columns for table in others)]
    if form.id in shared:
        unique = train.rows[form.id].is_unique
        reason = "the sample's first column" if unique else "the sample's; several rows of one id"
        return Guess(form.id, "sure" if unique else "likely", reason)
    if image in shared:
        return Guess(image, "sure" if others else "likely", "it names images")
    unique = [name for name in shared if train.rows[name].is_unique]
    if not unique:
        return Guess(image, "a guess", "it names images; other CSVs lack it")
    return Guess(unique[0], "likely", "differs in every row, and every CSV has it")


def _test_rows(tables: Tables, form: SampleForm, key: str) -> tuple[Table | None, Guess]:
    """Return the CSV of test rows, and the decision; the sample where test.csv has other ids."""
    test, sample = tables.test, tables.sample
    if test is None and sample is None:
        return None, Guess(None, "sure", "no CSV of test rows was found")
    if test is None:
        return sample, Guess(None, "sure", f"test rows are those of {sample.path}")
    rows = f"{len(test.rows):,} rows, columns {_few(test.columns)}"
    if sample is None or form.is_long or key not in test.columns or key not in sample.columns:
        return test, Guess(test.path, "sure" if test.role == "test" else "likely", rows)
    if test.cells(key) == sample.cells(key):
        return test, Guess(test.path, "sure", f"{rows}, the sample's ids")
    return sample, Guess(
        sample.path, "likely", f"the sample's ids, which are not those of {test.path}"
    )


def _of_unlisted(images: UnlistedImages, key: str) -> Decisions:
    """Decide on test images that no CSV names."""
    certainty = "likely" if images.is_named else "a guess"
    count = counted(images.count, "image")
    what = f"no CSV names test rows: {count} there {'is' if images.count == 1 else 'are'} no"
    template = f"{images.folder}/{{{key}}}{images.ending}"
    return {
        "data.test_csv": Guess(images.folder, certainty, f"{what} training row's"),
        "data.test_images": Guess(template, certainty, "see that ids are spelled as wanted"),
    }


def _template(table: Table | None, split: str, names: ImageNames) -> Template | None:
    if table is None:
        return None
    if table.image:
        return names.find_template(table.rows, table.image, split)
    return None


def _where(
    found: Template | None, table: Table | None, split: str, key: str, names: ImageNames
) -> Guess:
    """Return the decision on a template of paths."""
    if found is None:
        folders = sorted(names.by_folder, key=lambda f: (not is_of_split(f, split), f))
        what = "no test rows are known" if table is None else f"{table.path} names no image"
        others = ", ".join(folder or "." for folder in folders[:4])
        folder = f"{folders[0]}/" if folders[0] else ""
        return Guess(f"{folder}{{{key}}}", "a guess", f"{what}; images lie in: {others}")
    missing = 1 - found.share
    if missing > 0:
        reason = f"finds {found.share:.0%} of the images tried"
    else:
        reason = "finds every image tried" + ("" if found.exact == 1 else ", endings differ")
    sure = found.share == 1 and not found.others
    certainty = "sure" if sure else "likely" if found.share > ENOUGH else "a guess"
    return Guess(found.text, certainty, reason, found.others)


def _shared_ids(train: Table, test: Table | None, key: str) -> int:
    if test is None or key not in test.columns:
        return 0
    return len(train.cells(key) & test.cells(key))


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
