"""Target leaks section: what the leak checks found, with images to judge it by."""

from pipeline.core.finding import PERMUTATION_TEST, Finding, worst_first
from pipeline.report.page import Folded, Gallery, Part, Section, Table, Text
from pipeline.report.page_inputs import PageInputs
from pipeline.report.tables import in_words


def leaks_section(inputs: PageInputs) -> Section:
    """Return the findings, worst first, with their advice and images."""
    findings = worst_first(inputs.findings)
    labels = in_words(inputs.targets, inputs.classes, inputs.task)
    labels += ["test"] * len(inputs.test)
    paths = inputs.project.index.paths.tolist()
    rows = {path: (row, labels[row]) for row, path in enumerate(paths)}
    loud = [finding for finding in findings if finding.grade != "quiet"]
    quiet = [finding for finding in findings if finding.grade == "quiet"]
    parts: list[Part] = [_table("Findings", loud)] if loud else []
    parts += [_details(inputs, finding, rows) for finding in loud]
    if quiet:
        images = [_details(inputs, finding, rows) for finding in quiet if finding.images]
        title = f"{len(quiet)} checks that found nothing"
        parts.append(Folded(title, [_table("Quiet checks", quiet), *images]))
    look = (
        f"{len(loud)} of {len(findings)} checks found something. A suspicious finding needs an "
        "answer before the estimate is trusted; a note may be harmless."
    )
    if all(finding.name != PERMUTATION_TEST for finding in findings):
        look += " `make audit` also checks frozen features and runs a permutation test."
    return Section("Leakage checks", look, parts)


def _table(title: str, findings: list[Finding]) -> Table:
    rows = [[finding.grade, finding.name, finding.seen] for finding in findings]
    marked = [(row, 0) for row, finding in enumerate(findings) if finding.grade == "suspicious"]
    look = "A check is quiet if what it finds is no more than chance, or than images without leaks."
    columns = ["grade", "check", "finding"]
    return Table(title, look, columns, rows, marked=marked, words=columns[1:])


def _details(inputs: PageInputs, finding: Finding, rows: dict[str, tuple[int, str]]) -> Part:
    """Return a finding's advice with its images, or with its examples as text.

    Args:
        rows: position and label of each image's path.
    """
    title = finding.name if finding.grade == "quiet" else f"{finding.grade}: {finding.name}"
    look = finding.advice or f"{finding.seen[:1].upper()}{finding.seen[1:]}."
    if not finding.images:
        return Text(title, look, "\n".join(finding.examples))
    groups = [
        (group, [inputs.tile(rows[path][0], path, rows[path][1], text) for path, text in images])
        for group, images in finding.images
    ]
    return Gallery(title, look, groups)
