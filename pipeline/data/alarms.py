"""Alarms: what the radar says of one thing that it looked at."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from pipeline.core.workspace import Workspace

Grade = Literal["suspicious", "note", "quiet"]
GRADES = get_args(Grade)


@dataclass(frozen=True)
class Alarm:
    """One look and its outcome.

    Attributes:
        name: what was looked at. grade: suspicious asks for an answer, a note for a thought.
        seen: one sentence with the numbers. advice: what it could mean, what to do; "" if quiet.
        score, chance, p_value: None where there are none; p_value is adjusted for all looks.
        examples: paths to look at, or text.
        images: to be shown: titles, and (path below the competition's folder, line of text) each.
    """

    name: str
    grade: Grade
    seen: str
    advice: str = ""
    score: float | None = None
    chance: float | None = None
    p_value: float | None = None
    examples: list[str] = field(default_factory=list)
    images: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For audit.json: numbers rounded to what they can mean."""
        rounded = {
            key: float(f"{value:.3g}") if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }
        return rounded | {"advice": "" if self.grade == "quiet" else self.advice}


def read_alarms(workspace: Workspace) -> list[Alarm]:
    """What the radar saw: of `make audit` where that ran on these folds, else of `make folds`."""
    alarms = json.loads(workspace.audit_json.read_text(encoding="utf-8"))["radar"]
    if workspace.radar_json.exists():
        completed = json.loads(workspace.radar_json.read_text(encoding="utf-8"))
        if completed[: len(alarms)] == alarms:
            alarms = completed
    return [Alarm(**alarm) for alarm in alarms]


def worst_first(alarms: list[Alarm]) -> list[Alarm]:
    """By grade, else as they came."""
    return sorted(alarms, key=lambda alarm: GRADES.index(alarm.grade))


def notes_of(alarms: list[Alarm]) -> list[str]:
    """What is worth a line in the log, suspicious ones first."""
    return [
        f"{alarm.grade}: {alarm.name}: {alarm.seen}"
        for alarm in worst_first(alarms)
        if alarm.grade != "quiet"
    ]
