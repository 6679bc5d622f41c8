"""Restore stage: writes a submission's settings as a YAML file that runs."""

import logging
from pathlib import Path

from pipeline.config.as_yaml import as_yaml
from pipeline.config.difference import difference
from pipeline.config.load import load_config
from pipeline.core.artifacts import replacing
from pipeline.core.find_submission import config_of, find_submission, stem
from pipeline.core.ledger import Entry
from pipeline.core.workspace import Workspace
from pipeline.errors import UserError
from pipeline.report import wording

log = logging.getLogger(__name__)


def restore(workspace: Workspace, *, run: str = "", out: str = "") -> Path:
    """Write the settings of a submission; return the file, which never replaces another.

    Args:
        run: see `find_submission`; empty: the last.
        out: the file; empty: restored_NAME.yaml in the current folder.
    Raises:
        UserError: no such submission, a file that is already there, or settings of another version.
    """
    entry = find_submission(workspace, run or "last")
    config = config_of(entry, workspace)
    path = Path(out or f"restored_{stem(entry)}.yaml")
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"OUT={out}: expected a name that ends in .yaml.")
    if path.exists():
        raise UserError(f"{path}: is already there. Choose another with OUT=name.yaml.")
    with replacing(path) as temporary:
        temporary.write_text(f"{_header(entry, path)}{as_yaml(config)}", encoding="utf-8")
        if differing := difference(config, load_config(str(temporary))):
            keys = ", ".join(str(one) for one in differing)
            raise UserError(f"{path}: not written: it would load as other settings: {keys}.")
    log.info("restore -> %s; run it with make ensemble CONFIG=%s", path, path)
    return path


def _header(entry: Entry, path: Path) -> str:
    score = f"{entry['metric']} {wording.number_text(entry['score'])} out of fold"
    return (
        f"# Settings of {entry['submission']} ({score}, {entry['time'][:16]} UTC).\n"
        f"# make ensemble CONFIG={path}\n"
        "# Keys at their defaults are left out; `auto` is what it stood for.\n"
    )
