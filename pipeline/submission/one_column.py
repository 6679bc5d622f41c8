"""Forms of submissions with a single column, by the kind of task."""

from dataclasses import replace

from pipeline.config.schema import Submission
from pipeline.core.competition import Competition
from pipeline.core.labels import JOINTS, labels_in, spelling
from pipeline.core.targets import examples
from pipeline.metrics.find_metric import Metric
from pipeline.submission.form import Form, Holds
from pipeline.submission.notes import (
    fractions,
    hard_labels,
    is_number,
    is_whole,
    no_classes,
    no_numbers,
)

ONE_COLUMN = {  # what a single column can hold; the first is chosen unless the metric wants another
    "binary": ("label", "probability"),
    "multiclass": ("label", "labels"),
    "ordinal": ("label", "value", "level"),
    "multilabel": ("labels",),  # with a metric of the K likeliest, these
    "regression": ("value",),
}


def _binary(
    column: str, cells: list[str], competition: Competition, metric: Metric, settings: Submission
) -> Form:
    """Return a form of labels, of the positive class's probability, or of 0 and 1 for it."""
    classes, scores_labels = competition.classes, metric.wants != "probabilities"
    names = spelling(classes, cells)
    numbers = [float(cell) for cell in cells if is_number(cell)]
    are_shares = (
        bool(cells) and len(numbers) == len(cells) and 0 <= min(numbers) <= max(numbers) <= 1
    )
    are_fractions = are_shares and any(number % 1 for number in numbers)
    in_words = not any(is_number(name) for name in classes)
    wanted = settings.format
    if wanted == "auto" and scores_labels:
        wanted = "probability" if are_fractions and in_words else "label"
        if in_words and are_shares and {*numbers} == {0, 1} and not {*cells} & {*names}:
            fact = f"column {column!r} holds 1 for {classes[1]!r} ({competition.positive_from})"
            return Form("flags", {column: 1}, classes, facts=(f"{fact}, else 0, as the sample",))
    elif wanted == "auto":
        in_labels = {*cells} & {*names} and len(numbers) < len(cells)
        wanted = "label" if in_labels else "probability"
    if wanted == "probability":
        fact = f"column {column!r} holds the probability of {classes[1]!r}"
        warnings = list(no_numbers(cells, column))
        if scores_labels and are_fractions:
            warnings += fractions(column, metric, "probabilities", "label")
        return Form(
            *("numbers", {column: 1}, classes),
            facts=(f"{fact} ({competition.positive_from})",),
            warnings=tuple(warnings),
        )
    warnings = [] if scores_labels else list(hard_labels(column, metric))
    if are_fractions:
        warnings += fractions(column, metric, "labels", "probability")
    else:
        warnings += no_classes(cells, names, column, competition)
    return _labels_form("label", column, names, competition, warnings)


def _multiclass(
    column: str, cells: list[str], competition: Competition, metric: Metric, settings: Submission
) -> Form:
    """Return a form of one label in a cell, or the k likeliest of the sample or the metric."""
    classes, rank = competition.classes, metric.top
    joint, number = _listed(cells, classes, competition.task.separator)
    several = number > 1 or settings.format == "labels" or (rank or 1) > 1
    if several and settings.format != "label":
        held = sorted(labels_in(cells, joint)) if number > 1 else cells
        number = number if number > 1 else rank or len(classes)
        return _likeliest(column, held, joint, number, competition, metric)
    names = spelling(classes, cells)
    is_hard = metric.wants in ("probabilities", "shares") and rank != 1
    warnings = list(hard_labels(column, metric)) if is_hard else []
    if is_hard and len(classes) == 2:
        warnings[0] += "; of two classes, `task.kind: binary` writes the probability of one"
    warnings += no_classes(cells, names, column, competition)
    return _labels_form("label", column, names, competition, warnings)


def _likeliest(
    column: str,
    held: list[str],
    joint: str,
    number: int,
    competition: Competition,
    metric: Metric,
) -> Form:
    """Return a form of the k likeliest labels of a row.

    Args:
        held: the sample's labels.
    """
    classes, rank = competition.classes, metric.top
    number, names, warnings = min(number, len(classes)), spelling(classes, held), []
    if rank is not None and number < min(rank, len(classes)):
        warnings.append(
            f"the metric {metric.name} is of {rank} labels, but the sample has {number} in "
            f"{column!r}, and so has the file: it may score less than the estimate"
        )
    elif metric.wants == "labels":
        warnings.append(
            f"the sample has {number} labels in each cell of {column!r}, and so has the file, "
            f"but the metric {metric.name} scores one; is it top_{number}_accuracy?"
        )
    if parted := [name for name in names if joint in name]:
        warnings.append(f"labels are joined by {joint!r}, which stands in {examples(parted)}")
    warnings += no_classes(held, names, column, competition)
    fact = f"column {column!r} holds the {number} likeliest labels, the likeliest first"
    form = _labels_form("likeliest", column, names, competition, warnings)
    facts = (f"{fact}, joined by {joint!r}", *form.facts)
    return replace(form, joint=joint, number=number, facts=facts)


def _ordinal(
    column: str, cells: list[str], competition: Competition, metric: Metric, settings: Submission
) -> Form:
    """Return a form of levels, of expected levels, or that of a multiclass task."""
    if metric.top is not None and settings.format == "auto":
        return _multiclass(column, cells, competition, metric, settings)
    by_metric = {"values": "value", "levels": "level"}
    holds = settings.format if settings.format != "auto" else by_metric.get(metric.wants, "label")
    names = spelling(competition.classes, cells)
    if holds != "value":
        warnings = list(hard_labels(column, metric)) if metric.wants == "probabilities" else []
        warnings += no_classes(cells, names, column, competition)
        return _labels_form(holds, column, names, competition, warnings)
    warnings = list(no_numbers(cells, column))
    if len(cells) > 1 and set(cells) <= set(names) and all(map(is_whole, cells)):
        warnings.append(
            f"the sample holds whole levels in {column!r}, the file fractions, which the metric "
            f"{metric.name} likes better; `submission.format: level` writes levels"
        )
    return Form("value", {column: 0}, warnings=tuple(warnings))


def _multilabel(
    column: str, cells: list[str], competition: Competition, metric: Metric, settings: Submission
) -> Form:
    """Return a form of labels over the threshold, or the k likeliest, joined."""
    joint, number = _listed(cells, competition.classes, competition.task.separator)
    held = labels_in(cells, joint)
    if metric.top is not None:
        number = number if number > 1 else metric.top
        return _likeliest(column, sorted(held), joint, number, competition, metric)
    names = spelling(competition.classes, held)
    empty, why = settings.empty, "submission.empty"
    if empty == "auto":
        always = bool((competition.targets.sum(axis=1) > 0).all()) and len(competition.targets) > 0
        empty, why = ("likeliest", "every training row has one") if always else ("blank", "")
    if empty in competition.classes:
        empty = names[competition.classes.index(empty)]
    if empty == "likeliest":
        fact = f"a row with no label over the threshold gets its likeliest one ({why})"
    elif empty == "blank":
        fact = f"a row with no label over the threshold has a blank cell ({why or 'as in train'})"
    else:
        fact = f"a row with no label over the threshold holds {empty!r} ({why})"
    warnings = list(hard_labels(column, metric)) if metric.wants == "probabilities" else []
    unknown = sorted(held - {empty})
    warnings += no_classes(unknown, names, column, competition)
    if warnings and set(unknown) - set(names) and set(cells) == set(unknown) and len(cells) == 1:
        warnings[-1] += f"; if it stands for none: `submission.empty: {cells[0]}`"
    form = _labels_form("labels", column, names, competition, warnings)
    facts = (f"in column {column!r}, {fact}", *form.facts)
    return replace(form, joint=joint, empty="" if empty == "blank" else empty, facts=facts)


def _regression(
    column: str, cells: list[str], competition: Competition, metric: Metric, settings: Submission
) -> Form:
    """Return a form of values."""
    warnings = list(no_numbers(cells, column))
    are_whole = len(cells) > 1 and all(map(is_whole, cells))
    if are_whole and (competition.targets % 1 == 0).all():
        warnings.append(
            f"the sample and train hold whole numbers in {column!r}, the file fractions; round "
            "them if the competition takes no others"
        )
    return Form("numbers", {column: 0}, warnings=tuple(warnings))


def _listed(cells: list[str], classes: tuple[str, ...], separator: str) -> tuple[str, int]:
    """Return the separator of labels in the sample's cells, and their number; 1 if it varies."""
    if set(cells) <= set(spelling(classes, cells)):
        return separator, 1
    for joint in (separator, *JOINTS):
        labels = labels_in(cells, joint)
        counts = {len([label for label in cell.split(joint) if label.strip()]) for cell in cells}
        if max(counts, default=1) > 1 and labels <= set(spelling(classes, labels)):
            return joint, counts.pop() if len(counts) == 1 else 1
    return separator, 1


def _labels_form(
    holds: Holds,
    column: str,
    names: tuple[str, ...],
    competition: Competition,
    warnings: list[str],
) -> Form:
    """Return a form of labels; its facts name those spelled otherwise than in train.csv."""
    pairs = zip(competition.classes, names, strict=True)
    changed = [f"{old!r} as {new!r}" for old, new in pairs if old != new]
    fact = f"labels are written as the sample's: {', '.join(changed[:3])}"
    facts = (fact,) if changed else ()
    return Form(holds, {column: 0}, names, facts=facts, warnings=tuple(warnings))


FORM_OF = {
    "binary": _binary,
    "multiclass": _multiclass,
    "ordinal": _ordinal,
    "multilabel": _multilabel,
    "regression": _regression,
}
