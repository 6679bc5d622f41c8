"""The leak radar: can the target be told from what should not matter?

For each clue a small forest is fitted on the clue alone and predicts the rows that it did not see,
in the competition's own folds. A look counts where it beats chance by more than all looks together
would by luck; how bad that is depends on what else could explain it.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import RandomForestRegressor

from pipeline.core.competition import Competition
from pipeline.core.finding import Alarm
from pipeline.core.folds import FoldTable
from pipeline.core.runtime import num_threads, stream, stream_seed
from pipeline.estimates.association import (
    Association,
    Outcome,
    associate,
    clustered_error,
    holm,
    outcome_of,
)
from pipeline.images.index import ImageIndex
from pipeline.leaks.file_features import Clue, file_clues, row_clues
from pipeline.leaks.traces import read_traces

log = logging.getLogger(__name__)

MAX_TRAIN, MAX_TEST = 1500, 500  # rows looked at: enough to see a leak, and seconds to decode
MIN_TRAIN = 30  # with fewer, chance can look like anything
ALPHA = 0.01  # of one false alarm in a competition, all looks together
WEAK, STRONG, NEARLY_ALL = 0.05, 0.2, 0.8  # of the way from chance to a perfect score
UNLIKE = 0.6  # AUC of test against train from which a clue counts as differently distributed
NUM_TREES = 40
NUM_PARTS = 5  # of rows, held out in turn when train and test are compared
NUM_EXAMPLES = 3
CONTROL_MARGIN = 0.05  # of score, by which a border must beat the pixels inside it


@dataclass(frozen=True)
class Examiner:
    """Fits forests on one clue's table; each clue's draws have a stream of their own.

    Attributes:
        outcome: of training rows. folds, groups: (N,) theirs.
    """

    outcome: Outcome
    folds: np.ndarray
    groups: np.ndarray
    seed: int

    def tell_target(self, name: str, table: np.ndarray) -> tuple[Association, np.ndarray]:
        """How well a clue (N, F) tells the target, and what it says, (N, C)."""
        draw = stream_seed(self.seed, "radar", name)
        values = predict_held_out(table, self.outcome.columns, self.folds, seed=draw)
        return associate(values, self.outcome, self.groups), values

    def differs_in_test(self, name: str, table: np.ndarray) -> tuple[float, bool]:
        """AUC of test against train by a clue (N + N_test, F), and whether that is too much.

        Too much is more than what one fold, told from the others in the same way, has: where
        folds hold out persons, each fold is peculiar.
        """
        num_train = len(self.folds)
        score = self._tell_marked(name, table, np.arange(len(table)) >= num_train)
        if score <= UNLIKE:
            return score, False
        folds = [self.folds == fold for fold in np.unique(self.folds)]
        peculiar = max(self._tell_marked(name, table[:num_train], fold) for fold in folds)
        return score, score > peculiar + UNLIKE - 0.5

    def _tell_marked(self, name: str, table: np.ndarray, marked: np.ndarray) -> float:
        """AUC of marked rows against the others; parts are drawn row by row."""
        parts = stream(self.seed, "radar", name, "parts").permutation(len(table)) % NUM_PARTS
        draw = stream_seed(self.seed, "radar", name, "test")
        values = predict_held_out(table, marked[:, None] + 0.0, parts, seed=draw)
        outcome = Outcome(marked[:, None] + 0.0, ("marked",), "AUC")
        return associate(values, outcome, np.arange(len(table))).score


def look_at_clues(
    competition: Competition, index: ImageIndex, table: FoldTable, *, seed: int
) -> list[Alarm]:
    """Look at every clue; files of up to MAX_TRAIN + MAX_TEST rows are opened.

    Args:
        index: images of training rows, then of test rows.
    """
    num_train, num_test = len(competition.ids), len(competition.test_ids)
    if num_train < MIN_TRAIN:
        return [Alarm("clues", "quiet", f"{num_train} training rows are too few to tell")]
    rng = stream(seed, "radar")
    train = np.sort(rng.permutation(num_train)[:MAX_TRAIN])
    test = num_train + np.sort(rng.permutation(num_test)[:MAX_TEST])
    clues = _clues(competition, index, np.concatenate([train, test]))
    outcome = outcome_of(
        competition.targets[train],
        competition.classes,
        kind=competition.task.kind,
        levels=competition.levels,
    )
    if not outcome.names:
        return [Alarm("clues", "quiet", "every class has too few rows to tell")]
    examiner = Examiner(outcome, table.folds[train], table.groups[train], seed)
    return judge(clues, examiner, index.paths[train])


def judge(clues: list[Clue], examiner: Examiner, paths: np.ndarray) -> list[Alarm]:
    """Grade clues together: chance is allowed one false alarm in 1 / ALPHA competitions.

    Args:
        paths: (N,) of training images.
    """
    outcome = examiner.outcome
    num_train = len(paths)
    live = [clue for clue in clues if clue.varies]
    alarms = [
        Alarm(clue.name, "quiet", "the same for every row") for clue in clues if not clue.varies
    ]
    told = [examiner.tell_target(clue.name, clue.table[:num_train]) for clue in live]
    adjusted = holm(np.array([found.p_value for found, _ in told]))
    for clue, (found, values), p_value in zip(live, told, adjusted, strict=True):
        best, score = outcome.names[found.best], f"{outcome.measure} {found.score:.2f}"
        strength = (found.score - outcome.chance) / (1 - outcome.chance)
        numbers = {"score": found.score, "chance": outcome.chance, "p_value": float(p_value)}
        if p_value > ALPHA or strength < WEAK:
            seen = f"tells nothing of the target ({score}, chance {outcome.chance})"
            alarms.append(Alarm(clue.name, "quiet", seen, **numbers))
            continue
        reasons = _reasons(clue, found, strength, examiner)
        seen = f"tells the target with {score} where chance has {outcome.chance}"
        if outcome.measure == "AUC" and len(outcome.names) > 1:
            seen += f", best of all {best!r}"
        seen = "; ".join([seen, *[text for text, _ in reasons]])
        bad = any(is_bad for _, is_bad in reasons)
        told_best = _surest(values[:, found.best], outcome.columns[:, found.best])
        examples = paths[told_best].tolist()
        # A border that tells no more than what lies inside is only a part of the picture.
        grade = "suspicious" if bad else "note" if clue.control is None else "quiet"
        shown = [(f"told best: {best}", [(path, "") for path in examples])]
        images = [] if grade == "quiet" else shown
        alarm = Alarm(clue.name, grade, seen, clue.advice, examples=examples, images=images)
        alarms.append(replace(alarm, **numbers))
    return alarms


def predict_held_out(
    table: np.ndarray, columns: np.ndarray, folds: np.ndarray, *, seed: int
) -> np.ndarray:
    """Predict columns (N, C) from a clue's table (N, F), each fold by a forest of the others."""
    values = np.empty(columns.shape)
    for fold in np.unique(folds):
        rows, held_out = folds != fold, folds == fold
        forest = RandomForestRegressor(
            NUM_TREES,
            min_samples_leaf=3,
            max_features="sqrt",
            max_samples=(int(rows.sum()) + 1) // 2,
            random_state=seed,
        )
        target = columns[rows, 0] if columns.shape[1] == 1 else columns[rows]
        values[held_out] = (
            forest.fit(table[rows], target).predict(table[held_out]).reshape(-1, columns.shape[1])
        )
    return values


def _clues(competition: Competition, index: ImageIndex, rows: np.ndarray) -> list[Clue]:
    num_train = len(competition.ids)
    seen = index.take(rows)
    ids = np.concatenate([competition.ids, competition.test_ids])[rows]
    files = [competition.folder / path for path in seen.paths.tolist()]
    traces = list(read_traces(files, threads=num_threads(), pixel_range=index.pixel_range))
    positions = np.where(rows < num_train, rows, -1)
    num_classes = len(competition.classes)
    return [
        *row_clues(positions, seen.paths.tolist(), ids.tolist(), num_classes=num_classes),
        *file_clues(seen.stamps, seen.sizes, traces),
    ]


def _reasons(
    clue: Clue, found: Association, strength: float, examiner: Examiner
) -> list[tuple[str, bool]]:
    """What else is known of a clue that tells the target, and whether that makes it suspicious."""
    reasons, num_train = [], len(examiner.folds)
    if not clue.innocent:
        reasons.append(("no honest reason is known", strength >= STRONG))
    if clue.control is not None:
        inside, _ = examiner.tell_target(f"{clue.name}, control", clue.control[:num_train])
        margin = found.score - inside.score
        error = clustered_error(found.influence - inside.influence, examiner.groups)
        more = margin > CONTROL_MARGIN and norm.sf(margin / max(error, 1e-9)) < ALPHA
        than = "more than" if more else "not more than"
        reasons.append((f"{than} pixels further inside ({inside.score:.2f})", more))
        return reasons  # what else tells test from train in it, the whole picture does too
    if clue.innocent and strength >= NEARLY_ALL:
        reasons.append(("that is too well for an accident", True))
    if clue.innocent and len(clue.table) > num_train:
        score, differs = examiner.differs_in_test(clue.name, clue.table)
        more = "more" if differs else "no more"
        text = f"tells test from train {more} than a fold from the others (AUC {score:.2f})"
        reasons.append((text, differs and strength >= STRONG))
    return reasons


def _surest(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Positions of a few rows that the clue is surest of, among those where it is right."""
    right = np.flatnonzero(column >= np.median(column) if column.max() < 1 else column > 0.5)
    return right[np.argsort(-values[right], kind="stable")[:NUM_EXAMPLES]]
