"""Sections on the making: training curves, and what it takes to make the same again."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import pandas as pd
import yaml

from pipeline.config.schema import Network
from pipeline.report import figures, sentences
from pipeline.report.findings import Findings
from pipeline.report.page import Part, Picture, Section, Table, Text, number_text

LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm", "torch", "timm", "lightning")


def training(found: Findings) -> Section:
    """Training curves of the networks."""
    parts: list[Part] = []
    for name, settings in found.config.members.items():
        if not isinstance(settings, Network):
            continue
        paths = {
            fold: found.workspace.fold(name, fold) / "log.csv"
            for fold in range(found.summary["folds"] * found.summary.get("repeats", 1))
        }
        logs = {fold: pd.read_csv(path) for fold, path in paths.items() if path.exists()}
        if logs:
            epochs = max(len(table) for table in logs.values())
            look = (
                f"{epochs} epochs. Validation loss that rises while training loss falls: too long, "
                "or too little augmentation; a score still improving at the end: too short."
            )
            picture = figures.curves(logs, metric=found.metric.name)
            parts.append(Picture(name, look, picture, f"Training curves of {name}"))
    none = "There are no networks among the members, so there is nothing to see."
    look = "Look for folds that part from the others." if parts else none
    return Section("Training curves", look, parts)


def making(found: Findings) -> Section:
    """What it takes to make the same again."""
    summary = found.summary
    config = yaml.safe_dump(summary["config"], sort_keys=False, allow_unicode=True)
    lines = found.workspace.submissions / "ledger.jsonl"
    entries = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    rows = [
        [
            entry["time"].replace("T", " ").removesuffix("+00:00"),
            entry["blend"],
            entry["metric"],
            f"{entry['score']:.4f}",
            sentences.span(entry["low"], entry["high"]),
            number_text(entry.get("public_score")),
            ", ".join(entry["members"]),
        ]
        for entry in entries[-30:]
    ]
    ours = [
        number
        for number, entry in enumerate(entries[-30:])
        if entry["fingerprint"] == summary["fingerprint"]
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
        Text("Versions", f"{versions}; fingerprint {summary['fingerprint']}."),
    ]
    look = "The same config, images and versions give the same submission."
    return Section("How it was made", look, parts)


def _version(library: str) -> str:
    try:
        return f", {library} {version(library)}"
    except PackageNotFoundError:
        return ""
