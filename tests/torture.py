"""Random faults on a small competition: each run must end with the bytes of an undisturbed one.

    make torture N=100        # 100 kills, 20 pairs of processes, 50 damaged files; a Markdown table
    OVERRIDES=runtime.jobs=2 make torture       # each run does two jobs at once

Kills: a process group gets SIGKILL, SIGTERM, SIGINT or SIGHUP at a random moment, then the same
command runs again, and may be killed again. Pairs: two processes with the same or with different
settings at once. Damage: a random file of a finished run is flipped in one bit, cut short, emptied,
deleted, or replaced by its namesake of another competition. A run that stops must do so with one
message and exit code 2, without a traceback; the next run must end with the same bytes.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from tiny_project import CONFIG, NETWORK, start_run, submission, write_competition

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MEMBERS = CONFIG["members"] | {
    "net": NETWORK | {"epochs": 2},
    "student": {"extends": "linear", "pseudo": {"teacher": "soft_vote", "threshold": 0.4}},
}
SETTINGS = {  # by config; the second shares blocks and folds with the first
    "one": CONFIG | {"members": MEMBERS, "runtime": {"device": "cpu", "workers": 2}},
    "two": CONFIG | {"members": MEMBERS | {"net": NETWORK | {"epochs": 1}}},
}
HUNG_SECONDS = 300
PYTHON_STARTS = 0.2  # seconds; before, Ctrl-C is Python's own to answer
# Written by a person, or of one run and read by nobody: no recipe makes them anew.
NO_ARTIFACT = ("events.out", "job.log", ".timing.json", "ledger.jsonl", ".lock", "metrics.csv")


class Failure(AssertionError):
    """A run ended otherwise than it must."""


@dataclass
class Tally:
    """What was tried, and how often each outcome came."""

    outcomes: Counter = field(default_factory=Counter)

    def add(self, fault: str, outcome: str) -> None:
        self.outcomes[fault, outcome] += 1
        print(f"{self.outcomes.total()} {fault}: {outcome}", file=sys.stderr, flush=True)

    def table(self) -> str:
        lines = ["| fault | outcome | times |", "|---|---|---|"]
        found = sorted(self.outcomes.items())
        return "\n".join([*lines, *(f"| {a} | {b} | {count} |" for (a, b), count in found)])


def prepare(root: Path) -> Path:
    """Write a competition and two configs."""
    write_competition(root)
    for name, settings in SETTINGS.items():
        (root / f"{name}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return root


def start(root: Path, config: str) -> subprocess.Popen:
    """Start a whole run, the report included, in a process group of its own."""
    overrides = os.environ.get("OVERRIDES", "").split()
    return start_run(root, "report", f"{config}.yaml", *overrides)


def end(process: subprocess.Popen, *, may_stop: bool = False) -> str:
    """Wait for a run that nobody disturbs; return what it wrote to stderr.

    Args:
        may_stop: whether it may also stop, with exit code 2 and one message.
    """
    try:
        messages = process.communicate(timeout=HUNG_SECONDS)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise Failure(f"still running after {HUNG_SECONDS} s: {process.communicate()[1]}") from None
    if "Traceback" in messages or process.returncode not in ((0, 2) if may_stop else (0,)):
        raise Failure(f"exit code {process.returncode}: {messages}")
    return messages


def content(root: Path) -> dict[str, bytes]:
    """Return what a run is judged by: folds, predictions, and the submission."""
    paths = [submission(root), submission(root).with_suffix(".npz")]
    paths += sorted(root.glob("features/tiny/folds.csv"))
    paths += sorted(root.glob("models/tiny/*/*.npz"))
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def check(root: Path, expected: dict[str, bytes], fault: str) -> None:
    """Compare a finished run with the undisturbed one; nothing half-written may be left."""
    found = content(root)
    if found != expected:
        names = sorted(set(found) ^ set(expected)) or [n for n in found if found[n] != expected[n]]
        raise Failure(f"after {fault}: other bytes in {names}")


def undisturbed(folder: Path, config: str) -> tuple[dict[str, bytes], float, Path]:
    """Return what a run ends with when nothing happens to it, its seconds, and its folder."""
    root = prepare(folder / f"undisturbed_{config}")
    started = time.monotonic()
    end(start(root, config))
    return content(root), time.monotonic() - started, root


def kill_runs(folder: Path, times: int, *, rng: random.Random, tally: Tally) -> None:
    """Kill runs of one competition at random moments until `times` were killed."""
    expected, seconds, _ = undisturbed(folder, "one")
    killed = 0
    while killed < times:
        root = prepare(Path(tempfile.mkdtemp(dir=folder)))
        for _ in range(rng.randint(1, 4)):
            process, chosen = start(root, "one"), rng.choice(SIGNALS)
            wait = rng.uniform(PYTHON_STARTS, seconds)
            try:
                messages = process.communicate(timeout=wait)[1]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, chosen)
                messages = process.communicate(timeout=HUNG_SECONDS)[1]
                if process.returncode == 0:  # the signal came too late
                    continue
                killed += 1
                fault = chosen.name
                if "Traceback" in messages:
                    raise Failure(f"{fault} after {wait:.2f} s: {messages}") from None
                tally.add(fault, "the next run has the same bytes")
        end(start(root, "one"))
        check(root, expected, "kills")
        shutil.rmtree(root)


def run_pairs(folder: Path, times: int, *, rng: random.Random, tally: Tally) -> None:
    """Run two processes at once, of one config or of two, one of them sometimes killed."""
    expected = {name: undisturbed(folder / name, name)[0] for name in SETTINGS}
    for _ in range(times):
        root = prepare(Path(tempfile.mkdtemp(dir=folder)))
        names = rng.choice([("one", "one"), ("one", "two")])
        processes = [start(root, name) for name in names]
        fault = "two processes, " + ("one config" if names[0] == names[1] else "two configs")
        if rng.random() < 0.5:
            time.sleep(rng.uniform(1, 10))
            os.killpg(processes[0].pid, signal.SIGKILL)
            processes.pop(0).communicate()
            fault += ", one killed"
        for process in processes:
            end(process)
        for name in sorted(set(names)):
            end(start(root, name))
            check(root, expected[name], fault)
        tally.add(fault, "the same bytes")
        shutil.rmtree(root)


def damage_files(folder: Path, times: int, *, rng: random.Random, tally: Tally) -> None:
    """Damage files of a finished run, one at a time, and run again."""
    expected, _, root = undisturbed(folder, "one")
    _, _, foreign = undisturbed(folder, "two")
    for _ in range(times):
        artifacts = [path for path in files(root) if not str(path).endswith(NO_ARTIFACT)]
        path = rng.choice([path for path in artifacts if NO_ARTIFACT[0] not in path.name])
        fault = damage(path, foreign / path.relative_to(root), rng)
        described = f"{path.relative_to(root)}: {fault}"
        stopped = "error:" in end(start(root, "one"), may_stop=True)
        if stopped:
            end(start(root, "one"))
        check(root, expected, described)
        tally.add(f"a file {fault}", "made anew, the same bytes")


def files(root: Path) -> list[Path]:
    """Return the files that a run left, in an order that no file system decides."""
    folders = (root / name for name in ("features", "models", "submissions"))
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def damage(path: Path, foreign: Path, rng: random.Random) -> str:
    """Damage a file in one of five ways; return which."""
    content = bytearray(path.read_bytes())
    ways = ["deleted", "emptied"]
    ways += ["with a flipped bit", "cut short"] if content else []
    ways += ["of another competition"] if foreign.exists() else []
    way = rng.choice(ways)
    if way == "deleted":
        path.unlink()
    elif way == "of another competition":
        shutil.copy(foreign, path)
    else:
        if way == "with a flipped bit":
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(
            content
            if way == "with a flipped bit"
            else content[: rng.randrange(len(content)) if way == "cut short" else 0]
        )
    return way


def torture(folder: Path, *, kills: int, pairs: int, damages: int, seed: int) -> Tally:
    """Try all kinds of faults.

    Raises:
        Failure: at the first run that ends otherwise than it must.
    """
    tally = Tally()
    kinds = {"kills": (kill_runs, kills), "pairs": (run_pairs, pairs)}
    kinds["damage"] = damage_files, damages
    for name, (function, times) in kinds.items():
        if times:
            function(folder / name, times, rng=random.Random(f"{name} {seed}"), tally=tally)
    return tally


def main() -> None:
    """Print the table of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--damages", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = torture(
            Path(folder),
            kills=options.kills,
            pairs=options.kills // 5 if options.pairs is None else options.pairs,
            damages=options.kills // 2 if options.damages is None else options.damages,
            seed=options.seed,
        )
    print(tally.table())


if __name__ == "__main__":
    main()
