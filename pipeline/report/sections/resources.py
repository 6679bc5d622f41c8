"""Time and disk section: what each stage and member took."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.config.schema import External
from pipeline.core.artifacts import fingerprint_of
from pipeline.core.timing import disk_bytes, read_seconds
from pipeline.report.page import Section, Table
from pipeline.report.page_inputs import PageInputs

MEGABYTE = 1_000_000


def resources_section(inputs: PageInputs) -> Section:
    """Return seconds and megabytes of each stage and each member, as far as they are known."""
    workspace, config = inputs.project.workspace, inputs.project.config
    members = [_of_member(inputs, name) for name in config.members]
    images = workspace.image_index(()).parent
    caches = [folder for folder in _folders(images) if folder.name != "views"]
    rows = [
        ["folds", _seconds([workspace.features]), "–"],
        ["cached images", _seconds(caches), _megabytes([images])],
        *(
            [f"features {name}", _seconds([folder]), _megabytes([folder])]
            for name in config.backbones
            for folder in [workspace.block(name)]
            if folder.is_dir()
        ),
        ["ensemble", _seconds([workspace.submissions]), "–"],
    ]
    look = (
        "Seconds on the machine that made the artifact; a dash where they were not recorded. A "
        "training that was stopped counts from where it went on."
    )
    columns = ["member", "train, seconds", "predict, seconds", "disk, MB"]
    parts = [
        Table("Members", look, columns, members),
        Table("Other stages", "", ["stage", "seconds", "disk, MB"], rows),
    ]
    return Section("Time and disk", "What the next run may save, or can afford.", parts)


def _of_member(inputs: PageInputs, name: str) -> list[str]:
    workspace, folder = inputs.project.workspace, inputs.project.workspace.member(name)
    if isinstance(inputs.project.config.members[name], External):
        return [name, "–", _seconds([folder]), _megabytes([folder])]
    folds = [path for path in _folders(folder) if path.name.startswith(("fold", "all_rows"))]
    predictions = [path / workspace.fold_predictions(name, 0).name for path in folds]
    return [name, _seconds(folds), _seconds([*predictions, folder]), _megabytes([folder])]


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _seconds(folders: Iterable[Path]) -> str:
    known = [read_seconds(folder, fingerprint_of(folder)) for folder in folders]
    known = [seconds for seconds in known if seconds is not None]
    return f"{sum(known):,.1f}" if known else "–"


def _megabytes(folders: Iterable[Path]) -> str:
    return f"{sum(map(disk_bytes, folders)) / MEGABYTE:,.1f}"
