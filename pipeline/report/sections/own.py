"""Sections of the report that plugins registered."""

from pipeline.config.own_parts import ITEMS, own_code
from pipeline.errors import UserError
from pipeline.report.page import Section
from pipeline.report.page_inputs import PageInputs


def own_sections(inputs: PageInputs) -> list[Section]:
    """Return what the functions of plugins make, in the order of their registration.

    Raises:
        UserError: if one fails, or returns no section.
    """
    sections = []
    for name, make in ITEMS["report section"].items():
        with own_code("report section", name):
            section = make(inputs)
        if not isinstance(section, Section):
            raise UserError(
                f"report section {name} returned {type(section).__name__}; expected a "
                "pipeline.report.page.Section."
            )
        sections.append(section)
    return sections
