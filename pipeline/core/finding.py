"""Alarms: what the radar says of one thing that it looked at."""

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


@dataclass(frozen=True)
class Alarm:
    """One look and its outcome.

    Attributes:
        name: what was looked at. grade: suspicious asks for an answer, a note for a thought.
        seen: one sentence with the numbers. advice: what it could mean, what to do; "" if quiet.
        offer: what to set in the config, and what the estimate would be; said beside the estimate.
        score, chance, p_value: None where there are none; p_value is adjusted for all looks.
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
        """For audit.json: numbers rounded to what they can mean."""
        rounded = {
            key: float(f"{value:.3g}") if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }
        return rounded | {"advice": "" if self.grade == "quiet" else self.advice}


def read_alarms(workspace: Workspace) -> list[Alarm]:
    """What the radar saw: of `make audit` where that ran on these folds, else of `make folds`.

    What features say of a thing takes the place of what thumbnails said of it.
    """
    alarms = _read(workspace.audit_json)["radar"]
    completed = _read_if_whole(workspace.radar_json)
    if completed and completed[: len(alarms)] == alarms:
        alarms = completed
    found = [Alarm(**alarm) for alarm in alarms]
    scenes = _read_if_whole(workspace.scenes_json)
    if scenes and scenes["folds_csv"] == file_digest(workspace.folds_csv):
        better = Alarm(**scenes["alarm"])
        found = [better if alarm.name == better.name else alarm for alarm in found]
    return found


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


def _read_if_whole(path: Path) -> Any:
    """None where there is none, or a damaged one."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except ValueError:
        log.warning("%s is damaged and left out; `make audit` makes it anew", path)
        return None


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
