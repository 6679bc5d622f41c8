"""Sections of the report that plugins registered."""

from pipeline.config.own_parts import ITEMS, line_of
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
        try:
            section = make(inputs)
        except Exception as error:  # anything may go wrong in the user's code
            raise UserError(
                f"report section {name} failed: {type(error).__name__}: {error}{line_of(error)}. "
                "Correct it, or remove its plugin from the config."
            ) from error
        if not isinstance(section, Section):
            raise UserError(
                f"report section {name} returned {type(section).__name__}; expected a "
                "pipeline.report.page.Section."
            )
        sections.append(section)
    return sections
