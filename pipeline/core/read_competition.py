"""Read a competition's CSVs and check them before any work; all problems are reported at once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.config.schema import Data, Submission, Task
from pipeline.core.competition import AS_TRAIN, Competition, only_column
from pipeline.core.extra_rows import read_extra
from pipeline.core.id_checks import bad_ids, formulas, shared_ids, strange_sample
from pipeline.core.image_files import missing_images, with_other_endings
from pipeline.core.long_forms import join_labels
from pipeline.core.row_images import join_files
from pipeline.core.sample import unused_names, wide_sample
from pipeline.core.tables import missing_columns, read_tables, read_test, test_path_of
from pipeline.core.targets import bad_weights, encode_targets, read_numbers, strange_labels
from pipeline.errors import UserError


def read_competition(
    folder: Path, task: Task, data: Data, submission: Submission = AS_TRAIN
) -> Competition:
    """Read the CSVs of input/<competition> and check them against the config and each other.

    Raises:
        UserError: with every problem found, one line each.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder. Link the competition's files there: "
            f"`ln -s /path/to/{folder.name} {folder}`."
        )
    problems: list[str] = []
    notes: list[str] = []
    train, test, sample, separator = read_tables(
        folder, task, data, problems, notes, submission=submission
    )
    _refuse(problems)
    if data.rows == "label":
        joint = (data.id, task.targets[0], task.separator)
        train, differing = join_labels(train, *joint, folder / data.train_csv)
        problems += differing
    train_path = folder / (data.class_folders or data.train_csv)
    test_path = test_path_of(folder, data, is_sample=test is sample)
    if data.rows == "file":
        train, of_train = joined_files(train, data, task.targets, path=train_path)
        test, of_test = joined_files(test, data, [], path=test_path)
        problems += [*of_train, *of_test]
    sample, long_sample = wide_sample(sample, test, data, submission)
    problems += unused_names(sample, data, submission, folder / data.sample_submission)
    problems += missing_columns(folder, task, data, train, test, sample)
    _refuse(problems)
    problems += bad_ids(train, train_path, data, test=test)
    problems += _bad_test_ids(folder, data, submission, test, sample)
    problems += shared_ids(train, test, folder, test_path.name, data)
    classes, targets = encode_targets(
        *(train, task, train_path, problems),
        ids=train[data.id],
        sample_column=only_column(sample, data),
    )
    notes += strange_labels(train, task, classes)
    notes += formulas(test[data.id], "ids", test_path)
    notes += formulas(classes, "classes", train_path)
    _check_numbers(data, (train, train_path), (test, test_path), problems)
    extra = None
    if data.extra is not None:
        extra = read_extra(folder, data.extra, data, task, classes, problems, notes)
    competition = Competition(
        *(folder, task, data, train, test, sample, classes, targets),
        separator=separator,
        long_sample=long_sample,
        submission=submission,
        extra=() if extra is None else (extra,),
    )
    problems += competition.rows_without_images()
    endings, missing = with_other_endings(folder, competition.paths)
    if data.unreadable == "stop":
        problems += missing_images(folder, missing, of=len(competition.paths))
    _refuse(problems)
    if endings or notes:
        competition = replace(competition, endings=endings, notes=(*notes, *_endings_note(endings)))
    return competition


def _check_numbers(
    data: Data,
    train: tuple[pd.DataFrame, Path],
    test: tuple[pd.DataFrame, Path],
    problems: list[str],
) -> None:
    """Add to `problems` which cells of metadata or weights are no numbers."""
    for column in data.numeric:
        for rows, path in (train, test):
            read_numbers(rows[column], path, problems, blank_allowed=True)
    if data.weight is not None:
        rows, path = train
        problems += bad_weights(rows[data.weight], path)


def with_test_rows(known: Competition, folder: Path) -> Competition:
    """Return a competition with the test rows and the sample that lie in a folder now.

    They may be other ones, more, or none. Cells of numeric columns that hold no number are noted,
    and count as blank. Images are not looked for.

    Raises:
        UserError: with every problem found, one line each.
    """
    problems: list[str] = []
    notes: list[str] = []
    data, submission = known.data, known.submission
    test, sample, separator = read_test(
        folder, data, problems, notes, submission=submission, may_be_empty=True
    )
    _refuse(problems)
    if data.rows == "file":
        path = test_path_of(folder, data, is_sample=test is sample)
        test, differing = joined_files(test, data, [], path=path)
        problems += differing
    sample, long_sample = wide_sample(sample, test, data, submission)
    problems += missing_columns(folder, known.task, data, None, test, sample)
    _refuse(problems)
    _refuse(list(_bad_test_ids(folder, data, submission, test, sample)))
    for column in data.numeric:
        read_numbers(
            test[column],
            test_path_of(folder, data, is_sample=test is sample),
            notes,
            blank_allowed=True,
        )
    return replace(
        known,
        folder=folder,
        test=test,
        sample=sample,
        long_sample=long_sample,
        separator=separator,
        endings={},
        notes=tuple(notes),
    )


def joined_files(
    rows: pd.DataFrame, data: Data, targets: list[str], *, path: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Join rows of one id's images; of training rows where there are targets."""
    templates = data.train_templates if targets else data.test_templates
    same = [*targets, *data.numeric, *data.categorical]
    same += [name for name in (data.group, data.weight) if name and targets]
    return join_files(rows, data.id, templates=templates, same=same, path=path)


def _bad_test_ids(
    folder: Path,
    data: Data,
    submission: Submission,
    test: pd.DataFrame,
    sample: pd.DataFrame | None,
) -> Iterator[str]:
    yield from bad_ids(test, test_path_of(folder, data, is_sample=test is sample), data)
    if sample is not None and test is not sample:
        is_part = submission.rows == "sample"
        path = folder / data.sample_submission
        yield from strange_sample(test, sample, path, data, may_be_part=is_part)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise UserError("\n".join(problems))


def _endings_note(endings: Mapping[str, str]) -> Iterator[str]:
    if endings:
        found = Counter(PurePosixPath(path).suffix for path in endings.values())
        counts = ", ".join(f"{number} {ending}" for ending, number in found.most_common())
        first = next(iter(endings))
        yield (
            f"{len(endings)} images have another name or ending than the template says "
            f"({counts}), e.g. {endings[first]} for {first}"
        )
