"""GPU paths against what the same GPU does on ready tensors, and against a plain loop.

    make gpu-check        the tests of GPU paths, then this; a few minutes, no files needed

Images are made here. Each figure is the median of ROUNDS, measured in turn in one run. Writes
tests/bench/GPU.md.
"""

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch.utils.data import DataLoader, Dataset

from pipeline.backbones.device import BATCH, Hardware, autocast, batches_ahead
from pipeline.backbones.extraction import extract_block
from pipeline.config.schema import Backbone, Network, Runtime
from pipeline.core.runtime import num_threads, tune_allocator
from pipeline.core.task import Task
from pipeline.images.decoding import ImageFiles
from pipeline.images.resizing import fit_square
from pipeline.metrics.find_metric import get_metric
from pipeline.networks.inference import predict_views
from pipeline.networks.network import create_network
from pipeline.networks.training_data import TrainingData
from pipeline.networks.training_run import TrainingRun

ROUNDS = 2
NUM_FILES = 256  # different photos; names beyond are links to them
FROZEN = {"tf_efficientnet_lite0": 4096, "convnext_base": 4096}
TRAINED = {"tf_efficientnet_lite0": 64, "convnext_tiny": 64}  # batch size
NUM_TRAINED = 2048
VIEWS = ["original", "mirrored"]
GIB = 2**30
TABLE = Path(__file__).with_name("GPU.md")

Row = tuple[str, str, float, float, float]  # what, network, images/s, share of the limit, GiB


def main() -> None:
    """Measure, print and write the table."""
    if not torch.cuda.is_available():
        sys.exit("gpu-check: torch sees no CUDA device.")
    tune_allocator()
    logging.getLogger("lightning").setLevel(logging.ERROR)
    hardware = Hardware.of(Runtime(device="cuda"))
    frozen = Hardware.of(Runtime(device="cuda"), trains=False)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        files = make_files(Path(name) / "photos", max(FROZEN.values()))
        for arch, count in FROZEN.items():
            rows += bench_features(arch, files[:count], frozen, Path(name))
            print_rows(rows[-4:])
        cache = [np.asarray(Image.open(path)) for path in files[:NUM_FILES]]
        cache = [np.ascontiguousarray(image[::2, ::2]) for image in cache]
        cache = [cache[row % NUM_FILES] for row in range(NUM_TRAINED)]
        for arch, batch in TRAINED.items():
            rows += bench_training(arch, cache, batch, hardware, Path(name))
            print_rows(rows[-4:])
    write_table(rows, frozen, hardware)


def make_files(folder: Path, count: int) -> list[Path]:
    """Write photos of 640 x 480 pixels as JPEG files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if number >= NUM_FILES:
            os.link(paths[number % NUM_FILES], path)
            continue
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = pixels + rng.integers(-12, 13, pixels.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def bench_features(arch: str, files: list[Path], hardware: Hardware, folder: Path) -> list[Row]:
    """Measure the features stage's work on original files, one view."""
    backbone = Backbone(arch=arch, weights="random", image_size=224)
    model = timm.create_model(arch, num_classes=0).eval().to(hardware.device)
    model = model.to(memory_format=torch.channels_last)
    images = ImageFiles(files, [str(number) for number in range(len(files))])
    runs = {
        "bare network": lambda: forward_only(model, len(files), hardware),
        "decode and resize": lambda: decode_only(images, hardware),
        "ours": lambda: extract_block(
            Path(tempfile.mkdtemp(dir=folder)),
            "block",
            how="how",
            backbone=backbone,
            images=images,
            views=["original"],
            hardware=hardware,
        ),
        "timm loop": lambda: timm_features(model, files[: len(files) // 4], hardware),
    }
    counts = {"timm loop": len(files) // 4}
    return measured("features", arch, runs, {name: counts.get(name, len(files)) for name in runs})


def bench_training(
    arch: str, cache: list[np.ndarray], batch: int, hardware: Hardware, folder: Path
) -> list[Row]:
    """Measure an epoch of training with `augment: light`, and inference with two views."""
    settings = Network(network="b", epochs=2, batch_size=batch, augment="light", image_size=224)
    backbone = Backbone(arch=arch, weights="random", image_size=224)
    targets = np.eye(4)[np.arange(len(cache)) % 4]
    data = TrainingData(
        cache=cache,
        image_size=224,
        cut="crop",
        task=Task("multiclass"),
        rows=np.arange(len(cache)),
        targets=targets,
        weights=np.ones(len(cache)),
        valid_rows=np.arange(0),
        valid_targets=targets[:0],
    )
    network = create_network(settings, backbone, num_classes=4, task=Task("multiclass"))
    network = network.eval().to(hardware.device)
    rows = measured(
        "inference, 2 views",
        arch,
        {
            "bare network": lambda: forward_only(network, 2 * len(cache), hardware, uint8=True),
            "ours": lambda: predict_views(
                network,
                cache,
                np.arange(len(cache)),
                VIEWS,
                image_size=224,
                cut="crop",
                hardware=hardware,
            ),
        },
        dict.fromkeys(("bare network", "ours"), len(cache)),
    )

    def train() -> float:
        run = TrainingRun(
            Path(tempfile.mkdtemp(dir=folder)),
            settings,
            backbone,
            data,
            metric=get_metric("accuracy", "multiclass"),
            hardware=hardware,
            name="net fold 0",
        )
        run.trainer.train_epoch(run.loaders.train, 0)  # workers start, kernels are chosen
        run.loaders.batches.epoch = 1
        _, cost = run.trainer.train_epoch(run.loaders.train, 1)
        print(f"  {arch}: waited for data {cost.wait_share:.0%} of {cost.seconds:.1f}s")
        return cost.seconds

    return rows + measured(
        "training",
        arch,
        {"bare network": lambda: train_only(arch, len(cache), batch, hardware), "ours": train},
        dict.fromkeys(("bare network", "ours"), len(cache)),
    )


def measured(
    what: str, arch: str, runs: dict[str, Callable[[], object]], counts: dict[str, int]
) -> list[Row]:
    """Run each in turn, ROUNDS times after one to warm up; "bare network" is the limit.

    A run that returns a float says itself how many seconds count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    peaks = dict.fromkeys(runs, 0.0)
    for number in range(ROUNDS + 1):
        for name, run in runs.items():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            own = run()
            torch.cuda.synchronize()
            taken = own if isinstance(own, float) else time.perf_counter() - started
            peaks[name] = max(peaks[name], torch.cuda.max_memory_allocated() / GIB)
            if number:
                seconds[name].append(taken)
    speeds = {name: counts[name] / statistics.median(seconds[name]) for name in runs}
    limit = speeds["bare network"]
    return [
        (f"{what}: {name}", arch, speed, speed / limit, peaks[name])
        for name, speed in speeds.items()
    ]


@torch.inference_mode()
def forward_only(
    model: torch.nn.Module, count: int, hardware: Hardware, *, uint8: bool = False
) -> None:
    """Run forward passes on one batch that is already there."""
    batch = BATCH["cuda"]
    images = torch.rand(batch, 3, 224, 224, device=hardware.device)
    images = (images * 255).to(torch.uint8) if uint8 else images
    images = images.contiguous(memory_format=torch.channels_last)
    for _ in range(-(-count // batch)):
        with autocast(hardware.device, hardware.precision):
            model(images)


def decode_only(images: ImageFiles, hardware: Hardware) -> None:
    """Read all files as the stage does."""
    for _ in batches_ahead(
        lambda row: fit_square(images.read(row), 224, "crop"),
        range(len(images.paths)),
        hardware.device,
    ):
        pass


class Photos(Dataset):
    """Files through timm's own transform."""

    def __init__(self, files: list[Path], transform: Callable) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.transform(Image.open(self.files[row]).convert("RGB"))


@torch.inference_mode()
def timm_features(model: torch.nn.Module, files: list[Path], hardware: Hardware) -> None:
    """Extract as a user would write it: timm's transform, a DataLoader, autocast."""
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    loader = DataLoader(
        Photos(files, transform), batch_size=256, num_workers=num_threads(), pin_memory=True
    )
    features = []
    for images in loader:
        with autocast(hardware.device, hardware.precision):
            features.append(model(images.to(hardware.device)).float().cpu())
    torch.cat(features)


def train_only(arch: str, count: int, batch: int, hardware: Hardware) -> float:
    """Take training steps on one batch that is already there."""
    model = timm.create_model(arch, num_classes=4).to(hardware.device).train()
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    images = torch.rand(batch, 3, 224, 224, device=hardware.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=hardware.device) % 4
    for step in range(10 + count // batch):
        if step == 10:
            torch.cuda.synchronize()
            started = time.perf_counter()
        with autocast(hardware.device, hardware.precision):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def print_rows(rows: list[Row]) -> None:
    """Print lines of the table."""
    print(*_lines(rows), sep="\n", flush=True)


def _lines(rows: list[Row]) -> Iterator[str]:
    for what, arch, speed, share, peak in rows:
        yield f"| {what} | {arch} | {speed:,.0f} | {share:.2f} | {peak:.1f} |"


def write_table(rows: list[Row], frozen: Hardware, hardware: Hardware) -> None:
    """Write the table, with the machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    lines = [
        "# GPU paths",
        "",
        f"`make gpu-check` at {commit.stdout.strip() or 'an unknown commit'} on one "
        f"{torch.cuda.get_device_name()} with {num_threads()} CPU threads, torch "
        f"{torch.__version__}; precision {frozen.precision} for features, {hardware.precision} "
        f"for the rest; median of {ROUNDS} runs.",
        "",
        "| what | network | images/s | share of the bare network | peak GiB |",
        "|---|---|---|---|---|",
        *_lines(rows),
        "",
    ]
    TABLE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
