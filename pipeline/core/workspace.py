"""Paths of a competition's files, relative to the project's root."""

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
        UserError: for a name that leads out of these folders.
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
        """Return the folder of the competition's own files; never written."""
        return self.root / "input" / self.competition

    @property
    def features(self) -> Path:
        """Return the folder of folds, image cache and blocks."""
        return self.root / "features" / self.competition

    @property
    def unpacked(self) -> Path:
        """Return the folder of the competition's files with its archives unpacked."""
        return self.features / "unpacked"

    @property
    def models(self) -> Path:
        """Return the folder of members' weights and predictions."""
        return self.root / "models" / self.competition

    @property
    def submissions(self) -> Path:
        """Return the folder of submissions, the ledger and the report."""
        return self.root / "submissions" / self.competition

    @property
    def runs(self) -> Path:
        """Return the folder of locks between runs at the same time."""
        return self.features / ".runs"

    @property
    def folds_csv(self) -> Path:
        """Return the CSV of id, fold, group: written once, may be replaced by hand."""
        return self.features / "folds.csv"

    @property
    def extra_csv(self) -> Path:
        """Return the CSV of which training rows an extra row is tied to."""
        return self.features / "extra.csv"

    @property
    def audit_json(self) -> Path:
        """Return the JSON of the folds stage: duplicates, and findings on leaks."""
        return self.features / "audit.json"

    @property
    def findings_json(self) -> Path:
        """Return the JSON of all findings, by the audit stage; it may be absent."""
        return self.submissions / "audit" / "findings.json"

    @property
    def scenes_json(self) -> Path:
        """Return the JSON about scenes in several folds; it may be absent."""
        return self.submissions / "audit" / "scenes" / "finding.json"

    @property
    def views_json(self) -> Path:
        """Return the JSON of what `tta.views: auto` and `augment: auto` stand for."""
        return self.features / "images" / "views" / "views.json"

    @property
    def ledger(self) -> Path:
        """Return the file of a JSON line for each submission, the oldest first."""
        return self.submissions / "ledger.jsonl"

    def block(self, backbone: str) -> Path:
        """Return the folder of a backbone's frozen features."""
        return self.features / backbone

    def image_cache(self, short_side: int) -> Path:
        """Return the folder of resized images for networks."""
        return self.features / "images" / f"{short_side}px"

    def image_index(self, bands: tuple[int, ...]) -> Path:
        """Return the file of the image index, one for each choice of bands."""
        return self.features / "images" / f"index{''.join(f'_{band}' for band in bands)}.npz"

    def member(self, name: str) -> Path:
        """Return the folder of a member's predictions; its folds are below it."""
        return self.models / name

    def fold(self, member: str, fold: int) -> Path:
        """Return the folder of one fold's weights and logs."""
        return self.models / member / ("all_rows" if fold == ALL_ROWS else f"fold{fold}")

    def fold_predictions(self, member: str, fold: int) -> Path:
        """Return the folder of one fold's predictions."""
        return self.fold(member, fold) / "predictions"
