"""Audit stage: reads folds' audit.json, images and finished blocks; writes submissions/<c>/audit/.

The folds stage looks for what takes seconds. This one adds what needs frozen features or a fit:
test against train, the permutation test, and scenes that folds tear (`check_scenes`, which
`make ensemble` runs, too). It uses the blocks that are there and makes none.
"""

import logging
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipeline.core import artifacts
from pipeline.core.artifacts import write_json
from pipeline.core.finding import (
    Finding,
    notes_of,
    read_findings,
    read_fold_findings,
    worst_first,
)
from pipeline.leaks.permutation_test import permutation_test
from pipeline.leaks.torn_scenes import compare_folds
from pipeline.leaks.train_test_shift import find_shift
from pipeline.project import Project
from pipeline.splitting.draw import scenes_of_block
from pipeline.splitting.scenes import find_torn_scenes, is_little, torn_rows

log = logging.getLogger(__name__)

STYLES = {"suspicious": "bold red", "note": "yellow", "quiet": "dim"}


def audit_competition(project: Project, blocks: dict[str, str]) -> list[Finding]:
    """Add to the findings of `make folds`, print all of them, write findings.json.

    Args:
        blocks: fingerprints that blocks must have to be used, by backbone.
    """
    workspace, competition = project.workspace, project.config.competition
    found = read_fold_findings(workspace)
    current = project.current_blocks(blocks)
    found += [*find_shift_on_block(project, current), permutation_test(project, current)]
    path = workspace.findings_json
    write_json(path, [finding.as_json() for finding in found])
    findings = read_findings(workspace)  # those on scenes by features, where they are there
    print_findings(findings, title=f"{competition}: what the audit found")
    count = len(notes_of(findings))
    text = "1 finding" if count == 1 else f"{count} findings"
    log.info("audit %s: %s -> %s", competition, text, path)
    return findings


def find_shift_on_block(project: Project, current_blocks: list[str]) -> list[Finding]:
    """Compare test with train on the first backbone whose features are there."""
    for name in current_blocks[:1]:
        finding = find_shift(
            project.block(name).mean(axis=1, dtype=np.float32),
            project.folds.folds,
            project.index.paths,
            what=name,
            seed=project.config.seed,
        )
        return [finding]
    log.info("audit: no frozen features are there; run `make features` first to compare them too")
    return []


def print_findings(findings: list[Finding], *, title: str) -> None:
    """Print a table, worst first, then what each finding could mean."""
    table = Table("", "looked at", "seen", title=title, box=SIMPLE_HEAD)
    ordered = worst_first(findings)
    for finding in ordered:
        table.add_row(finding.grade, finding.name, finding.seen, style=STYLES[finding.grade])
    console = Console(highlight=False, markup=False)
    console.print(table)
    for finding in ordered:
        if finding.grade != "quiet":
            console.print(f"{finding.grade}: {finding.name}", style=STYLES[finding.grade])
            console.print(f"  {finding.advice}")
            if finding.examples:
                console.print(f"  e.g. {'; '.join(finding.examples)}", style="dim")


def check_scenes(folder: Path, fingerprint: str, *, project: Project, backbone: str) -> None:
    """Find scenes on a block; where folds tear some, score a ridge with and without that."""
    table, scenes = project.folds, scenes_of_block(project, backbone)
    torn = torn_rows(scenes, table)
    comparison = None
    if not is_little(torn, project.num_train):
        comparison = compare_folds(project, backbone, scenes)
    finding = find_torn_scenes(scenes, project.index, table, comparison)
    content = {
        "folds_csv": artifacts.file_digest(project.workspace.folds_csv),
        "finding": finding.as_json(),
    }
    write_json(project.workspace.scenes_json, content)
    artifacts.finish(folder, fingerprint, files=[project.workspace.scenes_json.name])
    log.info("%s: %s: %s", finding.grade, finding.name, finding.seen)
