"""Report stage: reads all artifacts; writes report.html, {suspicious,wrong}_labels.csv."""

import logging
from pathlib import Path

import numpy as np

from pipeline.core import artifacts, predictions
from pipeline.core.competition import Competition
from pipeline.core.finding import read_findings
from pipeline.core.numerics import TINY
from pipeline.core.scale import from_scale
from pipeline.core.summary import Summary, path_of_last
from pipeline.leaks.label_errors import LabelErrors, find_label_errors
from pipeline.members.outputs import read_member
from pipeline.project import Project
from pipeline.report.page import render
from pipeline.report.page_inputs import PageInputs
from pipeline.report.sections.data import data_section
from pipeline.report.sections.errors import errors_section
from pipeline.report.sections.estimate import estimate_section
from pipeline.report.sections.leaks import leaks_section
from pipeline.report.sections.members import members_section
from pipeline.report.sections.mistakes import mistakes_section
from pipeline.report.sections.own import own_sections
from pipeline.report.sections.reproduction import reproduction_section
from pipeline.report.sections.resources import resources_section
from pipeline.report.sections.test_set import test_set_section
from pipeline.report.sections.training import training_section

log = logging.getLogger(__name__)

LABEL_LISTS = ("suspicious_labels", "wrong_labels")


def make_report(folder: Path, fingerprint: str, *, project: Project) -> None:
    """Write the page, and the lists of possible label errors, beside the submission."""
    inputs, submissions = gather(project), project.workspace.submissions
    label_errors = find_label_errors(inputs.targets, inputs.oof, inputs.classes, inputs.task)
    _write_label_errors(submissions, label_errors, project.competition.ids)
    sections = [
        estimate_section(inputs),
        members_section(inputs),
        data_section(inputs),
        leaks_section(inputs),
        errors_section(inputs),
        mistakes_section(inputs, label_errors),
        test_set_section(inputs),
        training_section(inputs),
        *own_sections(inputs),
        resources_section(inputs),
        reproduction_section(inputs),
    ]
    title = f"{project.config.competition}: report"
    html = render(title, sections, to_rgb=project.index.to_rgb(project.config.data.bands))
    artifacts.write_text(submissions / "report.html", html)
    written = ["report.html", *(f"{name}.csv" for name in LABEL_LISTS)]
    artifacts.finish(folder, fingerprint, files=[f"../{name}" for name in written])
    log.info("-> %s", submissions / "report.html")


def gather(project: Project) -> PageInputs:
    """Read the last submission's summary, its predictions of train and test, and its members'."""
    path, competition = path_of_last(project.workspace.submissions), project.competition
    oof, decided_oof = _read(path, "npz", competition.ids, competition)
    test, decided_test = _read(path, "test.npz", competition.test_ids, competition)
    return PageInputs(
        project=project,
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
    summary: Path, ending: str, ids: np.ndarray, competition: Competition
) -> tuple[np.ndarray, np.ndarray]:
    """Read the submitted blend's predictions, and its decisions, in the order of `ids`.

    Those of a regression are in the target's own unit.
    """
    how = {"classes": competition.classes, "scale": competition.scale}
    plain, decided = summary.with_suffix(f".{ending}"), summary.with_suffix(f".decided.{ending}")
    values, decisions = (
        predictions.load(path, **how).in_order_of(ids, where=str(path)).values
        for path in (plain, decided if decided.exists() else plain)
    )
    return from_scale(values, competition.scale), from_scale(decisions, competition.scale)


def _spread(project: Project) -> np.ndarray:
    """Return (N_test,) how far folds' models and members differ, over the targets' spread."""
    tests = [read_member(project, name)[1].values for name in project.config.members]
    among_folds = np.mean([test.std(axis=0) for test in tests], axis=0)
    among_members = np.std([test.mean(axis=0) for test in tests], axis=0)
    width = np.maximum(project.competition.targets.std(axis=0), TINY)
    return ((among_folds + among_members) / width).mean(axis=1)
