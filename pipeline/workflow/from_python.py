"""From Python: run a target as make does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.load import load_config
from pipeline.core.summary import Summary, path_of_last
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.serving.root import in_root
from pipeline.workflow import make

TARGETS = ("folds", "audit", "features", "plan", "train", "infer", "ensemble", "report")


def run(
    config: str | Path,
    *,
    target: str = "ensemble",
    set: Mapping[str, Any] | None = None,
    run: str = "",
    note: str = "",
    root: str | Path | None = None,
) -> Summary | None:
    """Bring a target, and all that it needs, up to date, as `make TARGET CONFIG=` does.

    Args:
        config: a YAML file, or the name of a shipped config.
        target: folds, audit, features, plan, train, infer, ensemble or report.
        set: keys that override the config's, e.g. {"folds.n": 3, "members.net": None}.
        run: a submission whose settings are taken: part of its name, last or best.
        note: on the submission, for the ledger.
        root: the folder that holds input/ and models/; default: where the config lies, or the
            working directory, whichever has a folder input/; else the repository.
    Returns:
        The summary of the submission after `ensemble` and `report`: score, interval, members.
    Raises:
        UserError: for whatever make would refuse.

    Example:
        >>> summary = pipeline.run("clothing.yaml", set={"folds.n": 3})
        >>> summary.estimate.expected
    """
    if target not in TARGETS:
        raise UserError(f"target={target!r}: expected one of {', '.join(TARGETS)}.")
    overrides = [f"{key}={json.dumps(value)}" for key, value in (set or {}).items()]
    with in_root(config, root) as name:
        make.run(target, name, overrides, repeats=run, note=note)
        if target not in ("ensemble", "report"):
            return None
        workspace = Workspace(Path.cwd(), load_config(name, overrides).competition)
        return Summary.read(path_of_last(workspace.submissions))
