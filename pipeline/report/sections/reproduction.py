"""Reproduction section: the ledger, the config and the versions of libraries."""

import platform
from importlib.metadata import PackageNotFoundError, version

import yaml

from pipeline.core.ledger import read_ledger
from pipeline.report import figures, wording
from pipeline.report.page import Part, Picture, Section, Table, Text
from pipeline.report.page_inputs import PageInputs

LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm", "torch", "timm", "lightning")
LATEST = 30  # submissions in the table


def reproduction_section(inputs: PageInputs) -> Section:
    """Return what the same submission can be made from again, and the submissions so far."""
    settings = inputs.summary.config.model_dump(mode="json")
    config = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    versions = f"Python {platform.python_version()}" + "".join(map(_version, LIBRARIES))
    parts = [
        *_ledger(inputs),
        Text("Config", "All settings that decide the result, defaults included.", config),
        Text("Versions", f"{versions}; fingerprint {inputs.summary.fingerprint}."),
    ]
    look = "The same config, images and versions give the same submission."
    return Section("Submissions and settings", look, parts)


def _ledger(inputs: PageInputs) -> list[Part]:
    """Return the submissions so far as a table, and as a figure where there are several."""
    entries = read_ledger(inputs.project.workspace.ledger)[-LATEST:]
    times = [entry["time"].replace("T", " ").removesuffix("+00:00") for entry in entries]
    rows = [
        [
            time,
            entry["blend"],
            entry["metric"],
            wording.number_text(entry["score"]),
            wording.interval_text(entry["low"], entry["high"]),
            wording.number_text(entry.get("public_score")),
            ", ".join(entry["members"]),
            str(entry.get("note") or "–"),
        ]
        for time, entry in zip(times, entries, strict=True)
    ]
    fingerprints = [entry["fingerprint"] for entry in entries]
    ours = [n for n, other in enumerate(fingerprints) if other == inputs.summary.fingerprint]
    table = Table(
        "Ledger",
        "Submissions of this competition so far, this one in bold; differences smaller than an "
        "interval may be chance.",
        ["time (UTC)", "blend", "metric", "score", "interval", "public", "members", "note"],
        rows,
        bold=ours,
        words=["blend", "metric", "members", "note"],
    )
    return [table, *_over_time(entries, times, inputs.summary.metric)]


def _over_time(entries: list[dict], times: list[str], metric: str) -> list[Part]:
    shown = [
        place
        for place, entry in enumerate(entries)
        if entry["metric"] == metric and entry["score"] is not None
    ]
    if len(shown) < 2:
        return []
    days = [times[place][5:16].replace(" ", "\n") for place in shown]
    figure = figures.over_time(days, [entries[place] for place in shown], metric=metric)
    look = (
        "Dots are out-of-fold scores with their intervals, diamonds public scores. If the dots "
        "rise and the diamonds do not, choices fit the training rows more than the task."
    )
    return [Picture("Scores over time", look, figure, "Scores of submissions in their order")]


def _version(library: str) -> str:
    try:
        return f", {library} {version(library)}"
    except PackageNotFoundError:
        return ""
