"""Run benchmarks and keep what they print in tests/bench/RESULTS.md, a section for each.

    make bench                    features
    make bench BENCH=learners     tests/bench/learners.py
    make bench BENCH=all          each of NAMES whose script is there

A script prints a Markdown table or text to stdout, and its progress to stderr.
"""

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from pipeline.core.runtime import num_threads

NAMES = ("features", "train", "infer", "learners", "rows", "cluster")
HERE = Path(__file__).parent
TABLE = HERE / "RESULTS.md"
HEAD = "# Speed\n\nEach section is one run of `make bench`; figures of two sections do not compare."
PACKAGES = ("torch", "timm", "openvino", "scikit-learn")
UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # of a processor; what fast code asks for


def main(wanted: str) -> None:
    """Run benchmarks and write their sections."""
    there = [name for name in NAMES if (HERE / f"{name}.py").exists()]
    names = there if wanted == "all" else [wanted]
    if unknown := {*names} - {*there}:
        sys.exit(f"BENCH: no {sorted(unknown)}; there are {there} and all")
    for name in names:
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            [sys.executable, HERE / f"{name}.py"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        if done.returncode:
            sys.exit(done.returncode)
        print(done.stdout)
        _write_section(name, f"`make bench BENCH={name}` on {_machine()}.\n\n{done.stdout.strip()}")


def _write_section(name: str, text: str) -> None:
    """Put a section in the place of the one of the same name."""
    before = TABLE.read_text(encoding="utf-8") if TABLE.exists() else HEAD
    head, *sections = re.split(r"^## ", before, flags=re.MULTILINE)
    kept = [section for section in sections if section.split("\n", 1)[0] != name]
    sections = sorted([*kept, f"{name}\n\n{text}"])
    parts = [head, *(f"## {section}" for section in sections)]
    TABLE.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def _machine() -> str:
    """Return processor, cores and versions."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    units = [unit for unit in UNITS if re.search(rf"\b{unit}\b", text)]
    versions = [f"{name} {metadata.version(name)}" for name in PACKAGES if _is_installed(name)]
    processor = model[1] if model else platform.machine()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    at = commit.stdout.strip()
    return ", ".join([f"{num_threads()} cores of {processor}", *units, *versions, f"commit {at}"])


def _is_installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "features")
