"""Where a competition's files lie, relative to the project's root."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.folds import ALL_ROWS
from pipeline.errors import UserError

BLOCK = "features.npy"  # (N, V, D) float32, in a block's folder
MAX_NAME_BYTES = 100  # of a path's part; a disk takes 255, and more is joined to it


@dataclass(frozen=True)
class Workspace:
    """The four artifact folders of one competition.

    Attributes:
        root: the project's root, from which all stored paths are relative.
        competition: the folder's name under input/.
    Raises:
        UserError: for a name that leads out of these folders, and perhaps into input/.
    """

    root: Path
    competition: str

    def __post_init__(self) -> None:
        name = self.competition
        if not name.strip() or name.startswith(".") or len(name.encode()) > MAX_NAME_BYTES:
            problem = f"has no more than {MAX_NAME_BYTES} bytes and does not start with a dot"
        elif not name.isprintable() or {"/", "\\"} & {*name}:
            problem = "has no slashes and no unprintable characters"
        else:
            return
        raise UserError(
            f"competition: {name!r}: expected the name of a folder in {self.root / 'input'}, which "
            f"{problem}. Link a folder elsewhere there: `ln -s /path/to/NAME input/NAME`."
        )

    @property
    def input(self) -> Path:
        """What the competition came with; never written."""
        return self.root / "input" / self.competition

    @property
    def features(self) -> Path:
        """Folds, image cache and blocks."""
        return self.root / "features" / self.competition

    @property
    def models(self) -> Path:
        """Members' weights and predictions."""
        return self.root / "models" / self.competition

    @property
    def submissions(self) -> Path:
        """Submissions, the ledger and the report."""
        return self.root / "submissions" / self.competition

    @property
    def runs(self) -> Path:
        """What runs at work at the same time tell each other."""
        return self.features / ".runs"

    @property
    def folds_csv(self) -> Path:
        """id, fold, group: written once, may be replaced by hand."""
        return self.features / "folds.csv"

    @property
    def audit_json(self) -> Path:
        """What the folds stage found: twins, and what it looked at for leaks."""
        return self.features / "audit.json"

    @property
    def findings_json(self) -> Path:
        """All findings, by the audit stage; need not be there."""
        return self.submissions / "audit" / "findings.json"

    @property
    def scenes_json(self) -> Path:
        """What frozen features say of scenes that folds tear; need not be there."""
        return self.submissions / "audit" / "scenes" / "finding.json"

    @property
    def ledger(self) -> Path:
        """A line of JSON for each submission, the oldest first."""
        return self.submissions / "ledger.jsonl"

    def block(self, backbone: str) -> Path:
        """A backbone's frozen features."""
        return self.features / backbone

    def image_cache(self, short_side: int) -> Path:
        """Resized images for networks."""
        return self.features / "images" / f"{short_side}px"

    @property
    def image_index(self) -> Path:
        """What each image file is."""
        return self.features / "images" / "index.npz"

    def member(self, name: str) -> Path:
        """A member's predictions, above its folds."""
        return self.models / name

    def fold(self, member: str, fold: int) -> Path:
        """One fold's weights and logs."""
        return self.models / member / ("all_rows" if fold == ALL_ROWS else f"fold{fold}")

    def fold_predictions(self, member: str, fold: int) -> Path:
        """What one fold's model predicts."""
        return self.fold(member, fold) / "predictions"
