"""Kernel stage: writes submissions/<c>/kernel/, a dataset and a notebook that need no internet."""

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.config.schema import Config, Learner
from pipeline.core.artifacts import write_json
from pipeline.core.workspace import Workspace
from pipeline.errors import first_line
from pipeline.serving.kernel_folder import write_kernel_folder
from pipeline.serving.load import load

log = logging.getLogger(__name__)

NOTEBOOK = Path(__file__).parents[1] / "serving" / "kernel.ipynb"
# What Kaggle's image lacks, or has in versions whose results may differ; torch is taken as it is.
PACKAGES = (
    *("albucore", "albumentations", "iterative-stratification", "lightgbm", "lightning"),
    *(
        "lightning-utilities",
        "narwhals",
        "scikit-learn",
        "simsimd",
        "stringzilla",
        "timm",
        "torchmetrics",
    ),
)
OF_LEARNERS = ("xgboost", "catboost")  # packages that are called as the learners
PYTHONS = ("3.11", "3.12")  # of Kaggle's images
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")


def make_kernel(config_name: str, workspace: Workspace, *, run: str = "") -> Path:
    """Write the folder, whole or not at all; return it.

    Args:
        run: the submission, see `find_submission`; empty: the last.
    Raises:
        UserError: as `pipeline.load`.
    """
    model = load(config_name, run=run or "last", root=workspace.root)
    if mixed := model.project.config.submission.mix:
        log.warning("the kernel predicts without %s of submission.mix", ", ".join(mixed))
    folder = workspace.submissions / "kernel"
    with tempfile.TemporaryDirectory(dir=workspace.submissions, prefix=".kernel.") as temporary:
        made = Path(temporary) / "kernel"
        made.mkdir()
        packages = _packages(model.project.config)
        write_kernel_folder(made, model, packages)
        _download_wheels(made / "wheels", packages)
        shutil.copyfile(NOTEBOOK, made / "kernel.ipynb")
        write_json(made / "dataset-metadata.json", _dataset_metadata(workspace.competition))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(made, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    log.info(
        "kernel -> %s (%.0f MB, %s of %s): put your name into dataset-metadata.json, "
        "`kaggle datasets create -r zip -p %s`, and upload its kernel.ipynb as a notebook",
        *(folder, size / 1e6, ", ".join(model.members), model.submission, folder),
    )
    return folder


def _packages(config: Config) -> dict[str, str]:
    """Return packages that the kernel needs, with the versions that are installed here."""
    used = {one.learner for one in config.members.values() if isinstance(one, Learner)}
    found = {}
    for name in (*PACKAGES, *sorted(used & {*OF_LEARNERS})):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            log.debug("%s is not installed here", name)
    return found


def _download_wheels(folder: Path, packages: dict[str, str]) -> None:
    """Download wheels for Kaggle's Pythons; say which cannot be had."""
    folder.mkdir()
    missing, reason = [], ""
    for name, wanted in packages.items():
        for python in PYTHONS:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            pip += ["--disable-pip-version-check", "--retries", "0", "--timeout", "5"]
            pip += ["--only-binary=:all:"]
            pip += [argument for tag in PLATFORMS for argument in ("--platform", tag)]
            pip += ["--python-version", python, "--dest", str(folder), f"{name}=={wanted}"]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
            if done.returncode:
                missing.append(f"{name}=={wanted} (Python {python})")
                reason = done.stderr.strip().splitlines()[-1:] or [first_line(OSError("pip"))]
    if missing:
        log.warning(
            "no wheels of %s: pip says %r. Where Kaggle's image lacks them, put them into %s/ of "
            "the folder: pip download --no-deps NAME==VERSION",
            *(", ".join(missing), "".join(reason), folder.name),
        )


def _dataset_metadata(competition: str) -> dict[str, object]:
    """Return what Kaggle's client asks for; titles have 6 to 50 letters."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"{competition} kernel".lower()).strip("-")[-50:]
    return {
        "title": f"{competition} kernel"[:50],
        "id": f"INSERT_YOUR_KAGGLE_NAME_HERE/{slug}",
        "licenses": [{"name": "other"}],
    }
