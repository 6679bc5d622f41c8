"""A config as a YAML text that loads to an equal one."""

import yaml

from pipeline.config.schema import Config

WIDTH = 100


def as_yaml(config: Config) -> str:
    """Return the keys that differ from their defaults, in the order of the schema.

    Members stand in the order of the config, and short lists and mappings on one line. Names that
    YAML would read as numbers or truth values are quoted.
    """
    settings = config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.dump(
        settings,
        Dumper=_WithoutAnchors,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=WIDTH,
    )


class _WithoutAnchors(yaml.SafeDumper):
    """Write equal values out each time: an anchor is hard to change by hand."""

    def ignore_aliases(self, data: object) -> bool:
        return True
