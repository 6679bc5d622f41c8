"""Time and peak memory as rows grow: learners on features on disk, blends, estimate and report.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/rows.py               # 10,000, 100,000 rows
    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/rows.py 1000000       # as many
    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/bench/rows.py 1000000 3840  # of so many dimensions

Blocks of three classes are generated as float16 in a temporary folder (ROWS_FOLDER= names another
place for them). Each step runs in a process of its own, whose peak is what the system counts.
Prints a Markdown section; a growth of 10 is linear. STEPS="logistic,report" chooses steps.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.load import load_config
from pipeline.config.schema import Learner
from pipeline.core.artifacts import write_json
from pipeline.core.folds import FoldTable
from pipeline.core.runtime import tune_allocator
from pipeline.core.task import Task
from pipeline.learners.fit import fit_learner, keeps_halves
from pipeline.learners.half_rows import BlockRows, parts_of
from pipeline.project import Project, open_project
from pipeline.stages.ensemble import blend_members
from pipeline.stages.infer import adopt_external
from pipeline.stages.report import make_report

NUMBERS, DIMS, CLASSES = (10_000, 100_000), 384, ("cat", "dog", "owl")
STEPS = ("logistic", "lightgbm", "blends and estimate", "report")
SETTINGS = {"logistic": {"strength": 1.0}, "lightgbm": {"params": {"num_iterations": 50}}}
MEMBERS = ("first", "second", "third")
TEST_SHARE = 5  # one test row for as many training rows
CONFIG = """competition: many
task: {kind: multiclass, target: label, metric: log_loss}
data: {train_images: "{picture}.png", test_images: "{picture}.png"}
backbones: {}
members: {first: {external: first}, second: {external: second}, third: {external: third}}
"""


def main() -> None:
    """Measure every step for every number of rows, and print the table."""
    given = [int(text) for text in sys.argv[1:]]
    numbers, dims = (given[:1] or NUMBERS), (given[1] if len(given) > 1 else DIMS)
    print(f"## Rows\n\nFeatures of {dims} dimensions in float16, one thread\n")
    print("| step | rows | seconds | CPU seconds | growth | peak memory |")
    print("|---|---|---|---|---|---|")
    for step in os.environ.get("STEPS", ",".join(STEPS)).split(","):
        last = None
        for num_rows in numbers:
            with tempfile.TemporaryDirectory(dir=os.environ.get("ROWS_FOLDER")) as folder:
                wall, cpu, peak = measured(step, num_rows, dims, Path(folder))
            growth = "" if last is None else f"{cpu / last:.1f}"
            print(f"| {step} | {num_rows:,} | {wall:.1f} | {cpu:.1f} | {growth} | {peak:.1f} GiB |")
            sys.stdout.flush()
            last = cpu


def measured(step: str, num_rows: int, dims: int, folder: Path) -> tuple[float, float, float]:
    """Run a step in a process of its own; return seconds, CPU seconds, GiB."""
    if step in SETTINGS:
        write_block(folder / "features.npy", num_rows, dims)
    else:
        write_competition(folder, num_rows)
    command = [sys.executable, __file__, "--child", step, str(num_rows), str(folder)]
    if step == "report":  # of what the ensemble wrote
        before = [*command[:3], STEPS[2], *command[4:]]
        subprocess.run(before, check=True, stdout=subprocess.DEVNULL)
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    wall, cpu, peak = map(float, found.splitlines()[-1].split())
    return wall, cpu, peak


def child(step: str, num_rows: int, folder: Path) -> None:
    """Do a step, and print what it took; imports and opening files are part of the peak only."""
    tune_allocator()
    work = learner_work if step in SETTINGS else stage_work
    do = work(step, num_rows, folder)
    started, cpu = time.monotonic(), time.process_time()
    do()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(time.monotonic() - started, time.process_time() - cpu, usage.ru_maxrss / 2**20)


def learner_work(step: str, num_rows: int, folder: Path):
    """Return the fit of a learner to all rows, and its predictions for them."""
    block = np.load(folder / "features.npy", mmap_mode="r")
    targets = np.eye(len(CLASSES))[np.load(folder / "labels.npy")]
    settings = Learner(learner=step, blocks={"features": 1.0}, **SETTINGS[step])

    def fit_and_predict() -> None:
        whole = BlockRows(block, np.arange(num_rows))
        rows = whole if keeps_halves(settings, {"features": whole}) else np.asarray(whole)
        fitted = fit_learner(settings, {"features": rows}, targets, Task("multiclass"), seed=0)
        parts = parts_of(num_rows, block.shape[2])
        values = np.concatenate(
            [fitted.predict({"features": np.asarray(whole[part])}) for part in parts]
        )
        accuracy = np.mean(values.argmax(axis=1) == targets.argmax(axis=1))
        assert accuracy > 0.6, accuracy

    return fit_and_predict


def stage_work(step: str, num_rows: int, folder: Path):
    """Return the stage that blends, or that writes the page."""
    project = project_of(folder, num_rows)
    submissions = project.workspace.submissions
    if step == "report":
        nothing = {"contradicting": [], "train_test_twins": [], "duplicates": [], "findings": []}
        write_json(project.workspace.audit_json, nothing)
        return lambda: make_report(submissions / "report", "report", project=project)
    for name in MEMBERS:
        adopt_external(project.workspace.member(name), name, project=project, member=name)
    return lambda: blend_members(submissions, "ensemble", project=project, blocks={})


def project_of(folder: Path, num_rows: int) -> Project:
    """Open the generated competition; folds are drawn here."""
    (folder / "many.yaml").write_text(CONFIG)
    opened = open_project(load_config(str(folder / "many.yaml"), []), folder)
    folds = np.random.default_rng(3).permutation(num_rows) % 5
    table = FoldTable(folds[None], opened.competition.ids, ("drawn",))
    return Project(opened.config, opened.workspace, opened.competition, opened.index, table)


def write_block(path: Path, num_rows: int, dims: int) -> None:
    """Write (N, 1, D) features as float16, a part at a time, and labels that they tell partly."""
    rng = np.random.default_rng(0)
    labels = rng.integers(len(CLASSES), size=num_rows)
    means = 0.1 * rng.normal(size=(len(CLASSES), 16)).astype(np.float32)
    mix = rng.normal(size=(64, dims)).astype(np.float32) / 8
    shape = (num_rows, 1, dims)
    block = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    for part in parts_of(num_rows, dims):
        hidden = rng.normal(size=(len(labels[part]), 64)).astype(np.float32)
        hidden[:, :16] += 8 * means[labels[part]]
        block[part, 0] = np.exp(0.5 * hidden @ mix)
    block.flush()
    np.save(path.with_name("labels.npy"), labels)


def write_competition(folder: Path, num_rows: int) -> None:
    """Write CSVs that share one image, and three members' predictions made elsewhere."""
    rng = np.random.default_rng(0)
    place = folder / "input" / "many"
    place.mkdir(parents=True)
    Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(place / "one.png")
    labels = rng.integers(len(CLASSES), size=num_rows)
    folds = np.random.default_rng(3).permutation(num_rows) % 5
    num_test = num_rows // TEST_SHARE
    rows = (f"{i},one,{CLASSES[k]}" for i, k in enumerate(labels))
    _write(place / "train.csv", "id,picture,label", rows)
    _write(place / "test.csv", "id,picture", (f"t{i},one" for i in range(num_test)))
    _write(place / "sample_submission.csv", "id,label", (f"t{i},cat" for i in range(num_test)))
    truth = np.eye(len(CLASSES))[labels]
    for name in MEMBERS:
        (folder / name).mkdir()
        header = f"id,{','.join(CLASSES)}"
        oof = probs(1.5 * truth + rng.gumbel(size=truth.shape))
        rows = (f"{i},{a:.5f},{b:.5f},{c:.5f},{folds[i]}" for i, (a, b, c) in enumerate(oof))
        _write(folder / name / "oof.csv", f"{header},fold", rows)
        test = probs(rng.gumbel(size=(num_test, len(CLASSES))))
        rows = (f"t{i},{a:.5f},{b:.5f},{c:.5f}" for i, (a, b, c) in enumerate(test))
        _write(folder / name / "test.csv", header, rows)


def probs(scores: np.ndarray) -> np.ndarray:
    """(N, C) softmax."""
    odds = np.exp(scores)
    return odds / odds.sum(axis=1, keepdims=True)


def _write(path: Path, header: str, lines) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(header + "\n")
        stream.writelines(line + "\n" for line in lines)


if __name__ == "__main__":
    if "--child" in sys.argv:
        child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
