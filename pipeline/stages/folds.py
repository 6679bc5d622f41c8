"""Folds stage: reads rows and images, writes features/<competition>/folds.csv and audit.json.

The audit: twins, and what the leak radar saw.
"""

import hashlib
import logging
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core import artifacts
from pipeline.core.finding import GRADES, Alarm, notes_of
from pipeline.core.folds import GROUPS, FoldTable, folds_text, groups_text, read_folds
from pipeline.images.remarks import look_at_remarks
from pipeline.leaks.target_leaks import look_at_clues
from pipeline.leaks.train_test_shift import look_at_split
from pipeline.metrics.own import describe, is_own
from pipeline.project import Project
from pipeline.splitting.draw import draw_folds, find_copies, scenes_of_folds
from pipeline.splitting.scenes import look_at_columns, look_at_scenes

log = logging.getLogger(__name__)

MANY_TWINS = 0.01  # of test images


def make_folds(folder: Path, fingerprint: str, *, project: Project) -> None:
    """Find duplicates, assign folds so that none straddles them, say what was seen."""
    pairs, scenes = find_copies(project), scenes_of_folds(project)
    drawn = draw_folds(project, project.config.folds, pairs=pairs, scenes=scenes)
    if project.config.folds.scheme == "scenes":
        _log_scenes(scenes[: project.num_train])
    if is_own(project.metric):
        log.info("folds: metric %s", describe(project.metric))
    if project.positive_class:
        log.info("folds: positive class: %s", project.positive_class)
    csv, groups_csv = project.workspace.folds_csv, project.workspace.folds_csv.with_name(GROUPS)
    text = folds_text(project.competition.ids, drawn.repeats, drawn.groups)
    ours = hashlib.sha256(text.encode()).hexdigest()
    artifacts.write_text(groups_csv, groups_text(project.competition.ids, drawn.groups))
    if _replaced_by_hand(csv, [*_our_digests(folder), ours]):
        log.warning("%s was replaced by hand and is kept; delete it to have it made anew", csv)
    else:
        # The digest goes first, beside the old file's: a kill between the two must not make either
        # of them look hand-made.
        artifacts.finish(folder, "unfinished", folds_csv=[*_our_digests(folder), ours])
        artifacts.write_text(csv, text)
    table = read_folds(csv, project.competition.ids)
    audit = _audit(project, pairs, table.repeats)
    alarms = _look_around(project, table, scenes)
    audit["notes"] += notes_of(alarms)
    audit["radar"] = [alarm.as_json() for alarm in [*_alarms_of_twins(project, audit), *alarms]]
    artifacts.write_json(folder / "audit.json", audit)
    files = [csv.name, groups_csv.name, "audit.json"]
    artifacts.finish(folder, fingerprint, files=files, folds_csv=[ours])
    notes = [note for assignment in drawn.assignments for note in assignment.notes]
    for note in dict.fromkeys([*notes, *audit["notes"]]):
        log.warning("folds: %s", note)
    for folds in table.repeats:
        sizes = np.bincount(folds).tolist()
        log.info("folds: %s, rows per fold %s -> %s", drawn.assignments[0].scheme, sizes, csv)


def _log_scenes(scenes: np.ndarray) -> None:
    sizes = np.bincount(scenes)
    sizes = sizes[sizes > 1]
    log.info(
        "folds: %d scenes of several training images, %d of %d images, the largest %s",
        *(len(sizes), sizes.sum(), len(scenes), np.sort(sizes)[::-1][:5].tolist()),
    )


def _replaced_by_hand(csv: Path, digests: list[str]) -> bool:
    """Whether folds.csv is there and is none of the files that this stage wrote or would write."""
    return csv.exists() and artifacts.file_digest(csv) not in digests


def _our_digests(folder: Path) -> list[str]:
    """Digests of the folds.csv that this stage wrote, or was about to write when it was killed."""
    return (artifacts.read_meta(folder) or {}).get("folds_csv", [])


def _audit(project: Project, pairs: pd.DataFrame, repeats: np.ndarray) -> dict:
    """What the audit found, for the report: duplicates, twins across the split, torn groups.

    Args:
        repeats: (R, N) folds.
    """
    paths, num_train = project.index.paths, project.num_train
    targets = project.competition.targets
    in_train = pairs[(pairs.a < num_train) & (pairs.b < num_train)]
    across = pairs[(pairs.a < num_train) != (pairs.b < num_train)]
    contradicting = [
        (a, b)
        for a, b in zip(in_train.a, in_train.b, strict=True)
        if (targets[a] != targets[b]).any()
    ]
    notes = []
    if len(across):
        notes.append(f"{len(across)} pairs of twins, one in train, one in test, see audit.json")
    if contradicting:
        notes.append(f"{len(contradicting)} pairs of twins have different targets, see audit.json")
    straddling = in_train[(repeats[:, in_train.a] != repeats[:, in_train.b]).any(axis=0)]
    if len(straddling):
        notes.append(f"{len(straddling)} pairs of twins straddle folds")
    for one, other in combinations(range(len(repeats)), 2):
        if _part_alike(repeats[one], repeats[other]):
            notes.append(
                f"repeats {one + 1} and {other + 1} hold out the same rows together: there are few "
                "groups to part, and fewer folds.repeats would do"
            )
    return {
        "notes": notes,
        "duplicates": _listed(in_train, paths),
        "train_test_twins": _listed(across, paths),
        "contradicting": [[str(paths[a]), str(paths[b])] for a, b in contradicting],
        "straddling": len(straddling),
    }


def _part_alike(folds: np.ndarray, others: np.ndarray) -> bool:
    """Whether two repeats part the rows into the same sets, whatever their numbers."""
    return np.unique(np.stack([folds, others]), axis=1).shape[1] == folds.max() + 1


def _look_around(project: Project, table: FoldTable, scenes: np.ndarray) -> list[Alarm]:
    """The radar: how images were read, clues, scenes, columns, the test set on thumbnails."""
    competition, index, seed = project.competition, project.index, project.config.seed
    pixels = index.thumbnails.reshape(len(index.paths), -1).astype(np.float32)
    return [
        *look_at_remarks(index, project.num_train, project.config.data.pixel_range),
        *look_at_clues(competition, index, table, seed=seed),
        *look_at_columns(competition, table),
        look_at_scenes(scenes, index, table),
        look_at_split(pixels, table.folds, index.paths, what="thumbnails", seed=seed),
    ]


def _alarms_of_twins(project: Project, audit: dict) -> list[Alarm]:
    """What `notes` says of twins already, for the radar's table."""
    across, contradicting = audit["train_test_twins"], audit["contradicting"]
    num_test = len(project.competition.test_ids)
    in_test = {path for one, other, _ in across for path in (one, other)}
    in_test &= set(project.test_index.paths.tolist())
    grades = GRADES[::-1]
    return [
        Alarm(
            "twins across the split",
            grades[bool(across) + (len(in_test) > MANY_TWINS * num_test)],
            f"{len(in_test)} of {num_test} test images have a twin in train",
            "Their answers are known. It says nothing of the rest of the test, and a public score "
            "that counts them flatters; check that the rules allow to use them.",
            examples=[f"{one} = {other}" for one, other, _ in across[:5]],
        ),
        Alarm(
            "twins with different targets",
            grades[bool(contradicting)],
            f"pairs of training images that are the same and contradict: {len(contradicting)}",
            "One of the two is mislabelled, or the image shows both: correct or drop them.",
            examples=[f"{one} = {other}" for one, other in contradicting[:5]],
        ),
    ]


def _listed(pairs: pd.DataFrame, paths: np.ndarray) -> list[list[str]]:
    return [[str(paths[row.a]), str(paths[row.b]), row.kind] for row in pairs.itertuples()]
