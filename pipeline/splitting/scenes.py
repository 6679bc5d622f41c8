"""Scenes: images too unlike to be copies, yet of one series, person or place, that folds tear.

A model that saw one half of a scene recognises the other. That is fair if test images have such a
neighbour in train as often as held-out images have in other folds; otherwise it flatters.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from pipeline.core.competition import Competition
from pipeline.core.finding import Finding
from pipeline.core.folds import FoldTable
from pipeline.images.index import ImageIndex

SCENES = "scenes across folds"  # the finding's name: features' replaces thumbnails'
MIN_SHARE, MIN_IMAGES = 0.005, 4  # of training rows; below, it moves no score
ALPHA = 0.01
MAX_EXAMPLES, MAX_SHOWN = 5, 6  # scenes, and images of each

OFFER = "Set `folds: {scheme: scenes}`, so that folds keep scenes whole"
GROUP = (
    "If scenes are persons, places or series of more images than look alike, give each a name in a "
    "column of train.csv and say `data.group: COLUMN` as well."
)


@dataclass(frozen=True)
class FoldComparison:
    """Scores of a cheap learner with the current folds, and with scenes kept whole.

    Attributes:
        learner: "ridge on lite0". metric: the competition's.
        score, whole: with these folds, and with scenes whole.
        low, high: 90 % interval of how much better `score` is, paired by rows, scenes whole.
    """

    learner: str
    metric: str
    score: float
    whole: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.learner}: {self.metric} {self.score:.4f} with these folds, {self.whole:.4f} "
            f"with scenes whole; these folds are better by {self.low:+.4f} to {self.high:+.4f}, "
            "90% sure"
        )


def find_torn_scenes(
    scenes: np.ndarray,
    index: ImageIndex,
    table: FoldTable,
    comparison: FoldComparison | None = None,
) -> Finding:
    """Report which scenes the folds tear, and whether that flatters the estimate.

    Args:
        scenes: numbers by `find_scenes` of training rows, then test rows; -1: not looked at.
        comparison: where a learner could be fitted.
    """
    num_train = len(table.folds)
    torn, known = torn_rows(scenes, table), known_test_rows(scenes, num_train)
    num_rows, num_test = (scenes[:num_train] >= 0).sum(), (scenes[num_train:] >= 0).sum()
    seen = (
        f"{len(torn)} of {num_rows} training images have a near-identical one in another "
        f"fold, {len(known)} of {num_test} test images have one in train"
    )
    if is_little(torn, num_rows):
        return Finding(SCENES, "quiet", seen)
    counts = [[len(torn), num_rows - len(torn)], [len(known), num_test - len(known)]]
    rarer = num_test > 0 and 2 * len(known) * num_rows < len(torn) * num_test
    lacking = rarer and fisher_exact(counts, alternative="greater").pvalue < ALPHA
    flatters = lacking and (comparison is None or comparison.low > 0)
    examples = _largest(scenes[:num_train][torn], scenes)
    return Finding(
        SCENES,
        "suspicious" if flatters else "note",
        seen if comparison is None else f"{seen}; {comparison}",
        f"{_meaning(lacking, flatters)} {OFFER}. {GROUP}",
        offer=_offer(comparison) if flatters else "",
        examples=[", ".join(index.paths[rows[:3]]) + f" ({len(rows)} in all)" for rows in examples],
        images=[
            (
                f"scene of {len(rows)} images",
                [
                    (str(index.paths[row]), f"fold {table.folds[row]}")
                    for row in _one_per_fold(rows[rows < num_train], table.folds)
                ],
            )
            for rows in examples
        ],
    )


def torn_rows(scenes: np.ndarray, table: FoldTable) -> np.ndarray:
    """Return training rows whose scene has rows in several folds."""
    rows = np.flatnonzero(scenes[: len(table.folds)] >= 0)
    folds = pd.Series(table.folds[rows]).groupby(scenes[rows])
    return rows[folds.transform("nunique").to_numpy() > 1]


def known_test_rows(scenes: np.ndarray, num_train: int) -> np.ndarray:
    """Return test rows, counted from 0, whose scene has training rows."""
    test = scenes[num_train:]
    return np.flatnonzero((test >= 0) & np.isin(test, scenes[:num_train]))


def is_little(torn: np.ndarray, num_rows: int) -> bool:
    """Return whether too few rows are of torn scenes to move a score."""
    return len(torn) < max(MIN_IMAGES, MIN_SHARE * num_rows)


def _offer(comparison: FoldComparison | None) -> str:
    return f"{OFFER}." if comparison is None else f"{OFFER}: {comparison}."


def _meaning(lacking: bool, flatters: bool) -> str:
    if flatters:
        return "The estimate flatters: test images lack the neighbours that held-out images have."
    if lacking:
        return (
            "Test images lack the neighbours that held-out images have, though a cheap learner "
            "does not score beyond its error better by them; a fine-tuned network may."
        )
    return (
        "Test images have such neighbours too, as after a random split, so the estimate need not "
        "flatter; images may also merely look alike. Look at the examples. Otherwise:"
    )


def find_torn_columns(competition: Competition, table: FoldTable) -> list[Finding]:
    """Find columns of train.csv that may name persons or series, and that the folds tear."""
    data, task = competition.data, competition.task
    known = {data.id, data.group, data.weight, *task.targets, *data.numeric, *data.categorical}
    findings = []
    for column in [name for name in competition.train.columns if name not in known]:
        cells = competition.train[column].str.strip()
        given = (cells != "").to_numpy()
        values = cells[given]
        rows_per_value = len(values) / max(values.nunique(), 1)
        if values.nunique() <= table.num_folds or rows_per_value < 1.5:
            continue  # a fold number, a property of many rows, or a name of each row
        folds = pd.Series(table.folds[given], index=values.index)
        num_torn = int((folds.groupby(values).nunique() > 1).sum())
        if num_torn == 0:
            continue
        is_number = pd.to_numeric(values, errors="coerce").notna().all()
        shared = set(values) & set(competition.test.get(column, []))
        seen = (
            f"{values.nunique()} values for {len(values)} training rows, {num_torn} of them on "
            f"both sides of a fold; {len(shared)} occur in test"
        )
        advice = (
            f"If `{column}` names a person, place or series, say `data.group: {column}`; else "
            "it may stay. If test rows have other values, the out-of-fold score is too good."
        )
        grade = "note" if is_number or shared else "suspicious"
        examples = values.value_counts().index[:3].tolist()
        findings.append(Finding(f"column {column!r}", grade, seen, advice, examples=examples))
    return findings


def _largest(torn_scenes: np.ndarray, scenes: np.ndarray) -> list[np.ndarray]:
    """Return rows, train and test, of the largest torn scenes."""
    numbers, counts = np.unique(torn_scenes, return_counts=True)
    largest = numbers[np.argsort(-counts, kind="stable")][:MAX_EXAMPLES]
    return [np.flatnonzero(scenes == number) for number in largest]


def _one_per_fold(scene: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return a scene's first row in each of a few folds, to be shown side by side."""
    return scene[np.sort(np.unique(folds[scene], return_index=True)[1])[:MAX_SHOWN]]
