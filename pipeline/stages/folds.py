"""Folds stage: reads rows and images, writes features/<competition>/folds.csv and audit.json.

The audit holds twins and the findings on leaks.
"""

import hashlib
import logging
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core import artifacts
from pipeline.core.extra_ties import ties_text
from pipeline.core.finding import GRADES, Finding, notes_of
from pipeline.core.folds import GROUPS, FoldTable, folds_text, groups_text, read_folds
from pipeline.images.decoding import UNREADABLE
from pipeline.images.remarks import find_unusual_images
from pipeline.leaks.target_leaks import find_target_leaks
from pipeline.leaks.train_test_shift import find_shift
from pipeline.metrics.own import describe, is_own
from pipeline.project import Project
from pipeline.splitting.draw import draw_folds, find_copies, find_extra_ties, scenes_of_folds
from pipeline.splitting.scenes import find_torn_columns, find_torn_scenes

log = logging.getLogger(__name__)

MANY_TWINS = 0.01  # of test images


def make_folds(folder: Path, fingerprint: str, *, project: Project) -> None:
    """Find duplicates, assign folds that keep them together, write and log the findings."""
    pairs, scenes = find_copies(project), scenes_of_folds(project)
    drawn = draw_folds(project, project.config.folds, pairs=pairs, scenes=scenes)
    if project.config.folds.scheme == "scenes":
        _log_scenes(scenes[: project.num_train])
    if is_own(project.metric):
        log.info("metric %s", describe(project.metric))
    if project.positive_class:
        log.info("positive class: %s", project.positive_class)
    csv, groups_csv = project.workspace.folds_csv, project.workspace.folds_csv.with_name(GROUPS)
    text = folds_text(project.competition.ids, drawn.repeats, drawn.groups)
    ours = hashlib.sha256(text.encode()).hexdigest()
    artifacts.write_text(groups_csv, groups_text(project.competition.ids, drawn.groups))
    if project.extra:
        ties = find_extra_ties(project)
        extra_csv = project.workspace.extra_csv
        artifacts.write_text(extra_csv, ties_text(ties, project.competition.ids))
    if _replaced_by_hand(csv, [*_our_digests(folder), ours]):
        log.warning("%s was replaced by hand and is kept; delete it to make it again", csv)
    else:
        # The digest goes first, beside the old file's: a kill between the two must not make either
        # of them look hand-made.
        artifacts.finish(folder, "unfinished", folds_csv=[*_our_digests(folder), ours])
        artifacts.write_text(csv, text)
    table = read_folds(csv, project.competition.ids)
    audit = _audit(project, pairs, table.repeats)
    findings = _find_leaks(project, table, scenes)
    audit["notes"] += notes_of(findings)
    findings = [*_twin_findings(project, audit), *findings]
    audit["findings"] = [finding.as_json() for finding in findings]
    artifacts.write_json(folder / "audit.json", audit)
    files = [csv.name, groups_csv.name, "audit.json", *([extra_csv.name] if project.extra else [])]
    artifacts.finish(folder, fingerprint, files=files, folds_csv=[ours])
    notes = [note for assignment in drawn.assignments for note in assignment.notes]
    for note in dict.fromkeys([*notes, *audit["notes"]]):
        log.warning("%s", note)
    for folds in table.repeats:
        sizes = np.bincount(folds).tolist()
        log.info("%s, rows per fold %s", drawn.assignments[0].scheme, sizes)


def _log_scenes(scenes: np.ndarray) -> None:
    sizes = np.bincount(scenes)
    sizes = sizes[sizes > 1]
    log.info(
        "%d scenes of several training images, %d of %d images, the largest %s",
        *(len(sizes), sizes.sum(), len(scenes), np.sort(sizes)[::-1][:5].tolist()),
    )


def _replaced_by_hand(csv: Path, digests: list[str]) -> bool:
    """Return whether folds.csv is not one that this stage wrote or would write."""
    return csv.exists() and artifacts.file_digest(csv) not in digests


def _our_digests(folder: Path) -> list[str]:
    """Return digests of the folds.csv that this stage wrote, or was writing when it was killed."""
    return (artifacts.read_meta(folder) or {}).get("folds_csv", [])


def _audit(project: Project, pairs: pd.DataFrame, repeats: np.ndarray) -> dict:
    """Return duplicates, twins across the split and torn groups, for the report.

    Args:
        repeats: (R, N) folds.
    """
    paths, num_train = project.index.paths, project.num_train
    targets = project.competition.raw_targets
    in_train = pairs[(pairs.a < num_train) & (pairs.b < num_train)]
    across = pairs[(pairs.a < num_train) != (pairs.b < num_train)]
    # Two measurements of one thing may differ a little.
    tolerance = targets.std(axis=0) / 2 if project.config.task.is_regression else 0.0
    contradicting = [
        (a, b)
        for a, b in zip(in_train.a, in_train.b, strict=True)
        if (np.abs(targets[a] - targets[b]) > tolerance).any()
    ]
    notes = []
    if len(across):
        notes.append(f"{len(across)} near-duplicates of training images in test, see audit.json")
    if contradicting:
        notes.append(f"{len(contradicting)} near-duplicates differ in their target, see audit.json")
    straddling = in_train[(repeats[:, in_train.a] != repeats[:, in_train.b]).any(axis=0)]
    if len(straddling):
        notes.append(f"{len(straddling)} pairs of near-duplicates are in different folds")
    for one, other in combinations(range(len(repeats)), 2):
        if _split_alike(repeats[one], repeats[other]):
            notes.append(
                f"repeats {one + 1} and {other + 1} hold out the same rows together: there are "
                "few groups to split; fewer folds.repeats give the same"
            )
    every = project.all_images
    unreadable = [*project.competition.left_out, *every.paths[every.has_remark(UNREADABLE)]]
    return {
        **({"unreadable": list(map(str, unreadable))} if unreadable else {}),
        "notes": notes,
        "duplicates": _listed(in_train, paths),
        "train_test_twins": _listed(across, paths),
        "contradicting": [[str(paths[a]), str(paths[b])] for a, b in contradicting],
        "straddling": len(straddling),
    }


def _split_alike(folds: np.ndarray, others: np.ndarray) -> bool:
    """Return whether two repeats split the rows into the same sets, whatever their numbers."""
    return np.unique(np.stack([folds, others]), axis=1).shape[1] == folds.max() + 1


def _find_leaks(project: Project, table: FoldTable, scenes: np.ndarray) -> list[Finding]:
    """Look at how images were read, file features, columns, scenes and test against train."""
    competition, index, seed = project.competition, project.index, project.config.seed
    # As folds.csv, what is found does not depend on task.transform.
    competition = replace(competition, targets=competition.raw_targets, scale="none")
    counts = project.row_images.counts[: project.num_rows]
    images = project.all_images.take(slice(0, counts.sum()))
    num_train = int(counts[: project.num_train].sum())
    pixels = index.thumbnails.reshape(len(index.paths), -1).astype(np.float32)
    return [
        *find_unusual_images(images, num_train, project.config.data.pixel_range),
        *find_target_leaks(competition, index, table, seed=seed),
        *find_torn_columns(competition, table),
        find_torn_scenes(scenes, index, table),
        find_shift(pixels, table.folds, index.paths, what="thumbnails", seed=seed),
    ]


def _twin_findings(project: Project, audit: dict) -> list[Finding]:
    """Return findings on twins, which the notes of the audit name already."""
    across, contradicting = audit["train_test_twins"], audit["contradicting"]
    num_test = len(project.competition.test_ids)
    in_test = {path for one, other, _ in across for path in (one, other)}
    in_test &= set(project.test_index.paths.tolist())
    grades = GRADES[::-1]
    return [
        Finding(
            "near-duplicates of training images in test",
            grades[bool(across) + (len(in_test) > MANY_TWINS * num_test)],
            f"{len(in_test)} of {num_test} test images have a near-duplicate in train",
            "Their answers are known. A public score that counts them flatters, and says nothing "
            "about the rest of the test; check that the rules allow to use them.",
            examples=[f"{one} = {other}" for one, other, _ in across[:5]],
        ),
        Finding(
            "near-duplicates with different targets",
            grades[bool(contradicting)],
            f"pairs of training images that are the same and contradict: {len(contradicting)}",
            "One of the two is mislabelled, or the image shows both: correct or drop them.",
            examples=[f"{one} = {other}" for one, other in contradicting[:5]],
        ),
    ]


def _listed(pairs: pd.DataFrame, paths: np.ndarray) -> list[list[str]]:
    return [[str(paths[row.a]), str(paths[row.b]), row.kind] for row in pairs.itertuples()]
