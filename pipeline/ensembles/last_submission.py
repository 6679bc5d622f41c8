"""The submission before this one: where its predictions compare with ours."""

from dataclasses import asdict

import numpy as np

from pipeline.core import predictions
from pipeline.core.ledger import read_ledger
from pipeline.core.summary import AgainstLast
from pipeline.ensembles.contestants import compare
from pipeline.errors import UserError
from pipeline.project import Project


def against_last(project: Project, oof: np.ndarray, fingerprint: str) -> AgainstLast | None:
    """Compare out-of-fold predictions (N, C) with the last submission's, on the same rows (paired).

    Returns:
        Of the ledger's last entry of another fingerprint; None if there is no such entry.
    """
    ledger = read_ledger(project.workspace.ledger)
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
        return AgainstLast(**named, refused=f"{path.name} is not there, or not readable")
    if differing := _what_differs(project, rival):
        return AgainstLast(**named, refused=f"its {' and '.join(differing)} differ")
    theirs_oof = rival.in_order_of(project.competition.ids, where=str(path)).values
    return AgainstLast(**named, **asdict(compare(project, oof, theirs_oof)))


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
