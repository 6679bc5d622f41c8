"""Report stage: reads all artifacts; writes report.html, {suspicious,wrong}_labels.csv."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.schema import Config
from pipeline.core import artifacts, predictions
from pipeline.core.workspace import Workspace
from pipeline.data.alarms import Alarm
from pipeline.report import (
    about_data,
    about_errors,
    about_leaks,
    about_making,
    about_scores,
    about_test_set,
)
from pipeline.report.findings import Findings
from pipeline.report.numbers import EPS
from pipeline.report.page import render
from pipeline.report.suspicion import Suspicion, suspect
from pipeline.stages.outputs import read_member
from pipeline.stages.project import Project, open_project

log = logging.getLogger(__name__)


def make_report(folder: Path, fingerprint: str, *, config: Config, root: Path) -> None:
    """Write the page, and the lists of suspicious labels, beside the submission."""
    found = gather(open_project(config, root))
    parent = found.workspace.submissions
    levels = found.competition.levels
    suspicion = suspect(found.targets, found.oof, found.classes, kind=found.kind, levels=levels)
    _write_suspicion(parent, suspicion, found.competition.ids)
    sections = [
        about_scores.estimate(found),
        about_scores.members(found),
        about_data.rows_and_images(found),
        about_leaks.radar(found),
        about_errors.errors(found, suspicion),
        about_test_set.test_set(found),
        about_making.training(found),
        about_making.making(found),
    ]
    html = render(f"{config.competition}: report", sections)
    artifacts.write_text(parent / "report.html", html)
    artifacts.finish(folder, fingerprint)
    log.info("report -> %s", parent / "report.html")


def gather(project: Project) -> Findings:
    """Read the last submission's summary, its oof, and the members it was made of."""
    submissions, competition = project.workspace.submissions, project.competition
    meta = artifacts.read_meta(submissions)
    assert meta is not None, f"{submissions} has no finished ensemble"
    path = submissions / meta["summary"]
    summary = json.loads(path.read_text(encoding="utf-8"))
    loaded = predictions.load(path.with_suffix(".npz"), classes=competition.classes)
    oof = loaded.in_order_of(competition.ids, where=str(path.with_suffix(".npz")))
    member_test, spreads = [], []
    for name in project.config.members:
        _, test = read_member(project, name)
        member_test.append(test.values.mean(axis=0))
        spreads.append(test.values.std(axis=0))
    means = np.stack(member_test)
    width = np.maximum(competition.targets.std(axis=0), EPS)
    spread = (np.mean(spreads, axis=0) + means.std(axis=0)) / width
    test, source = _test_predictions(project, summary, path.with_suffix(".csv"), means)
    return Findings(
        config=project.config,
        workspace=project.workspace,
        competition=competition,
        metric=project.metric,
        index=project.index,
        summary=summary,
        oof=oof.values,
        test=test,
        test_source=source,
        spread=spread.mean(axis=1),
        alarms=read_alarms(project.workspace),
    )


def read_alarms(workspace: Workspace) -> list[Alarm]:
    """What the radar saw: of `make audit` where that ran on these folds, else of `make folds`."""
    alarms = json.loads(workspace.audit_json.read_text(encoding="utf-8"))["radar"]
    if workspace.radar_json.exists():
        completed = json.loads(workspace.radar_json.read_text(encoding="utf-8"))
        if completed[: len(alarms)] == alarms:
            alarms = completed
    return [Alarm(**alarm) for alarm in alarms]


def _write_suspicion(folder: Path, suspicion: Suspicion, ids: np.ndarray) -> None:
    listed = suspicion.listed
    listed = listed.assign(id=ids[listed["row"]])[["id", *listed.columns.drop("row")]]
    for name, table in (("suspicious_labels", listed), ("wrong_labels", suspicion.pairs)):
        with artifacts.replacing(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def _test_predictions(
    project: Project, summary: dict, csv: Path, means: np.ndarray
) -> tuple[np.ndarray, str]:
    """(N_test, C) and where they come from: the file that is submitted, if it says enough."""
    competition = project.competition
    written = pd.read_csv(csv, dtype={competition.data.id: str}, keep_default_na=False)
    written = written.set_index(competition.data.id)
    if set(written.columns) == set(competition.classes):
        values = written.loc[competition.test_ids, list(competition.classes)].to_numpy(dtype=float)
        if project.config.task.kind == "regression" or not np.isin(values, [0, 1]).all():
            return values, "Predictions are those of the submitted file."
    weights = np.array(list((summary["estimate"]["weights"] or {}).values()) or [0.0])
    if len(weights) != len(means) or weights.min() < 0 or weights.sum() <= 0:
        return means.mean(axis=0), (
            "The submitted file has no number per class, so what is shown here is the mean "
            "of the members' test predictions."
        )
    return np.tensordot(weights / weights.sum(), means, axes=1), (
        "The submitted file has no number per class, so what is shown here is the average of the "
        "members' test predictions with the blend's weights."
    )
