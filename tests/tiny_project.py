"""A tiny competition and the whole chain on it: what tests of several folders share."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from pipeline.core import predictions
from pipeline.workflow import make

CODE = Path(__file__).parents[1]
CLASSES = ("blue", "green", "red")
BACKBONE = {"arch": "test_efficientnet", "weights": "random", "image_size": 32}
CONFIG = {
    "competition": "tiny",
    "task": {"kind": "multiclass", "target": "label", "metric": "log_loss"},
    "folds": {"scheme": "column", "column": "given_fold"},
    "backbones": {"small": BACKBONE},
    "members": {"linear": {"learner": "logistic", "blocks": {"small": 1.0}}},
    "blends": ["soft_vote", "weighted"],
    # Not `auto`: what it decides depends on labels of all folds; test_views.py tests it.
    "tta": {"views": ["original", "mirrored"]},
    "calibrate": "none",  # so that a soft vote is a mean, worked out by hand
    "runtime": {"device": "cpu", "workers": 0},
}
NETWORK = {"network": "small", "epochs": 1, "batch_size": 8, "augment": "light"}
SEARCHED = {
    "learner": "ridge",
    "blocks": {"small": 1.0},
    "concatenate": "importance",
    "search": {"blocks": [0.1, 0.5], "strength": [1.0, 100.0]},
}


def start_run(root: Path, stage: str, config: str, *arguments: str) -> subprocess.Popen:
    """Start the command line in a process group of its own, one thread, its stderr piped."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", stage, "--config", config, *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=let_signals_end,
    )


def let_signals_end() -> None:
    """Let Ctrl-C and a closed terminal end a process that tests in the background start."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def write_competition(root: Path, *, num_train: int = 30, num_test: int = 9) -> Path:
    """Noisy squares of three colours, which are the labels; ready folds 0, 1, 2."""
    folder = root / "input" / "tiny"
    rng = np.random.default_rng(0)
    rows = []
    for row in range(num_train + num_test):
        split = "train" if row < num_train else "test"
        label = CLASSES[row % 3]
        pixels = rng.integers(0, 120, (36, 40, 3))
        pixels[:, :, CLASSES[::-1].index(label)] += 60
        path = folder / split / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        rows.append({"id": f"{row:03d}.png", "label": label, "given_fold": row // 3 % 3})
    table = pd.DataFrame(rows)
    table[:num_train].to_csv(folder / "train.csv", index=False)
    table[num_train:][["id"]].to_csv(folder / "test.csv", index=False)
    sample = table[num_train:][["id"]].assign(**dict.fromkeys(reversed(CLASSES), 0.5))
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def run(root: Path, stage: str = "ensemble", overrides: tuple[str, ...] = (), **changes) -> None:
    """Run a stage in `root` with CONFIG and changes to its top level."""
    (root / "tiny.yaml").write_text(yaml.safe_dump(CONFIG | changes))
    before = Path.cwd()
    os.chdir(root)
    try:
        make.run(stage, "tiny.yaml", list(overrides))
    finally:
        os.chdir(before)


def submission(root: Path) -> Path:
    """The newest submission's CSV."""
    folder = root / "submissions" / "tiny"
    return (folder / json.loads((folder / "meta.json").read_text())["summary"]).with_suffix(".csv")


def load(root: Path, member: str, name: str) -> predictions.Predictions:
    return predictions.load(root / "models" / "tiny" / member / f"{name}.npz")


def listing(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below a folder: time, length, content."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.stat().st_size,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def check_fold_0_is_blind_to(
    plant: Callable[[pd.DataFrame], None], tmp_path: Path, *, members: dict, names: Iterable[str]
) -> dict:
    """Other labels in fold 0 change nothing that its models say, and do change what others say.

    Args:
        plant: changes labels of fold 0 in train.csv's table.
    Returns:
        What was said: (planted, name): (oof of fold 0, test of its model); with "others": the oof
        of the other folds.
    """
    said = {}
    for planted in (False, True):
        root = tmp_path / f"planted_{planted}"
        folder = write_competition(root)
        if planted:
            table = pd.read_csv(folder / "train.csv")
            plant(table)
            table.to_csv(folder / "train.csv", index=False)
        run(root, "infer", members=members)
        for name in names:
            oof, test = load(root, name, "oof"), load(root, name, "test")
            said[planted, name] = oof.values[oof.folds == 0], test.values[0]
            said[planted, name, "others"] = oof.values[oof.folds != 0]
    for name in names:
        for clean, leaked in zip(said[False, name], said[True, name], strict=True):
            assert np.array_equal(clean, leaked), name
        assert not np.array_equal(said[False, name, "others"], said[True, name, "others"])
    return said


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, cleaning up aside."""
