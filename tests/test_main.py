"""The command line: exit codes, one message, and what it says when there is nothing to do."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_project import let_signals_end

from pipeline.__main__ import COMMANDS, _disk_error, _split
from pipeline.errors import UserError
from pipeline.metrics.find_metric import SUMMARIES
from pipeline.workflow.make_variables import TAKEN_BY, refuse_ignored

CODE = Path(__file__).resolve().parents[1]
CONFIG = "competition: tiny\ntask: {kind: multiclass, target: label}\n"


def pipeline(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(CODE), "PATH": "/usr/bin:/bin"} | env,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
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
def test_without_a_config_or_digits_it_says_what_was_taken(tmp_path: Path) -> None:
    done = pipeline(tmp_path, "ensemble")
    assert done.returncode == 2
    assert "input/digits: no such folder. Without CONFIG= the demo's config" in done.stderr


@pytest.mark.slow
def test_the_page_of_keys_ends_with_the_metrics(tmp_path: Path) -> None:
    page = pipeline(tmp_path, "config").stdout
    assert "(see METRICS)" in page
    listed = page.split("\nMETRICS: ")[1]
    (regression,) = re.findall(r"^  regression: (.*)$", listed, re.MULTILINE)
    assert {"mae", "rmse", "rmsle"} <= set(regression.split(", "))
    assert "accuracy" not in regression
    assert set(re.findall(r"\w+", listed)) >= set(SUMMARIES)


# Ctrl-C, or a scheduler's SIGTERM, reaches all processes; here while workers hand out batches.
INTERRUPTED = """
import os, signal, sys
from pipeline.__main__ import main
from pipeline.images.batches import validation_loader
from pipeline.workflow import make

def run(*arguments, **more):
    rows = {(0, row, 0): row for row in range(8)}
    # Background jobs of shells ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for _ in validation_loader(rows, batch_size=2, workers=WORKERS):
        os.killpg(0, signal.NUMBER)

make.run = run
sys.argv = ["pipeline", "train"]
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_run_says_so_in_one_line(
    tmp_path: Path, workers: int, number: str, code: int
) -> None:
    script = INTERRUPTED.replace("WORKERS", str(workers)).replace("NUMBER", number)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(CODE), "PATH": "/usr/bin:/bin", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
    )
    said = "interrupted: finished work is kept; the same command continues from there\n"
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_cannot_show_a_name_ends_no_run(tmp_path: Path, encoding: str) -> None:
    text = CONFIG.replace("label}", "label, classes: [シャツ, T–Shirt]}")
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    done = pipeline(tmp_path, "config", "--config", "tiny.yaml", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "???" in done.stdout


@pytest.mark.parametrize(
    ("stage", "given", "said"),
    [
        ("ensemble", {"MEMBER": "linear"}, "make ensemble takes no MEMBER= (given: linear)"),
        ("features", {"MEMBER": "linear"}, 'SET="members.NAME=null"'),
        ("check", {"FOLD": "0"}, "make train FOLD=0"),
        ("train", {"BUDGET": "1h"}, "plan, ensemble, report do"),
        ("train", {"NOTE": "x"}, "make ledger RUN=last"),
    ],
)
def test_a_variable_that_a_target_ignores_is_refused(stage, given, said) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        refuse_ignored(stage, COMMANDS, given | {"MAKELEVEL": "1"})
    refuse_ignored(stage, COMMANDS, given)  # not from make: a variable of the user's own
    refuse_ignored(stage, COMMANDS, dict.fromkeys(given, " ") | {"MAKELEVEL": "1"})


def test_targets_that_take_a_variable_are_commands_that_are_given_it() -> None:
    """In the Makefile, by its own name or by a shorthand."""
    shorthands = {"MEMBER": "PART|MEMBER", "FOLD": "PART", "BUDGET": "TIME", "RUN": "AGAIN"}
    shorthands |= {"NOTE": "NOTED"}
    makefile = (CODE / "Makefile").read_text()
    for name, (targets, _) in TAKEN_BY.items():
        for stage in targets:
            refuse_ignored(stage, COMMANDS, {name: "x", "MAKELEVEL": "1"})
            line = re.search(rf"\$\(STAGE\) {stage} (.*)", makefile)[1]
            assert re.search(rf"\$\(?({shorthands.get(name, name)})\b", line), f"{stage} {name}"
            assert stage in COMMANDS


def test_a_full_disk_is_named_with_what_is_free(tmp_path: Path) -> None:
    path = tmp_path / "models" / "not yet there" / "last.pt"
    said = _disk_error(OSError(errno.ENOSPC, "No space left on device", str(path)))
    assert said.startswith(f"{path}: No space left on device. ")
    assert re.search(rf"\. [\d,]+\.\d MiB are free in {tmp_path}\. Make room there", said)
    assert _disk_error(OSError(errno.ENOSPC, "No space left on device", bytes(path))) == said
    said = _disk_error(OSError(errno.EACCES, "Permission denied", str(path)))
    assert said.startswith(f"{path}: Permission denied. Allow reading and writing there")


@pytest.mark.slow
def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    done = pipeline(tmp_path, "trian")
    assert done.returncode == 2
    assert "trian" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_ctrl_c_while_libraries_are_imported_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "typer").mkdir()
    early = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "typer" / "__init__.py").write_text(early, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "folds"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        preexec_fn=let_signals_end,
    )
    assert done.returncode != 0
    said = "interrupted: finished work is kept; the same command continues from there"
    assert done.stderr.strip() == said
