"""The command line: exit codes, one message, and what it says when there is nothing to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import _split

CODE = Path(__file__).resolve().parents[1]
CONFIG = "competition: tiny\ntask: {kind: multiclass, target: label}\n"


def pipeline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(CODE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def test_overrides_may_hold_spaces() -> None:
    more = "folds.n=3 tta.views=[original, mirrored]  members.net.lr=1e-3"
    expected = ["folds.n=3", "tta.views=[original, mirrored]", "members.net.lr=1e-3"]
    assert _split(None, more) == expected
    assert _split(["seed=1"], " ") == ["seed=1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CONFIG, "input/tiny: no such folder"),
        (CONFIG + "foldz: {n: 3}\n", "tiny.yaml:3: unknown key `foldz`; did you mean `folds`?"),
        (CONFIG.replace("multiclass", "multiclas"), "tiny.yaml:2: `task.kind`"),
        (CONFIG.replace("label}", "label, metric: accurcy}"), "accuracy"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "tiny.yaml").write_text(text)
    done = pipeline(tmp_path, "folds", "--config", "tiny.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "features").exists()


@pytest.mark.slow
def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    done = pipeline(tmp_path, "trian")
    assert done.returncode == 2
    assert "trian" in done.stderr
    assert "Traceback" not in done.stderr
