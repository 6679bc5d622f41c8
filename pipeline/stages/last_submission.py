"""The ledger of submissions, and the one before this: where its predictions compare with ours."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.errors import UserError
from pipeline.core import artifacts, predictions
from pipeline.stages import outputs
from pipeline.stages.project import Project


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """The ledger's entries, oldest first."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def add_to_ledger(path: Path, summary: dict[str, Any]) -> None:
    """One line per submission, once, however often a killed run is repeated."""
    entries = read_ledger(path)
    if any(entry["fingerprint"] == summary["fingerprint"] for entry in entries):
        return
    estimate = summary["estimate"]
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "submission": summary["submission"],
        "blend": estimate["name"],
        "metric": summary["metric"],
        "score": estimate["score"],
        "low": estimate["low"],
        "high": estimate["high"],
        "members": list(summary["members"]),
        "fingerprint": summary["fingerprint"],
    }
    lines = (json.dumps(artifacts.without_nan(line)) for line in [*entries, entry])
    artifacts.write_text(path, "".join(f"{line}\n" for line in lines))


def against_last(
    project: Project, oof: np.ndarray, fingerprint: str, *, level: float
) -> dict[str, Any] | None:
    """Compare out-of-fold predictions (N, C) with the last submission's, on the same rows (paired).

    Returns:
        The ledger's last entry of another fingerprint, as `submission` and `score`, with
        probability, low and high as of `probability_better`, or with `refused`, why it does not
        compare; None if there is no such entry.
    """
    ledger = read_ledger(project.workspace.submissions / "ledger.jsonl")
    others = [entry for entry in ledger if entry["fingerprint"] != fingerprint]
    if not others:
        return None
    last = others[-1]
    named = {"submission": last["submission"], "score": last["score"]}
    submission = project.workspace.root / last["submission"]
    path = submission.with_suffix(".decided.npz")
    if not path.exists():  # decisions were not fitted
        path = submission.with_suffix(".npz")
    try:
        rival = predictions.load(path)
    except UserError:
        return {**named, "refused": f"{path.name} is not there, or not readable"}
    if differing := _what_differs(project, rival):
        return {**named, "refused": f"its {' and '.join(differing)} differ"}
    said = rival.in_order_of(project.competition.ids, where=str(path)).values
    return named | outputs.compare(project, oof, said, level=level)


def _what_differs(project: Project, rival: predictions.Predictions) -> list[str]:
    """Why predictions are not of the same rows, held out alike and blended for the same metric."""
    competition = project.competition
    ours = {
        "rows": set(competition.ids.tolist()),
        "classes": tuple(competition.classes),
        "metric": project.metric.name,
        "folds": project.folds.digest,
    }
    theirs = {
        "rows": set(rival.ids.tolist()),
        "classes": rival.classes,
        "metric": rival.meta.get("metric"),
        "folds": rival.meta.get("folds_digest"),
    }
    return [name for name in ours if ours[name] != theirs[name]]
