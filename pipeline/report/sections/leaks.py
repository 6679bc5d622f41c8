"""Section on leaks: what the radar looked at, what it saw, and images to judge it by."""

from pipeline.core.finding import PERMUTATION_TEST, Finding, worst_first
from pipeline.report.page import Gallery, Part, Section, Table, Text
from pipeline.report.page_inputs import Findings
from pipeline.report.tables import in_words


def radar(found: Findings) -> Section:
    """What could make the estimate flatter, before any model is trusted."""
    findings = worst_first(found.findings)
    labels = in_words(found.targets, found.classes, **found.decision)
    labels += ["test"] * len(found.test)
    paths = found.index.paths.tolist()
    rows = {path: (row, labels[row]) for row, path in enumerate(paths)}
    parts: list[Part] = [_looks(findings)]
    for finding in findings:
        if finding.images or finding.grade != "quiet":
            parts.append(_details(found, finding, rows))
    num_loud = sum(finding.grade != "quiet" for finding in findings)
    look = (
        f"{num_loud} of {len(findings)} looks saw something. Suspicious asks for an answer before "
        "the estimate is trusted, a note for a thought."
    )
    if all(finding.name != PERMUTATION_TEST for finding in findings):
        look += " `make audit` looks further: at frozen features, and with a permutation test."
    return Section("Leak radar", look, parts)


def _looks(findings: list[Finding]) -> Table:
    rows = [[finding.grade, finding.name, finding.seen] for finding in findings]
    marked = [(row, 0) for row, finding in enumerate(findings) if finding.grade == "suspicious"]
    bold = [row for row, finding in enumerate(findings) if finding.grade != "quiet"]
    look = "A look is quiet where what it sees is no more than chance, or than an honest picture."
    columns = ["grade", "looked at", "seen"]
    return Table("Looks", look, columns, rows, bold=bold, marked=marked, words=columns[1:])


def _details(found: Findings, finding: Finding, rows: dict[str, tuple[int, str]]) -> Part:
    """A finding's advice, and its images where they help; else its examples as text."""
    title = finding.name if finding.grade == "quiet" else f"{finding.grade}: {finding.name}"
    look = f"{finding.seen[:1].upper()}{finding.seen[1:]}. {finding.advice}"
    if not finding.images:
        return Text(title, look, "\n".join(finding.examples))
    groups = [
        (group, [found.tile(rows[path][0], path, rows[path][1], text) for path, text in images])
        for group, images in finding.images
    ]
    return Gallery(title, look, groups)
