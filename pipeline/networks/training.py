"""Training: one network on one fold, stopped at any moment and continued to the same bytes.

Reads the image cache. Writes into the member's folder of this fold: `last.pt` (to continue from),
`weights.safetensors` (what inference uses), `log.csv`, `tensorboard/` and `snapshot.json`.
"""

import csv
import io
import logging
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from pipeline.config.schema import Backbone, Network
from pipeline.core.artifacts import is_as_written, replacing_checked, write_json, write_text
from pipeline.core.runtime import stream_seed
from pipeline.metrics.named import Metric
from pipeline.networks.checks.cost import Cost, peak_memory_gib
from pipeline.networks.network import WEIGHTS, save_weights, weights_of
from pipeline.networks.parameter_groups import describe_groups
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import Lesson, Loaders, create_loaders

log = logging.getLogger(__name__)

CHECKPOINT = "last.pt"
FILES = (WEIGHTS, "log.csv", "snapshot.json")  # what a finished training leaves
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}  # the config's, Fabric's
LIBRARIES = ("torch", "timm", "lightning", "albumentations", "numpy")


def train_fold(
    folder: Path,
    settings: Network,
    backbone: Backbone,
    lesson: Lesson,
    *,
    metric: Metric,
    device: str,
    precision: str,
    workers: int,
    seed: int,
    name: str,
) -> dict[str, Any]:
    """Train on some rows of the cache, score each epoch on others.

    `weights.safetensors` holds the averaged weights of the last epoch; with `patience` and a
    lesson's inner rows those of the epoch that scores best on these, which are neither trained on
    nor held out. The held-out rows decide nothing, or their score would be optimistic (law 3).

    Args:
        device: cpu, cuda or mps. precision: 32, bf16, 16, or a name of Fabric's.
        name: "net fold 2", for the log, and to keep its random draws apart from others'.
    Returns:
        metric, score and val_loss of the weights that inference uses (`epoch_used`), and `epochs`
        run; where inner rows decided, their inner_score and inner_loss.
    Raises:
        UserError: settings that do not fit.
        JobFailed: a loss that is no longer finite.
    """
    if settings.plain:
        settings, workers = without_noise(settings), 0
    run_seed = stream_seed(seed, name)
    loaders = create_loaders(lesson, settings, workers=workers, seed=run_seed)
    checkpoint = _read_checkpoint(folder / CHECKPOINT, metric)
    trainer = Trainer(
        create_fabric(device, precision),
        settings,
        backbone,
        lesson,
        folder=folder,
        name=name,
        seed=run_seed,
        checkpoint=checkpoint,
    )
    groups = describe_groups(trainer.optimizer.param_groups, trainer.network, settings)
    log.info("train %s learns %s", name, "; ".join(groups))
    decides = bool(settings.patience and len(lesson.inner_rows))
    if decides:
        _say_who_decides(name, lesson, metric)
    history = checkpoint["history"] if checkpoint else []
    best = checkpoint["best"] if checkpoint else None  # weights of the best epoch by inner rows
    seconds: list[float] = []  # of each epoch since this run began
    with _events(folder) as events:
        while len(history) < settings.epochs and not _out_of_patience(history, settings, metric):
            epoch, started = len(history), time.monotonic()
            loaders.batches.epoch = epoch
            trained, cost = trainer.train_epoch(loaders.train, epoch)
            scores = _validate(trainer, loaders, lesson, metric, decides=decides)
            history.append({"epoch": epoch + 1, **trained, **scores})
            # In this order, a kill between two writes repeats the epoch and writes the same again.
            if decides and _best(history, metric) == epoch:
                best = weights_of(trainer.final)
            write_text(folder / "log.csv", _table(history))
            state = {"history": history, "best": best, "metric": metric.name}
            _save_checkpoint(folder / CHECKPOINT, trainer.state() | state)
            memory = peak_memory_gib(trainer.fabric.device)
            seconds.append(time.monotonic() - started)
            _report(events, history[-1], settings, name, seconds, cost, memory)
    write_text(folder / "log.csv", _table(history))  # where a finished run lost it
    weights = weights_of(trainer.final) if best is None else best
    save_weights(weights, folder / WEIGHTS)
    return _describe(folder, trainer, history, settings, backbone, metric=metric, seed=seed)


def _say_who_decides(name: str, lesson: Lesson, metric: Metric) -> None:
    count = len(lesson.inner_rows)
    log.info("train %s stops by %d of its rows, which it does not train on", name, count)
    if np.isnan(metric.score(lesson.inner_targets, lesson.inner_targets, lesson.task)):
        text = "train %s: %s is undefined on the %d rows that decide when to stop; their loss does"
        log.warning(text, name, metric.name, count)


def _validate(
    trainer: Trainer, loaders: Loaders, lesson: Lesson, metric: Metric, *, decides: bool
) -> dict[str, float | None]:
    """Loss and score on the rows held out, None where there are none; and on those that decide."""
    found: dict[str, float | None] = {"val_loss": None, "val_score": None}
    if len(lesson.valid_rows):
        loss, values = trainer.validate(loaders.valid, lesson.valid_targets)
        score = metric.score(lesson.valid_targets, values, lesson.task)
        found = {"val_loss": loss, "val_score": score}
    if decides:
        loss, values = trainer.validate(loaders.inner, lesson.inner_targets)
        score = metric.score(lesson.inner_targets, values, lesson.task)
        found |= {"inner_loss": loss, "inner_score": score}
    return found


def create_fabric(device: str, precision: str) -> Fabric:
    """Where and how exactly a network runs, by the config's names or Fabric's."""
    return Fabric(accelerator=device, devices=1, precision=PRECISIONS.get(precision, precision))


def without_noise(settings: Network) -> Network:
    """The same without what makes a bug hard to see."""
    off = {"augment": "none", "mix_probability": 0.0, "dropout": 0.0, "drop_path": 0.0}
    return settings.model_copy(update=off)


def _best(history: list[dict], metric: Metric) -> int:
    """Index of the epoch that no other beats on inner rows; the last where there are none.

    These are few, so that scores are often equal, or undefined: then the lower loss is better.
    """
    if not history or "inner_score" not in history[-1]:
        return len(history) - 1
    best = 0
    for place, entry in enumerate(history):
        score, best_score = entry["inner_score"], history[best]["inner_score"]
        lower = entry["inner_loss"] < history[best]["inner_loss"]
        if metric.is_better(score, best_score) or (
            lower and not metric.is_better(best_score, score)
        ):
            best = place
    return best


def _out_of_patience(history: list[dict], settings: Network, metric: Metric) -> bool:
    return 0 < settings.patience <= len(history) - 1 - _best(history, metric)


def _read_checkpoint(path: Path, metric: Metric) -> dict[str, Any] | None:
    """Where an interrupted training stopped; None where there is nothing to go on from."""
    if not path.exists():
        return None
    if not is_as_written(path):
        log.warning("%s was changed since it was written: training begins anew", path)
        return None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0]
        log.warning("%s is not readable (%s): training begins anew", path, reason)
        return None
    if checkpoint["metric"] != metric.name:  # changed on the way; it decides nothing here
        checkpoint["history"] = [entry | {"val_score": None} for entry in checkpoint["history"]]
    return checkpoint


def _save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    with replacing_checked(path) as temporary:
        torch.save(state, temporary)


def _table(history: list[dict]) -> str:
    """CSV, a line per epoch; no times, so that a resumed run writes the same bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


@contextmanager
def _events(folder: Path) -> Iterator[SummaryWriter]:
    writer = SummaryWriter(folder / "tensorboard" / time.strftime("%Y%m%d-%H%M%S"))
    try:
        yield writer
    finally:
        writer.close()


def _report(
    events: SummaryWriter,
    entry: dict[str, float],
    settings: Network,
    name: str,
    seconds: list[float],
    cost: Cost,
    memory_gib: float,
) -> None:
    epoch, epochs = entry["epoch"], settings.epochs
    validated = ""
    if entry["val_score"] is not None:
        validated = f"val_loss {entry['val_loss']:.3f} val_score {entry['val_score']:.4f} "
    if "inner_score" in entry:
        validated += f"inner_score {entry['inner_score']:.4f} "
    log.info(
        f"train {name} epoch {epoch:0{len(str(epochs))}d}/{epochs} loss {entry['loss']:.3f} "
        f"{validated}lr {entry['lr']:.1e} {seconds[-1]:.1f}s {cost.images_per_second:.0f} images/s "
        f"waiting {cost.wait_share:.0%} peak {memory_gib:.1f} GiB"
        f"{time_left(seconds, epochs - epoch)}"
    )
    curves = entry | {
        "images_per_second": cost.images_per_second,
        "wait_share": cost.wait_share,
        "peak_memory_gib": memory_gib,
    }
    for key, value in curves.items():
        if key != "epoch" and value is not None:
            events.add_scalar(key, value, epoch)


def time_left(seconds: list[float], epochs: int) -> str:
    """How long some more epochs take, from those timed; early stopping may need fewer."""
    return f" about {mean(seconds) * epochs:.0f}s left" if epochs else ""


def _describe(
    folder: Path,
    trainer: Trainer,
    history: list[dict],
    settings: Network,
    backbone: Backbone,
    *,
    metric: Metric,
    seed: int,
) -> dict[str, Any]:
    """Say beside the weights how they were made."""
    chosen = _best(history, metric)
    scores = {
        "metric": metric.name,
        "score": history[chosen]["val_score"],
        "val_loss": history[chosen]["val_loss"],
        "epoch_used": chosen + 1,
        "epochs": len(history),
    }
    if "inner_score" in history[-1]:
        scores |= {key: history[chosen][key] for key in ("inner_loss", "inner_score")}
    versions = {library: version(library) for library in LIBRARIES}
    snapshot = {
        "name": trainer.name,
        "settings": settings.model_dump(mode="json"),
        "backbone": backbone.model_dump(mode="json"),
        "seed": seed,
        "versions": {"python": platform.python_version(), **versions},
        "scores": scores,
    }
    write_json(folder / "snapshot.json", snapshot)
    return scores
