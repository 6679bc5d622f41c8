"""Report stage: reads all artifacts; writes report.html, {suspicious,wrong}_labels.csv."""

import logging
from pathlib import Path

import numpy as np

from pipeline.core import artifacts, predictions
from pipeline.core.finding import read_findings
from pipeline.core.summary import Summary, path_of_last
from pipeline.leaks.label_errors import LabelErrors, find_label_errors
from pipeline.members.outputs import read_member
from pipeline.project import Project
from pipeline.report.page import render
from pipeline.report.page_inputs import Findings
from pipeline.report.sections import data, errors, leaks, making, scores, test_set
from pipeline.report.tables import EPS

log = logging.getLogger(__name__)

LABEL_LISTS = ("suspicious_labels", "wrong_labels")


def make_report(folder: Path, fingerprint: str, *, project: Project) -> None:
    """Write the page, and the lists of suspicious labels, beside the submission."""
    found = gather(project)
    parent = found.workspace.submissions
    levels = found.competition.levels
    label_errors = find_label_errors(
        found.targets, found.oof, found.classes, kind=found.kind, levels=levels
    )
    _write_label_errors(parent, label_errors, found.competition.ids)
    sections = [
        scores.estimate(found),
        scores.members(found),
        data.rows_and_images(found),
        leaks.radar(found),
        errors.errors(found, label_errors),
        test_set.test_set(found),
        making.training(found),
        making.making(found),
    ]
    title = f"{project.config.competition}: report"
    html = render(title, sections, pixel_range=found.index.pixel_range)
    artifacts.write_text(parent / "report.html", html)
    written = ["report.html", *(f"{name}.csv" for name in LABEL_LISTS)]
    artifacts.finish(folder, fingerprint, files=[f"../{name}" for name in written])
    log.info("report -> %s", parent / "report.html")


def gather(project: Project) -> Findings:
    """Read the last submission's summary, what it says of train and test, and its members."""
    path, competition = path_of_last(project.workspace.submissions), project.competition
    oof, decided_oof = _read(path, "npz", competition.ids, competition.classes)
    test, decided_test = _read(path, "test.npz", competition.test_ids, competition.classes)
    return Findings(
        config=project.config,
        workspace=project.workspace,
        competition=competition,
        metric=project.metric,
        index=project.index,
        summary=Summary.read(path),
        oof=oof,
        test=test,
        decided_oof=decided_oof,
        decided_test=decided_test,
        spread=_spread(project),
        findings=read_findings(project.workspace),
    )


def _write_label_errors(folder: Path, label_errors: LabelErrors, ids: np.ndarray) -> None:
    listed = label_errors.listed
    listed = listed.assign(id=ids[listed["row"]])[["id", *listed.columns.drop("row")]]
    for name, table in zip(LABEL_LISTS, (listed, label_errors.pairs), strict=True):
        with artifacts.replacing(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def _read(
    summary: Path, ending: str, ids: np.ndarray, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The submitted blend's predictions, and its decisions, in the order of `ids`."""
    plain, decided = summary.with_suffix(f".{ending}"), summary.with_suffix(f".decided.{ending}")
    values, decisions = (
        predictions.load(path, classes=classes).in_order_of(ids, where=str(path)).values
        for path in (plain, decided if decided.exists() else plain)
    )
    return values, decisions


def _spread(project: Project) -> np.ndarray:
    """(N_test,) how far folds' models and members lie apart, in units of the targets' spread."""
    tests = [read_member(project, name)[1].values for name in project.config.members]
    among_folds = np.mean([test.std(axis=0) for test in tests], axis=0)
    among_members = np.std([test.mean(axis=0) for test in tests], axis=0)
    width = np.maximum(project.competition.targets.std(axis=0), EPS)
    return ((among_folds + among_members) / width).mean(axis=1)
