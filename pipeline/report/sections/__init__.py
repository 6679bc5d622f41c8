"""Sections of the report's page, one file each: `NAME_section(inputs) -> Section`."""
