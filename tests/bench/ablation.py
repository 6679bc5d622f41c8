"""Tricks on and off: what each does to the out-of-fold score of one small network.

    PYTHONPATH=. python tests/bench/ablation.py RESULTS.csv clothing [--seeds 0,1,2] [--only ...]
    PYTHONPATH=. python tests/bench/ablation.py RESULTS.csv --table

Each seed has a fold of its own, and every variant sees the same rows of it in the same order: a
difference is of pairs. Rows go to RESULTS.csv as they come, and what is there is not run again.
What was run is in ablation.csv beside this file; ABLATION.md says what it shows.
"""

import argparse
import csv
import logging
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.backbones.device import Hardware
from pipeline.config.load import load_config
from pipeline.config.members import Network
from pipeline.config.schema import Runtime
from pipeline.core.log_lines import start_logging
from pipeline.core.runtime import num_threads, stream, tune_allocator
from pipeline.core.task import Task
from pipeline.estimates.calibration import fit_calibration
from pipeline.images.cache import ImageCache
from pipeline.learners.linear_probe import fit_linear_probe
from pipeline.metrics.find_metric import get_metric
from pipeline.networks.inference import predict_views
from pipeline.networks.network import load_network
from pipeline.networks.training_data import TrainingData
from pipeline.networks.training_run import TrainingRun
from pipeline.project import Project, open_project
from pipeline.workflow.jobs import pending
from pipeline.workflow.local import LocalExecutor
from pipeline.workflow.plan import Plan

BASE = {"network": "lite0", "image_size": 128, "epochs": 5, "augment": "light"}
VARIANTS = {
    "default": {},
    "no mixup": {"mixup": 0},
    "no label smoothing": {"label_smoothing": 0},
    "augment: medium": {"augment": "medium"},
    "lr 1e-3": {"lr": 1e-3},
    "no EMA": {"ema_decay": 0},
    "no mixup, no label smoothing": {"mixup": 0, "label_smoothing": 0},
    "backbone_lr: 1": {"backbone_lr": 1.0},
    "backbone_lr: 0.1": {"backbone_lr": 0.1},
    "batch_norm: freeze": {"batch_norm": "freeze"},
    "cutmix instead of mixup": {"mixup": 0, "cutmix": 1.0},
    "augment: none": {"augment": "none"},
    "augment: heavy": {"augment": "heavy"},
    "dropout: 0": {"dropout": 0},
    "init: kaiming, bias: zero": {"init": "kaiming", "bias": "zero"},
    "schedule: constant": {"schedule": "constant"},
    "layer_decay: 0.8": {"layer_decay": 0.8},
    "layer_decay: 0.9": {"layer_decay": 0.9},
    "sgd, lr 0.1": {"optimizer": "sgd", "lr": 0.1},
    "pool: concat": {"pool": "concat"},
    "class_weights: balanced": {"class_weights": "balanced"},
    "loss: focal": {"loss": "focal"},
    "SWA of 2 epochs": {"swa_epochs": 2},
    "freeze: 3": {"freeze": 3},
    "lr 1e-2": {"lr": 1e-2},
    "batch_size: 16": {"batch_size": 16},
    "ricap instead of mixup": {"mixup": 0, "ricap": 0.3},
    "mosaic instead of mixup": {"mixup": 0, "mosaic": 1.0},
    "augment: RandAugment": {
        "augment": [{"RandomResizedCrop": {"scale": [0.5, 1.0]}}, {"RandAugment": {}}]
    },
    "adabound": {"optimizer": "adabound"},
    "schedule: one_cycle": {"schedule": "one_cycle"},
    "dropout_samples: 4": {"dropout_samples": 4},
    "head: mlp": {"head": "mlp"},
    "pool: gem": {"pool": "gem"},
    "stages: [-2]": {"stages": [-2]},
    "loss: arcface": {"loss": "arcface", "head": "cosine"},
    "loss: am_softmax": {"loss": "am_softmax", "head": "cosine"},
    "sampling: balanced": {"sampling": "balanced"},
    "drop_path: 0.1": {"drop_path": 0.1},
    "linear probe": {"init": "linear_probe"},
    "linear probe, lr 1e-3": {"init": "linear_probe", "lr": 1e-3},
    "linear probe, lr 1e-3, backbone_lr: 1": {
        **{"init": "linear_probe", "lr": 1e-3},
        "backbone_lr": 1.0,
    },
    "linear probe, batch_norm: freeze": {"init": "linear_probe", "batch_norm": "freeze"},
    "linear probe, layer_decay: 0.9": {"init": "linear_probe", "layer_decay": 0.9},
    "early_size: 0.75": {"early_size": 0.75},
    "half the epochs": {"epochs": 3},
    "twice the epochs": {"epochs": 12},
    "four times the epochs": {"epochs": 24},
}
SCORES = ("score", "log_loss", "calibrated_log_loss")


def main() -> None:
    """Run what RESULTS.csv lacks, or print its table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("competition", nargs="?")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", type=int, default=1200, help="training rows of each fold")
    parser.add_argument("--image-size", type=int, default=BASE["image_size"])
    parser.add_argument("--epochs", type=int, default=BASE["epochs"])
    parser.add_argument("--only", default="", help="variants, separated by `;`")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table(pd.read_csv(given.results)))
        return
    start_logging()
    logging.getLogger("pipeline").setLevel(logging.WARNING)
    tune_allocator()
    base = BASE | {"image_size": given.image_size, "epochs": given.epochs}
    project = prepare(given.competition, base)
    names = given.only.split(";") if given.only else list(VARIANTS)
    for seed in map(int, given.seeds.split(",")):
        for name in names:
            key = (given.competition, name, seed, given.image_size, given.epochs, given.rows)
            if key in done(given.results):
                continue
            scores = run(project, base | VARIANTS[name], seed=seed, num_rows=given.rows)
            note(given.results, key, scores)
            print(*key, *(f"{score:.4f}" for score in scores), flush=True)


def prepare(competition: str, base: dict) -> Project:
    """Folds and cached images of a shipped config, with one network for its only member."""
    config = load_config(competition)
    config = config.model_copy(update={"members": {"net": Network(**base)}})
    project = open_project(config, Path.cwd())
    LocalExecutor().execute(pending([Plan(project).folds()]))
    plan = Plan(project)
    LocalExecutor().execute(pending([plan.cache(project.cached_side("net"))]))
    return project


def run(project: Project, settings: dict, *, seed: int, num_rows: int) -> tuple[float, ...]:
    """Scores on fold `seed` after training on some rows of the others."""
    network, competition = Network(**settings), project.competition
    backbone = project.config.backbones[network.network]
    fold = seed % project.folds.num_folds
    others = np.flatnonzero(project.folds.folds != fold)
    held_out = np.flatnonzero(project.folds.folds == fold)
    rows = np.sort(stream(seed, "ablation").permutation(others)[:num_rows])
    cache = ImageCache(Plan(project).cache(project.cached_side("net")).folder)
    hardware = Hardware.of(Runtime())
    kind = competition.task.kind
    view = {"image_size": network.image_size, "cut": backbone.cut}
    data = TrainingData(
        cache=cache,
        task=project.task,
        rows=rows,
        targets=competition.targets[rows],
        weights=np.ones(len(rows)),
        fit_head=partial(probe, project, rows) if network.init == "linear_probe" else None,
        valid_rows=held_out,
        valid_targets=competition.targets[held_out],
        **view,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        TrainingRun(
            folder,
            network.model_copy(update={"seed": seed}),
            backbone,
            data,
            metric=project.metric,
            hardware=hardware,
            name=f"ablation fold {fold}",
        ).train()
        trained = load_network(
            folder, network, backbone, num_classes=len(competition.classes), task=project.task
        )
    (values,) = predict_views(trained, cache, held_out, ["original"], hardware=hardware, **view)
    targets = competition.targets[held_out]
    log_loss = get_metric("log_loss", kind)
    return (
        project.metric.score(targets, values, project.task),
        log_loss.score(targets, values, project.task),
        log_loss.score(targets, calibrated(values, targets, task=project.task), project.task),
    )


def probe(
    project: Project, rows: np.ndarray, features: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a network's first head, as a member does."""
    rows = rows[chosen]
    targets, groups = project.competition.targets[rows], project.folds.groups[rows]
    weights = np.ones(len(rows))
    return fit_linear_probe(features, targets, project.task, weights=weights, groups=groups, seed=0)


def calibrated(values: np.ndarray, targets: np.ndarray, *, task: Task) -> np.ndarray:
    """Each half of the rows at the temperature of the other half, as a blend would see them."""
    said, half = np.empty_like(values), np.arange(len(values)) % 2
    for mine in (0, 1):
        other = half != mine
        fitted = fit_calibration("temperature", values[other], targets[other], task)
        said[half == mine] = fitted(values[half == mine])
    return said


COLUMNS = ["competition", "variant", "seed", "image_size", "epochs", "rows", *SCORES]


def done(results: Path) -> set[tuple]:
    """Keys of the runs that a results file has."""
    if not results.exists():
        return set()
    return set(pd.read_csv(results)[COLUMNS[:6]].itertuples(index=False, name=None))


def note(results: Path, key: tuple, scores: tuple[float, ...]) -> None:
    """Append one run."""
    new = not results.exists()
    with open(results, "a", newline="", encoding="utf-8") as stream_:
        writer = csv.writer(stream_)
        if new:
            writer.writerow(COLUMNS)
        writer.writerow([*key, *scores])


def table(runs: pd.DataFrame) -> str:
    """Mean difference from the default over pairs of the same seed, with its standard error."""
    keys = ["competition", "image_size", "epochs", "rows", "seed"]
    lines = []
    for setting, found in runs.groupby(keys[:4]):
        default = found[found.variant == "default"].set_index("seed")
        name, size, epochs, rows = setting
        score, loss = default.score.mean(), default.log_loss.mean()
        lines += [
            f"\n{name}: lite0, {size} px, {epochs} epochs, {rows} rows; default: score "
            f"{score:.4f}, log loss {loss:.4f} ({len(default)} seeds, each with its fold)\n",
            "| variant | score, hundredths | log loss | calibrated | seeds |",
            "|---|---|---|---|---|",
        ]
        for variant in found.variant.unique():
            if variant == "default":
                continue
            pairs = (
                found[found.variant == variant]
                .set_index("seed")
                .join(default[list(SCORES)].add_suffix("_default"), how="inner")
            )
            cells = []
            for score in SCORES:
                scale, digits = (100, 2) if score == "score" else (1, 3)
                gains = (scale * (pairs[score] - pairs[f"{score}_default"])).dropna()
                cell = f"{gains.mean():+.{digits}f}" if len(gains) else ""
                if len(gains) > 1:
                    cell += f" ± {gains.std(ddof=1) / len(gains) ** 0.5:.{digits}f}"
                cells.append(cell)
            lines.append(f"| {variant} | {' | '.join(cells)} | {len(pairs)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", num_threads())))
    main()
