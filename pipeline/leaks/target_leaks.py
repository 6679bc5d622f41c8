"""Target leaks: do file names, row order, EXIF tags or border pixels predict the target?

A small forest is fitted on each file feature alone and predicts held-out rows, in the competition's
own folds. A feature counts where it beats chance by more than luck explains over all features
together; its grade depends on what else could explain it.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import RandomForestRegressor

from pipeline.core.competition import Competition
from pipeline.core.finding import Finding
from pipeline.core.folds import FoldTable
from pipeline.core.runtime import num_threads, stream, stream_seed
from pipeline.core.task import Task
from pipeline.estimates.association import (
    Association,
    Outcome,
    associate,
    clustered_error,
    holm,
    outcome_of,
)
from pipeline.images.decoding import UNREADABLE
from pipeline.images.index import ImageIndex
from pipeline.leaks.file_features import (
    FileFeature,
    file_features,
    read_file_infos,
    row_features,
)

NAME = "file features"
MAX_TRAIN, MAX_TEST = 1500, 500  # rows used: enough to see a leak, and seconds to decode
MIN_TRAIN = 30  # with fewer, chance can look like anything
ALPHA = 0.01  # of one false positive in a competition, over all features
WEAK, STRONG, NEARLY_ALL = 0.05, 0.2, 0.8  # of the way from chance to a perfect score
UNLIKE = 0.6  # AUC of test against train from which a feature counts as differently distributed
NUM_TREES = 40
NUM_PARTS = 5  # of rows, held out in turn when train and test are compared
NUM_EXAMPLES = 3
CONTROL_MARGIN = 0.05  # of score, by which a border must beat the pixels inside it


@dataclass(frozen=True)
class LeakTest:
    """Fits forests on one feature's table; each feature's draws have a stream of their own.

    Attributes:
        outcome: of training rows. folds, groups: (N,) theirs.
    """

    outcome: Outcome
    folds: np.ndarray
    groups: np.ndarray
    seed: int

    def predict_target(self, name: str, table: np.ndarray) -> tuple[Association, np.ndarray]:
        """Predict the target from a table (N, F); return the association and the values (N, C)."""
        draw = stream_seed(self.seed, "radar", name)
        values = predict_held_out(table, self.outcome.columns, self.folds, seed=draw)
        return associate(values, self.outcome, self.groups), values

    def compare_test(self, name: str, table: np.ndarray) -> tuple[float, bool]:
        """Return the AUC of test against train by (N + N_test, F), and whether that is too much.

        Too much is more than the AUC of any fold against the others: folds that hold out persons
        differ, too.
        """
        num_train = len(self.folds)
        score = self._auc_of_marked(name, table, np.arange(len(table)) >= num_train)
        if score <= UNLIKE:
            return score, False
        folds = [self.folds == fold for fold in np.unique(self.folds)]
        highest = max(self._auc_of_marked(name, table[:num_train], fold) for fold in folds)
        return score, score > highest + UNLIKE - 0.5

    def _auc_of_marked(self, name: str, table: np.ndarray, marked: np.ndarray) -> float:
        """Return the AUC of marked rows against the others; parts are drawn row by row."""
        parts = stream(self.seed, "radar", name, "parts").permutation(len(table)) % NUM_PARTS
        draw = stream_seed(self.seed, "radar", name, "test")
        values = predict_held_out(table, marked[:, None] + 0.0, parts, seed=draw)
        outcome = Outcome(marked[:, None] + 0.0, ("marked",), "AUC")
        return associate(values, outcome, np.arange(len(table))).score


def find_target_leaks(
    competition: Competition, index: ImageIndex, table: FoldTable, *, seed: int
) -> list[Finding]:
    """Test every file feature; files of up to MAX_TRAIN + MAX_TEST rows are opened.

    Args:
        index: images of training rows, then of test rows.
    """
    num_train, num_test = len(competition.ids), len(competition.test_ids)
    if num_train < MIN_TRAIN:
        return [Finding(NAME, "quiet", f"{num_train} training rows are too few to test")]
    rng = stream(seed, "radar")
    train = np.sort(rng.permutation(num_train)[:MAX_TRAIN])
    test = num_train + np.sort(rng.permutation(num_test)[:MAX_TEST])
    test = test[~index.has_remark(UNREADABLE)[test]]
    features = _all_features(competition, index, np.concatenate([train, test]))
    outcome = outcome_of(
        competition.targets[train],
        competition.classes,
        Task(competition.task.kind, competition.levels),
    )
    if not outcome.names:
        return [Finding(NAME, "quiet", "every class has too few rows to test")]
    leak_test = LeakTest(outcome, table.folds[train], table.groups[train], seed)
    return grade_features(features, leak_test, index.paths[train])


def grade_features(
    features: list[FileFeature], leak_test: LeakTest, paths: np.ndarray
) -> list[Finding]:
    """Grade features together: one false positive is allowed in 1 / ALPHA competitions.

    Args:
        paths: (N,) of training images.
    """
    num_train = len(paths)
    varying = [feature for feature in features if feature.varies]
    findings = [
        Finding(feature.name, "quiet", "the same for every row")
        for feature in features
        if not feature.varies
    ]
    results = [leak_test.predict_target(one.name, one.table[:num_train]) for one in varying]
    adjusted = holm(np.array([association.p_value for association, _ in results]))
    for feature, result, p_value in zip(varying, results, adjusted, strict=True):
        findings.append(_grade(feature, *result, float(p_value), leak_test, paths))
    return findings


def _grade(
    feature: FileFeature,
    association: Association,
    values: np.ndarray,
    p_value: float,
    leak_test: LeakTest,
    paths: np.ndarray,
) -> Finding:
    outcome = leak_test.outcome
    score = f"{outcome.measure} {association.score:.2f}, chance {outcome.chance}"
    strength = (association.score - outcome.chance) / (1 - outcome.chance)
    numbers = {"score": association.score, "chance": outcome.chance, "p_value": p_value}
    if p_value > ALPHA or strength < WEAK:
        return Finding(feature.name, "quiet", f"does not predict the target ({score})", **numbers)
    best = outcome.names[association.best]
    seen = f"predicts the target ({score})"
    if outcome.measure == "AUC" and len(outcome.names) > 1:
        seen += f", best {best!r}"
    explanations = _explanations(feature, association, strength, leak_test)
    is_bad = any(bad for _, bad in explanations)
    # A border that predicts no more than the pixels inside it is only a part of the picture.
    grade = "suspicious" if is_bad else "note" if feature.control is None else "quiet"
    best_rows = _most_certain(values[:, association.best], outcome.columns[:, association.best])
    examples = paths[best_rows].tolist()
    shown = [(f"predicted best: {best}", [(path, "") for path in examples])]
    finding = Finding(
        feature.name,
        grade,
        "; ".join([seen, *[text for text, _ in explanations]]),
        feature.advice,
        examples=examples,
        images=[] if grade == "quiet" else shown,
    )
    return replace(finding, **numbers)


def predict_held_out(
    table: np.ndarray, columns: np.ndarray, folds: np.ndarray, *, seed: int
) -> np.ndarray:
    """Predict columns (N, C) from a table (N, F), each fold by a forest of the others."""
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


def _all_features(
    competition: Competition, index: ImageIndex, rows: np.ndarray
) -> list[FileFeature]:
    num_train = len(competition.ids)
    part = index.take(rows)
    ids = np.concatenate([competition.ids, competition.test_ids])[rows]
    files = [competition.folder / path for path in part.paths.tolist()]
    to_rgb = index.to_rgb(competition.data.bands)
    infos = list(read_file_infos(files, threads=num_threads(), to_rgb=to_rgb))
    positions = np.where(rows < num_train, rows, -1)
    num_classes = len(competition.classes)
    return [
        *row_features(positions, part.paths.tolist(), ids.tolist(), num_classes=num_classes),
        *file_features(part.stamps, part.sizes, infos),
    ]


def _explanations(
    feature: FileFeature, association: Association, strength: float, leak_test: LeakTest
) -> list[tuple[str, bool]]:
    """Say what else is known of a feature that predicts the target, and if that is suspicious."""
    explanations, num_train = [], len(leak_test.folds)
    if not feature.innocent:
        explanations.append(("no honest reason is known", strength >= STRONG))
    if feature.control is not None:
        control, name = feature.control[:num_train], f"{feature.name}, control"
        inside, _ = leak_test.predict_target(name, control)
        margin = association.score - inside.score
        error = clustered_error(association.influence - inside.influence, leak_test.groups)
        more = margin > CONTROL_MARGIN and norm.sf(margin / max(error, 1e-9)) < ALPHA
        than = "more than" if more else "not more than"
        explanations.append((f"{than} pixels further inside ({inside.score:.2f})", more))
        return explanations  # test images may differ in it as in the whole picture
    if feature.innocent and strength >= NEARLY_ALL:
        explanations.append(("too well for an accident", True))
    if feature.innocent and len(feature.table) > num_train:
        score, differs = leak_test.compare_test(feature.name, feature.table)
        more = "more" if differs else "no more"
        text = f"test differs from train {more} than a fold from the others (AUC {score:.2f})"
        explanations.append((text, differs and strength >= STRONG))
    return explanations


def _most_certain(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return positions of the few right predictions that are the most certain."""
    right = np.flatnonzero(column >= np.median(column) if column.max() < 1 else column > 0.5)
    return right[np.argsort(-values[right], kind="stable")[:NUM_EXAMPLES]]
