"""From a competition folder to an accepted submission, stage by stage, through files.

From Python: `pipeline.load` predicts new images with a submission's models, `pipeline.run` runs a
target as make does, `pipeline.read_oof` reads out-of-fold predictions. Each is imported when it is
asked for, so that `import pipeline` costs nothing.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "load": "pipeline.serving.load:load",
    "read_oof": "pipeline.serving.load:read_oof",
    "run": "pipeline.workflow.from_python:run",
    "UserError": "pipeline.errors:UserError",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = _PUBLIC[name].partition(":")
    return getattr(import_module(module), function)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
