"""The YAML config: `schema` defines its keys, `load` reads it, `check` relates sections."""
