"""Summary: what the ensemble stage found out, typed. Terminal, page, hints and ledger show it.

It lies in NAME.json beside the submission.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pipeline.config.names import ANY_NAMES
from pipeline.config.schema import Config
from pipeline.core.artifacts import read_meta, write_json
from pipeline.core.results import (
    AgainstConstant,
    AgainstLast,
    Choice,
    Comparison,
    Contestant,
    Diversity,
    Estimate,
    GrowingErrors,
    RoundGain,
    ShakeUp,
    Shift,
    WrittenForm,
)
from pipeline.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the ensemble stage found out about a submission.

    Attributes:
        submission: the CSV, relative to the workspace's root.
        positive_class: with the reason; empty where it does not matter.
        choice: None where the config names the blend.
        best_single: the member that scores best.
        better_than_last: None for the first submission.
        rounds: of each student of pseudo-labels.
        members: the metadata of each member's predictions.
        growing_errors: targets of a regression whose errors grow with the prediction.
    """

    competition: str
    submission: str
    metric: str
    greater_is_better: bool
    positive_class: str
    form: WrittenForm
    folds: int
    repeats: int
    rows: int
    test_rows: int
    choice: Choice | None
    estimate: Estimate
    shift: Shift
    better_than_best_single: Comparison
    shake_up: ShakeUp | None
    against_constant: AgainstConstant
    best_single: str
    better_than_last: AgainstLast | None
    contestants: list[Contestant]
    diversity: Diversity
    rounds: list[list[RoundGain]]
    members: dict[str, dict[str, Any]]
    fingerprint: str
    config: Config
    growing_errors: tuple[GrowingErrors, ...] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.greater_is_better else -1

    @property
    def num_models(self) -> int:
        """How many models a member has: folds times repeats."""
        return self.folds * self.repeats

    def view_scores(self, member: str) -> dict[str, float]:
        """Return a member's score of each view alone, NaN if undefined; empty without views."""
        scores = self.members.get(member, {}).get("view_scores", {})
        return {view: math.nan if score is None else score for view, score in scores.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values, undefined scores still NaN."""
        return SUMMARY.dump_python(self, mode="json", by_alias=True, exclude_defaults=True)

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Return the summary that `to_json` gave; the plugins of its config are not imported.

        Raises:
            ValueError: for a missing or unknown key, or a value of another shape.
        """
        return SUMMARY.validate_python(content, context=ANY_NAMES)

    def write(self, path: Path) -> None:
        """Write NAME.json, whole or not at all."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read NAME.json.

        Raises:
            UserError: if it is damaged or of another version.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            reason = error
            if isinstance(error, ValidationError):
                wrong = error.errors()
                places = [".".join(map(str, problem["loc"])) or "the file" for problem in wrong]
                texts = [problem["msg"] for problem in wrong]
                reason = "; ".join(map(": ".join, zip(places, texts, strict=True)))
            raise UserError(
                f"{path}: not readable as a summary of this version ({reason}). "
                "Delete it and run `make ensemble`."
            ) from None


def path_of_last(submissions: Path) -> Path:
    """Return where the summary of a competition's last finished submission lies."""
    meta = read_meta(submissions)
    assert meta is not None, f"{submissions} has no finished ensemble"
    return submissions / meta["summary"]


SUMMARY = TypeAdapter(Summary)
