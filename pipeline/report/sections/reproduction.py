"""Reproduction section: the ledger, the config and the versions of libraries."""

import platform
from importlib.metadata import PackageNotFoundError, version

import yaml

from pipeline.core.ledger import read_ledger
from pipeline.report import wording
from pipeline.report.page import Section, Table, Text
from pipeline.report.page_inputs import PageInputs

LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm", "torch", "timm", "lightning")
LATEST = 30  # submissions in the table


def reproduction_section(inputs: PageInputs) -> Section:
    """Return what the same submission can be made from again, and the submissions so far."""
    settings = inputs.summary.config.model_dump(mode="json")
    config = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    versions = f"Python {platform.python_version()}" + "".join(map(_version, LIBRARIES))
    parts = [
        _ledger(inputs),
        Text("Config", "All settings that decide the result, defaults included.", config),
        Text("Versions", f"{versions}; fingerprint {inputs.summary.fingerprint}."),
    ]
    look = "The same config, images and versions give the same submission."
    return Section("Reproduction", look, parts)


def _ledger(inputs: PageInputs) -> Table:
    entries = read_ledger(inputs.project.workspace.ledger)[-LATEST:]
    rows = [
        [
            entry["time"].replace("T", " ").removesuffix("+00:00"),
            entry["blend"],
            entry["metric"],
            f"{entry['score']:.4f}",
            wording.interval_text(entry["low"], entry["high"]),
            wording.number_text(entry.get("public_score")),
            ", ".join(entry["members"]),
        ]
        for entry in entries
    ]
    fingerprints = [entry["fingerprint"] for entry in entries]
    ours = [n for n, other in enumerate(fingerprints) if other == inputs.summary.fingerprint]
    return Table(
        "Ledger",
        "Submissions of this competition so far, this one in bold; differences smaller than an "
        "interval may be chance.",
        ["time (UTC)", "blend", "metric", "score", "interval", "public", "members"],
        rows,
        bold=ours,
        words=["blend", "metric", "members"],
    )


def _version(library: str) -> str:
    try:
        return f", {library} {version(library)}"
    except PackageNotFoundError:
        return ""
