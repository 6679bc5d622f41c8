"""The base class of every section of a config."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of a config: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
