"""Pseudo-labels: which test rows a teacher is sure of, and what it says of them.

Source: Lee 2013, Pseudo-Label; soft labels and class balance after Xie 2020, Noisy Student, who
also repeat images of rare classes: ours only caps the frequent ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.config.dependencies import members_without_teacher
from pipeline.config.schema import BlendKind, Pseudo
from pipeline.core.folds import ALL_ROWS
from pipeline.core.task import Task
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.members.blend_teachers import members_of_teacher, teacher_fitting
from pipeline.members.outputs import read_fold_test, read_repeat
from pipeline.project import Project

SHOWN_CLASSES = 20  # in the log: of more, those with the most rows


@dataclass(frozen=True)
class PseudoLabels:
    """Rows that a student learns from besides its own.

    Attributes:
        rows: (P,) positions among the test rows.
        targets: (P, C) one-hot or 0/1 if hard, probabilities if soft, values for regression.
        weights: (P,) of these rows in the loss.
        per_class: (C,) how many of these rows have each class; None for regression.
        dropped: name of a filter: how many rows it took of those that the filters before it left.
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    per_class: np.ndarray | None = None
    dropped: dict[str, int] = field(default_factory=dict)


def pseudo_labels_of(project: Project, student: str, fold: int) -> PseudoLabels:
    """Label test rows by a student's teacher that never saw this fold (law 4).

    A blend as teacher is fitted without this fold's rows, on members of round 0 (and the student of
    the round before), and applied to predictions of their models of this fold, of its repeat alone.
    Members that must agree predict by their models of this fold, and classes' shares are of the
    other folds' rows.
    """
    config, pseudo = project.config, project.config.members[student].pseudo
    if pseudo.teacher in config.members:
        values = _test_values(project, pseudo.teacher, fold)
    else:
        values = _blended_test(project, pseudo.teacher, student, fold)
    agreeing = [] if pseudo.agreement is None else members_without_teacher(config)
    return choose_pseudo_labels(
        values,
        pseudo,
        task=project.task,
        member_values=np.stack([_test_values(project, n, fold) for n in agreeing])
        if agreeing
        else None,
        class_shares=project.competition.targets[~project.folds.held_out(fold)].mean(axis=0),
    )


def _test_values(project: Project, member: str, fold: int) -> np.ndarray:
    """(N_test, C) of a member's model that never saw a fold; for all rows, the mean of all."""
    if fold == ALL_ROWS:
        return read_repeat(project, member, project.folds.repeat_of(fold))[1].mean(0)
    return read_fold_test(project, member, fold)


def _blended_test(project: Project, blend: BlendKind, student: str, fold: int) -> np.ndarray:
    """(N_test, C) of a blend of the models that never saw a fold; for all rows, the mean of all."""
    names = members_of_teacher(project, blend, student, "pseudo")
    repeat = project.folds.repeat_of(fold)
    predictions = [read_repeat(project, name, repeat) for name in names]
    oof, layers = (np.stack(part) for part in zip(*predictions, strict=True))
    folds, targets = project.folds.repeats[repeat], project.competition.targets
    test = cross_fit(blend, oof, layers, targets, folds, teacher_fitting(project)).test
    return test.mean(0) if fold == ALL_ROWS else test[fold % len(test)]


def choose_pseudo_labels(
    values: np.ndarray,
    settings: Pseudo,
    *,
    task: Task,
    member_values: np.ndarray | None = None,
    class_shares: np.ndarray | None = None,
) -> PseudoLabels:
    """Keep the confident rows of one teacher's test predictions.

    A row's confidence is its highest probability; for multilabel the mean over columns of
    max(p, 1 - p); a regression has none, all rows are kept. `threshold`, `top_share` and
    `agreement` look at all rows, and all apply where several are given; `top_share` is taken within
    each predicted class, so that rare classes keep their share. `balance` comes last: it caps each
    class at its share of the rows that are left. Classes below theirs stay as they are, so that one
    that is never predicted does not take all others with it.

    Args:
        values: (N, C) predictions of the teacher.
        member_values: (M, N, C) of the members that must agree, for `agreement`.
        class_shares: (C,) of the training rows, for `balance`.
    """
    if task.is_regression:
        rows = np.arange(len(values))
        return PseudoLabels(rows, values, np.full(len(rows), settings.weight))
    confidence, predicted, hard = _decided(values, task)
    left, dropped = np.arange(len(values)), {}

    def keep(name: str, passed: np.ndarray) -> None:
        """Narrow `left` to rows that passed: of (N,)."""
        nonlocal left
        dropped[name] = int(np.sum(~passed[left]))
        left = left[passed[left]]

    if settings.threshold is not None:
        keep("threshold", confidence >= settings.threshold)
    if settings.top_share is not None:
        limits = _rounded_up(settings.top_share * np.bincount(predicted))
        keep("top_share", _most_confident(confidence, predicted, limits))
    if settings.agreement is not None:
        assert member_values is not None, "agreement with whom"
        agreeing = (member_values.argmax(-1) == predicted).mean(0)
        keep("agreement", agreeing >= settings.agreement)
    if settings.balance:
        assert class_shares is not None, "balance of what"
        passed = np.zeros(len(values), dtype=bool)
        limits = _rounded_up(class_shares * len(left))
        passed[left] = _most_confident(confidence[left], predicted[left], limits)
        keep("balance", passed)
    targets = hard if settings.labels == "hard" else values
    return PseudoLabels(
        left,
        targets[left],
        np.full(len(left), settings.weight),
        hard[left].sum(axis=0).astype(int),
        dropped,
    )


def in_words(labels: PseudoLabels, classes: Sequence[str]) -> str:
    """Describe pseudo-labels for the log: how many, of which classes, and what was dropped."""
    words = f"{len(labels.rows)} pseudo-labels"
    if labels.per_class is not None:
        most_first = np.argsort(-labels.per_class, kind="stable")
        counts = [f"{classes[c]} {labels.per_class[c]}" for c in most_first[:SHOWN_CLASSES]]
        hidden = len(classes) - len(counts)
        words += f": {', '.join(counts)}" + (f" and {hidden} classes more" if hidden else "")
    if labels.dropped:
        words += "; dropped by " + ", ".join(f"{name} {n}" for name, n in labels.dropped.items())
    return words


def _decided(values: np.ndarray, task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows' confidence (N,), predicted class (N,), all 0 for multilabel, and hard labels."""
    if task.is_multilabel:
        confidence = np.maximum(values, 1 - values).mean(1)
        return confidence, np.zeros(len(values), dtype=int), (values >= 0.5).astype(float)
    predicted = values.argmax(1)
    return values.max(1), predicted, np.eye(values.shape[1])[predicted]


def _most_confident(
    confidence: np.ndarray, predicted: np.ndarray, limits: np.ndarray
) -> np.ndarray:
    """(N,) whether a row is among the `limits[c]` most confident of its predicted class c."""
    keep = np.zeros(len(confidence), dtype=bool)
    for label, limit in enumerate(limits):
        rows = np.flatnonzero(predicted == label)
        best_first = rows[np.argsort(-confidence[rows], kind="stable")]
        keep[best_first[:limit]] = True
    return keep


def _rounded_up(counts: np.ndarray) -> np.ndarray:
    """Whole rows; rounded first: 0.07 * 100 is a trifle above 7, and would keep eight."""
    return np.ceil(np.round(counts, 6)).astype(int)
