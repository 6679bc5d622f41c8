"""Scenes: images too unlike to be copies, yet of one series, person or place, that folds tear.

A model that saw one half of a scene knows the other. That is fair where test images have such a
neighbour in train as often as a held-out fold's images have in the others, and flatters where not.
"""

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from pipeline.core.competition import Competition
from pipeline.core.folds import FoldTable
from pipeline.core.runtime import stream
from pipeline.data.alarms import Alarm
from pipeline.data.duplicates import MIN_CONTRAST, clusters, shared_patterns, standardised
from pipeline.data.index import ImageIndex

# Measured on thumbnails: clothing has 4 such pairs, signdigits 3, chula 10; solar cells, which
# look alike anyway, have thousands.
MIN_LIKENESS = 0.8  # correlation without the patterns that all images share
MAX_IMAGES = 8000  # compared with each other: 4 s
CHUNK = 500
MIN_SHARE, MIN_IMAGES = 0.005, 4  # of training rows; below, it moves no score
ALPHA = 0.01
MAX_EXAMPLES, MAX_SHOWN = 5, 6  # scenes, and images of each

GROUP = (
    "If these are one person, place or series, give each a name in a column of train.csv and say "
    "`data.group: COLUMN`, so that folds keep them together."
)


def look_at_scenes(
    competition: Competition, index: ImageIndex, table: FoldTable, *, seed: int
) -> Alarm:
    """Look for scenes that the folds tear."""
    num_train = len(competition.ids)
    rng = stream(seed, "radar", "scenes")
    rows = np.sort(rng.permutation(len(index.paths))[:MAX_IMAGES])
    pairs = similar_pairs(index.thumbnails[rows])
    a, b = (rows[pairs[end].to_numpy(dtype=int)] for end in ("a", "b"))
    folds = np.append(table.folds, np.full(len(index.paths) - num_train, -1))
    within, across = b < num_train, (a < num_train) & (b >= num_train)
    torn = within & (folds[a] != folds[b])
    torn_rows = np.unique([a[torn], b[torn]])
    num_rows, num_test = (rows < num_train).sum(), (rows >= num_train).sum()
    test_rows = np.unique(b[across])
    seen = (
        f"{len(torn_rows)} of {num_rows} training images have a near-identical one in another "
        f"fold, {len(test_rows)} of {num_test} test images have one in train"
    )
    if len(torn_rows) < max(MIN_IMAGES, MIN_SHARE * num_rows):
        return Alarm("scenes across folds", "quiet", seen)
    counts = [
        [len(torn_rows), num_rows - len(torn_rows)],
        [len(test_rows), num_test - len(test_rows)],
    ]
    rarer = num_test > 0 and 2 * len(test_rows) * num_rows < len(torn_rows) * num_test
    flatters = rarer and fisher_exact(counts, alternative="greater").pvalue < ALPHA
    advice = (
        f"The estimate flatters: test images lack the neighbours that held-out images have. {GROUP}"
        if flatters
        else "Test images have such neighbours too, as after a random split, so the estimate need "
        f"not flatter; images may also merely look alike. Look at the examples. {GROUP}"
    )
    scenes = _largest(pd.DataFrame({"a": a[torn], "b": b[torn]}), len(index.paths))
    paths = index.paths
    return Alarm(
        "scenes across folds",
        "suspicious" if flatters else "note",
        seen,
        advice,
        examples=[", ".join(paths[scene[:3]]) + f" ({len(scene)} in all)" for scene in scenes],
        images=[
            (
                f"scene of {len(scene)} images",
                [(str(paths[row]), f"fold {folds[row]}") for row in _one_per_fold(scene, folds)],
            )
            for scene in scenes
        ],
    )


def similar_pairs(thumbnails: np.ndarray) -> pd.DataFrame:
    """Pairs a < b of thumbnails (N, 32, 32) that are alike beyond what all images share."""
    pixels = standardised(thumbnails.reshape(len(thumbnails), -1), MIN_CONTRAST)
    patterns = shared_patterns(pixels)
    pixels = standardised(pixels - pixels @ patterns.T @ patterns)
    found = [np.empty((2, 0), dtype=int)]
    for start in range(0, len(pixels), CHUNK):
        likeness = pixels[start : start + CHUNK] @ pixels[start:].T / pixels.shape[1]
        a, b = np.nonzero(likeness >= MIN_LIKENESS)
        found.append(start + np.stack([a, b])[:, a < b])
    return pd.DataFrame(np.concatenate(found, axis=1).T, columns=["a", "b"])


def look_at_columns(competition: Competition, table: FoldTable) -> list[Alarm]:
    """Look for columns of train.csv that may name persons or series, and that the folds tear."""
    data, task = competition.data, competition.task
    known = {data.id, data.group, *task.targets, *data.numeric, *data.categorical}
    alarms = []
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
            "it may stay. Where test rows have values of their own, torn ones flatter the score."
        )
        grade = "note" if is_number or shared else "suspicious"
        examples = values.value_counts().index[:3].tolist()
        alarms.append(Alarm(f"column {column!r}", grade, seen, advice, examples=examples))
    return alarms


def _largest(torn: pd.DataFrame, num_rows: int) -> list[np.ndarray]:
    """Rows of each of the largest clusters that torn pairs make."""
    cluster = clusters(num_rows, torn)
    numbers, counts = np.unique(cluster, return_counts=True)
    largest = numbers[np.argsort(-counts, kind="stable")][:MAX_EXAMPLES]
    scenes = [np.flatnonzero(cluster == number) for number in largest]
    return [rows for rows in scenes if len(rows) > 1]


def _one_per_fold(scene: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """A scene's first row in each of a few folds, side by side to show that it is torn."""
    return scene[np.sort(np.unique(folds[scene], return_index=True)[1])[:MAX_SHOWN]]
