"""Sections on the making: training curves, and what it takes to make the same again."""

import platform
from importlib.metadata import PackageNotFoundError, version

import pandas as pd
import yaml

from pipeline.config.schema import Network
from pipeline.core.artifacts import is_whole, read_meta
from pipeline.core.ledger import read_ledger
from pipeline.report import figures, wording
from pipeline.report.page import Part, Picture, Section, Table, Text, number_text
from pipeline.report.page_inputs import Findings

LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm", "torch", "timm", "lightning")


def training(found: Findings) -> Section:
    """Training curves of the networks."""
    parts: list[Part] = []
    for name, settings in found.config.members.items():
        if not isinstance(settings, Network):
            continue
        folders = {
            fold: found.workspace.fold(name, fold) for fold in range(found.summary.num_models)
        }
        folders = {fold: folder for fold, folder in folders.items() if is_whole(folder)}
        logs = {fold: pd.read_csv(folder / "log.csv") for fold, folder in folders.items()}
        if logs:
            watched = {(read_meta(folder) or {}).get("metric") for folder in folders.values()}
            epochs = max(len(table) for table in logs.values())
            look = (
                f"{epochs} epochs. Validation loss that rises while training loss falls: too long, "
                "or too little augmentation; a score still improving at the end: too short."
            )
            picture = figures.curves(logs, metric=" or ".join(sorted(filter(None, watched))))
            parts.append(Picture(name, look, picture, f"Training curves of {name}"))
    none = "There are no networks among the members, so there is nothing to see."
    look = "Look for folds that part from the others." if parts else none
    return Section("Training curves", look, parts)


def making(found: Findings) -> Section:
    """What it takes to make the same again."""
    summary = found.summary
    config = yaml.safe_dump(
        summary.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True
    )
    entries = read_ledger(found.workspace.ledger)
    rows = [
        [
            entry["time"].replace("T", " ").removesuffix("+00:00"),
            entry["blend"],
            entry["metric"],
            f"{entry['score']:.4f}",
            wording.span(entry["low"], entry["high"]),
            number_text(entry.get("public_score")),
            ", ".join(entry["members"]),
        ]
        for entry in entries[-30:]
    ]
    ours = [
        number
        for number, entry in enumerate(entries[-30:])
        if entry["fingerprint"] == summary.fingerprint
    ]
    columns = ["time (UTC)", "blend", "metric", "score", "interval", "public", "members"]
    words = ["blend", "metric", "members"]
    versions = f"Python {platform.python_version()}" + "".join(map(_version, LIBRARIES))
    parts = [
        Table(
            "Ledger",
            "Submissions of this competition so far, this one bold; differences smaller than an "
            "interval may be chance.",
            columns,
            rows,
            bold=ours,
            words=words,
        ),
        Text("Config", "Everything that decides the result, defaults included.", config),
        Text("Versions", f"{versions}; fingerprint {summary.fingerprint}."),
    ]
    look = "The same config, images and versions give the same submission."
    return Section("How it was made", look, parts)


def _version(library: str) -> str:
    try:
        return f", {library} {version(library)}"
    except PackageNotFoundError:
        return ""
