"""Findings: results of the audit, and how they are read back."""

import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.core.artifacts import file_digest
from pipeline.core.workspace import Workspace

log = logging.getLogger(__name__)

Grade = Literal["suspicious", "note", "quiet"]
GRADES = get_args(Grade)
PERMUTATION_TEST = "permutation test"  # the name of the finding that only `make audit` has


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and its outcome.

    Attributes:
        name: what was looked at. grade: suspicious: answer it first; note: worth a thought.
        seen: one sentence with the numbers. advice: what it could mean, what to do; "" if quiet.
        offer: what to set in the config, and what the estimate would be; shown with the estimate.
        score, chance, p_value: None where there are none; p_value is adjusted for multiple tests.
        examples: paths to look at, or text.
        images: to be shown: titles, and (path below the competition's folder, line of text) each.
    """

    name: str
    grade: Grade
    seen: str
    advice: str = ""
    offer: str = ""
    score: float | None = None
    chance: float | None = None
    p_value: float | None = None
    examples: list[str] = field(default_factory=list)
    images: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, numbers rounded to three digits."""
        rounded = {
            key: float(f"{value:.3g}") if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }
        return rounded | {"advice": "" if self.grade == "quiet" else self.advice}


def read_findings(workspace: Workspace) -> list[Finding]:
    """Read the findings of `make audit` if it ran on these folds, else those of `make folds`.

    A finding on scenes by frozen features replaces the one by thumbnails.
    """
    findings = read_fold_findings(workspace)
    audited = [Finding(**entry) for entry in _read_if_whole(workspace.findings_json) or []]
    if audited and audited[: len(findings)] == findings:
        findings = audited
    scenes = _read_if_whole(workspace.scenes_json)
    if scenes and scenes["folds_csv"] == file_digest(workspace.folds_csv):
        better = Finding(**scenes["finding"])
        findings = [better if better.name == finding.name else finding for finding in findings]
    return findings


def read_fold_findings(workspace: Workspace) -> list[Finding]:
    """Read the findings of `make folds`."""
    return [Finding(**entry) for entry in _read(workspace.audit_json)["findings"]]


def worst_first(findings: list[Finding]) -> list[Finding]:
    """Sort by grade, else keep the order."""
    return sorted(findings, key=lambda finding: GRADES.index(finding.grade))


def notes_of(findings: list[Finding]) -> list[str]:
    """Return a line for the log of each finding that is not quiet, suspicious ones first."""
    return [
        f"{finding.grade}: {finding.name}: {finding.seen}"
        for finding in worst_first(findings)
        if finding.grade != "quiet"
    ]


def _read_if_whole(path: Path) -> Any:
    """Read JSON; None where there is none, or a damaged one."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except ValueError:
        log.warning("%s is damaged and left out; run `make audit` again", path)
        return None


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
