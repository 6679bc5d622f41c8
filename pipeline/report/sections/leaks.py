"""Section on leaks: what the radar looked at, what it saw, and images to judge it by."""

from pipeline.core.finding import Alarm, worst_first
from pipeline.report.page import Gallery, Part, Section, Table, Text
from pipeline.report.page_inputs import Findings
from pipeline.report.tables import in_words


def radar(found: Findings) -> Section:
    """What could make the estimate flatter, before any model is trusted."""
    alarms = worst_first(found.alarms)
    labels = in_words(found.targets, found.classes, **found.decision)
    labels += ["test"] * len(found.test)
    paths = found.index.paths.tolist()
    rows = {path: (row, labels[row]) for row, path in enumerate(paths)}
    parts: list[Part] = [_looks(alarms)]
    for alarm in alarms:
        if alarm.images or alarm.grade != "quiet":
            parts.append(_details(found, alarm, rows))
    num_loud = sum(alarm.grade != "quiet" for alarm in alarms)
    look = (
        f"{num_loud} of {len(alarms)} looks saw something. Suspicious asks for an answer before "
        "the estimate is trusted, a note for a thought."
    )
    if all(alarm.name != "canary" for alarm in alarms):
        look += " `make audit` looks further: at frozen features, and with a canary."
    return Section("Leak radar", look, parts)


def _looks(alarms: list[Alarm]) -> Table:
    rows = [[alarm.grade, alarm.name, alarm.seen] for alarm in alarms]
    marked = [(row, 0) for row, alarm in enumerate(alarms) if alarm.grade == "suspicious"]
    bold = [row for row, alarm in enumerate(alarms) if alarm.grade != "quiet"]
    look = "A look is quiet where what it sees is no more than chance, or than an honest picture."
    columns = ["grade", "looked at", "seen"]
    return Table("Looks", look, columns, rows, bold=bold, marked=marked, words=columns[1:])


def _details(found: Findings, alarm: Alarm, rows: dict[str, tuple[int, str]]) -> Part:
    """An alarm's advice, and its images where they help; else its examples as text."""
    title = alarm.name if alarm.grade == "quiet" else f"{alarm.grade}: {alarm.name}"
    look = f"{alarm.seen[:1].upper()}{alarm.seen[1:]}. {alarm.advice}"
    if not alarm.images:
        return Text(title, look, "\n".join(alarm.examples))
    groups = [
        (group, [found.tile(rows[path][0], path, rows[path][1], text) for path, text in images])
        for group, images in alarm.images
    ]
    return Gallery(title, look, groups)
