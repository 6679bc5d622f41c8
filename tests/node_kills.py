"""Machines of a Ray cluster that die: each run must end with the bytes of one on this machine.

    python tests/node_kills.py 20        # machines killed at random moments; a Markdown table

Machines are Ray's nodes, as processes here: a head that does no jobs, and two that do one each. One
of the two is killed at a random moment, in the middle of whatever is being written, and another one
takes its place some seconds later.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tiny_project import CODE
from torture import HUNG_SECONDS, Failure, Tally, check, prepare, undisturbed

NUM_MACHINES = 2


def kill_machines(folder: Path, times: int, *, rng: random.Random, tally: Tally) -> None:
    """Kill machines during runs of one competition until `times` were killed.

    Raises:
        Failure: at the first run that ends otherwise than it must.
    """
    from ray.cluster_utils import Cluster

    expected, seconds, _ = undisturbed(folder, "one")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(NUM_MACHINES):
            cluster.add_node(num_cpus=1)
        killed = 0
        while killed < times:
            root = prepare(Path(tempfile.mkdtemp(dir=folder)))
            killed += _run_with_kills(root, cluster, seconds, rng=rng, tally=tally)
            check(root, expected, "kills of machines")
            shutil.rmtree(root)
    finally:
        cluster.shutdown()


def _run_with_kills(
    root: Path, cluster, seconds: float, *, rng: random.Random, tally: Tally
) -> int:
    """Run to the end, with machines killed on the way; return how many.

    Args:
        seconds: of a run that nothing disturbs, without Ray.
    """
    lines, killed, hung = root / "lines.txt", 0, time.monotonic() + 2 * HUNG_SECONDS
    with open(lines, "w", encoding="utf-8") as stream:
        run = _start(root, cluster.address, stream)
        while True:
            try:
                run.wait(timeout=rng.uniform(0.1, 1.5) * seconds)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > hung:
                    run.kill()
                    raise Failure(f"it hangs: {lines.read_text(encoding='utf-8')}") from None
            cluster.remove_node(rng.choice([*cluster.worker_nodes]), allow_graceful=False)
            killed += 1
            tally.add(f"a machine dies, {_last_job(lines)}", "the run ends with the same bytes")
            time.sleep(rng.uniform(0, 5))
            cluster.add_node(num_cpus=1)
    said = lines.read_text(encoding="utf-8")
    if run.returncode or "Traceback" in said:
        raise Failure(f"exit code {run.returncode}: {said}")
    return killed


def _start(root: Path, address: str, lines) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipeline", "report", "--config", "one.yaml"]
    variables = {"PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "RAY_ADDRESS": address}
    return subprocess.Popen(
        [*command, "runtime.executor=ray"],
        cwd=root,
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=lines,
    )


def _last_job(lines: Path) -> str:
    """Return the stage of the job that was begun last."""
    found = re.findall(r"^\[\d+/\d+\] (\w+)", lines.read_text(encoding="utf-8"), re.MULTILINE)
    return f"last job begun: {found[-1]}" if found else "before the first job"


def main() -> None:
    """Print the table of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("times", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        rng = random.Random(options.seed)
        kill_machines(Path(folder), options.times, rng=rng, tally=tally)
    print(tally.table())


if __name__ == "__main__":
    main()
