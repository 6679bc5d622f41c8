"""Break each law on purpose, in a copy of the code, and see its test fail.

    python tests/bench/laws.py          # or some: laws.py 3 10

Prints a Markdown table: the change that breaks the law, and the tests that failed. Ends with an
error if a change broke no test, or if a line to change is no longer there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHAIN = "tests/workflow/test_chain.py"


@dataclass(frozen=True)
class Break:
    """A change of one line that breaks a law, and where its tests are.

    Attributes:
        tests: arguments of pytest.
    """

    law: int
    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


BREAKS = (
    Break(
        1,
        "the folds stage writes a file beside train.csv",
        "stages/folds.py",
        "    table = read_folds(csv, project.competition.ids)\n",
        "    (project.competition.folder / 'folds.csv').write_text(text)\n"
        "    table = read_folds(csv, project.competition.ids)\n",
        (CHAIN, "-k", "law_1"),
    ),
    Break(
        2,
        "predictions keep the order of their file",
        "core/predictions.py",
        "        order = np.array([position[row_id] for row_id in ids.tolist()], dtype=int)\n",
        "        order = np.arange(len(ids))\n",
        ("tests/core/test_predictions.py",),
    ),
    Break(
        3,
        "members learn from the rows that they are scored on, too",
        "members/fold_data.py",
        "    rows, pseudo_labels = np.flatnonzero(~held_out), None\n",
        "    rows, pseudo_labels = np.arange(len(held_out)), None\n",
        (CHAIN, "-k", "laws_3_and_4"),
    ),
    Break(
        4,
        "fold k's student hears the teacher of another fold",
        "members/pseudo_labels.py",
        "        values = _test_values(project, pseudo.teacher, fold)\n",
        "        values = _test_values(project, pseudo.teacher, (fold + 1) % 3)\n",
        (CHAIN, "-k", "law_4 or laws_3_and_4"),
    ),
    Break(
        5,
        "test rows are seen mirrored",
        "stages/infer.py",
        "    values, view_values = predict_rows(project, member, fold, rows)\n",
        "    values, view_values = predict_rows(project, member, fold, rows)\n"
        "    values[len(held_out) :] = view_values[-1, len(held_out) :]\n",
        (CHAIN, "-k", "law_5"),
    ),
    Break(
        6,
        "files are written in place, not renamed when they are whole",
        "core/artifacts.py",
        "        yield temporary\n        if lasting:",
        "        yield path\n        return\n        if lasting:",
        ("tests/core/test_artifacts.py", CHAIN, "-k", "killed or whole or law_6"),
    ),
    Break(
        7,
        "a learner's settings are left out of its fingerprint",
        "workflow/recipes.py",
        "def settings_recipe(settings: Learner | Network) -> dict[str, Any]:\n",
        "def settings_recipe(settings: Learner | Network) -> dict[str, Any]:\n    return {}\n\n\n"
        "def _unused(settings: Learner | Network) -> dict[str, Any]:\n",
        (CHAIN, "tests/workflow/test_fingerprints.py", "-k", "law_7 or settings or changes"),
    ),
    Break(
        8,
        "all draws come from one stream",
        "core/runtime.py",
        '    text = "/".join(str(name) for name in (seed, *names))\n',
        '    _COUNT.append(0)\n    text = f"{seed}/{len(_COUNT)}"\n',
        (CHAIN, "-k", "law_8"),
    ),
    Break(
        9,
        "out-of-fold predictions are saved in reverse order, the submission is not",
        "stages/ensemble.py",
        '    saved = {"": (fitted.oof, fitted.test.mean(0))}\n',
        '    saved = {"": (fitted.oof[::-1], fitted.test.mean(0))}\n',
        (CHAIN, "-k", "law_9"),
    ),
    Break(
        10,
        "members' predictions keep the base rates of the folds that they learnt from",
        "ensembles/cross_fit.py",
        "        known = move_to_level_of(fold, oof[:, ~held_out], folds[~held_out], base_levels, "
        "task=task)\n",
        "        known = oof[:, ~held_out]\n",
        ("tests/estimates/test_noise.py", "tests/ensembles/test_base_rates.py"),
    ),
)


def main(chosen: list[int]) -> int:
    """Print the table; return the number of laws whose change no test noticed."""
    print("| law | change | tests that failed |")
    print("|---|---|---|")
    unnoticed = 0
    for one in BREAKS:
        if chosen and one.law not in chosen:
            continue
        failed = tests_that_fail(one)
        unnoticed += not failed
        names = "<br>".join(failed) or "**none**"
        print(f"| {one.law} | {one.what} (`{one.file}`) | {names} |", flush=True)
    return unnoticed


def tests_that_fail(one: Break) -> list[str]:
    """Return the tests that fail in a copy with the change, at most two."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("pipeline", "tests", "pyproject.toml", "Makefile", "README.md"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
        path = copy / "pipeline" / one.file
        text = path.read_text(encoding="utf-8")
        if text.count(one.old) != 1:
            raise SystemExit(f"{one.file}: the line of law {one.law} is no longer there: {one.old}")
        changed = text.replace(one.old, one.new)
        if "_COUNT" in one.new:
            changed = changed.replace("import os\n", "import os\n\n_COUNT: list[int] = []\n", 1)
        path.write_text(changed, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "--maxfail=2", "--tb=no", *one.tests]
        environ = os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(
            command, cwd=copy, env=environ, capture_output=True, text=True, check=False
        )
    lines = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return [line.split()[1].rpartition("/")[2] for line in lines]


if __name__ == "__main__":
    sys.exit(main([int(number) for number in sys.argv[1:]]))
