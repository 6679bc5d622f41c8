"""Training: one network on one fold, stopped at any moment and continued to the same bytes.

Reads the image cache. Writes into the member's folder of this fold: `last.pt` (to continue from,
removed by the train stage once the fold is finished), `weights.safetensors` (what inference uses),
`log.csv`, `tensorboard/` and `snapshot.json`.
"""

import csv
import io
import logging
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils.tensorboard import SummaryWriter

from pipeline.backbones.device import Hardware
from pipeline.config.schema import Backbone, Network
from pipeline.core.artifacts import is_as_written, replacing_checked, write_json, write_text
from pipeline.core.runtime import duration, stream_seed
from pipeline.metrics.find_metric import Metric
from pipeline.networks.cost import Cost, peak_memory_gib
from pipeline.networks.network import WEIGHTS, save_weights, weights_of
from pipeline.networks.parameter_groups import describe_groups
from pipeline.networks.trainer import Trainer
from pipeline.networks.training_data import TrainingData, create_loaders

log = logging.getLogger(__name__)

CHECKPOINT = "last.pt"
FILES = (WEIGHTS, "log.csv", "snapshot.json")  # of a finished training
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}  # the config's, Fabric's
LIBRARIES = ("torch", "timm", "lightning", "albumentations", "numpy")


class TrainingRun:
    """One network's fold, from the first batch to the weights that inference uses.

    `weights.safetensors` holds the averaged weights of the last epoch; with `patience` and inner
    rows those of the epoch that scores best on these, which are neither trained on nor held out.
    Held-out rows decide nothing, or their score would be optimistic (law 3).

    Args:
        name: "net fold 2", for the log, and to keep its random draws apart from others'.
    Raises:
        UserError: settings that do not fit.
    """

    def __init__(
        self,
        folder: Path,
        settings: Network,
        backbone: Backbone,
        data: TrainingData,
        *,
        metric: Metric,
        hardware: Hardware,
        name: str,
    ) -> None:
        workers = hardware.workers
        if settings.plain:
            settings, workers = without_noise(settings), 0
        self.folder, self.settings, self.backbone = folder, settings, backbone
        self.data, self.metric, self.name = data, metric, name
        seed = stream_seed(settings.seed, name)
        self.loaders = create_loaders(data, settings, workers=workers, seed=seed)
        checkpoint = _read_checkpoint(folder / CHECKPOINT, metric)
        self.trainer = Trainer(
            create_fabric(hardware),
            settings,
            backbone,
            data,
            folder=folder,
            name=name,
            seed=seed,
            checkpoint=checkpoint,
        )
        self.history: list[dict] = checkpoint["history"] if checkpoint else []
        # Weights of the best epoch by inner rows; None while the last ones are used.
        self.best_weights = checkpoint["best"] if checkpoint else None
        self.decides = bool(settings.patience and len(data.inner_rows))
        self.seconds: list[float] = []  # of each epoch since this run began

    def train(self) -> dict[str, Any]:
        """Train on some rows of the cache, score each epoch on others, write the files.

        Returns:
            metric, score and val_loss of the weights that inference uses (`epoch_used`), and
            `epochs` run; where inner rows decided, their inner_score and inner_loss.
        Raises:
            JobFailed: a loss that is no longer finite.
        """
        trainer = self.trainer
        groups = describe_groups(trainer.optimizer.param_groups, trainer.network, self.settings)
        log.debug("learning: %s", "; ".join(groups))
        if self.decides:
            self._log_deciding_rows()
        with _events(self.folder) as events:
            trainer.on_step = partial(_add_step, events)
            while len(self.history) < self.settings.epochs and not self._should_stop():
                self._train_epoch(events)
        write_text(self.folder / "log.csv", _table(self.history))  # a finished run may have lost it
        final = weights_of(trainer.final) if self.best_weights is None else self.best_weights
        save_weights(final, self.folder / WEIGHTS)
        return self._write_snapshot()

    def _train_epoch(self, events: SummaryWriter) -> None:
        epoch, started = len(self.history), time.monotonic()
        loader = self.loaders.of_epoch(epoch, epochs=self.settings.epochs)
        trained, cost = self.trainer.train_epoch(loader, epoch)
        self.history.append({"epoch": epoch + 1, **trained, **self._validate()})
        # In this order, a kill between two writes repeats the epoch and writes the same again.
        if self.decides and _best_epoch(self.history, self.metric) == epoch:
            self.best_weights = weights_of(self.trainer.final)
        write_text(self.folder / "log.csv", _table(self.history))
        state = {"history": self.history, "best": self.best_weights, "metric": self.metric.name}
        _save_checkpoint(self.folder / CHECKPOINT, self.trainer.state() | state)
        self.seconds.append(time.monotonic() - started)
        self._report(events, cost)

    def _validate(self) -> dict[str, float | None]:
        """Score the held-out rows, None where there are none, and the rows that decide."""
        data, found = self.data, {"val_loss": None, "val_score": None}
        if len(data.valid_rows):
            loss, values = self.trainer.validate(self.loaders.valid, data.valid_targets)
            score = self.metric.score(data.valid_targets, values, data.task)
            found = {"val_loss": loss, "val_score": score}
        if self.decides:
            loss, values = self.trainer.validate(self.loaders.inner, data.inner_targets)
            score = self.metric.score(data.inner_targets, values, data.task)
            found |= {"inner_loss": loss, "inner_score": score}
        return found

    def _should_stop(self) -> bool:
        since_best = len(self.history) - 1 - _best_epoch(self.history, self.metric)
        return 0 < self.settings.patience <= since_best

    def _log_deciding_rows(self) -> None:
        data, count = self.data, len(self.data.inner_rows)
        log.debug("%d rows decide when to stop, and are not trained on", count)
        if np.isnan(self.metric.score(data.inner_targets, data.inner_targets, data.task)):
            log.warning(
                "%s is undefined on the %d rows that decide when to stop; their loss decides",
                *(self.metric.name, count),
            )

    def _report(self, events: SummaryWriter, cost: Cost) -> None:
        entry, epochs = self.history[-1], self.settings.epochs
        epoch, memory_gib = entry["epoch"], peak_memory_gib(self.trainer.fabric.device)
        scores = {
            "loss": entry["loss"],
            "held-out loss": entry["val_loss"],
            self.metric.name: entry["val_score"],
            "inner score": entry.get("inner_score"),
        }
        known = [f"{name} {value:.4g}" for name, value in scores.items() if value is not None]
        log.info(" · ".join([f"epoch {epoch}/{epochs}", *known, *self._time_left()]))
        log.debug(
            f"epoch {epoch}/{epochs}: lr {entry['lr']:.1e}, {self.seconds[-1]:.1f}s, "
            f"{cost.images_per_second:.0f} images/s, {cost.wait_share:.0%} of it waiting for data, "
            f"peak memory {memory_gib:.1f} GiB"
        )
        curves = entry | {
            "images_per_second": cost.images_per_second,
            "wait_share": cost.wait_share,
            "peak_memory_gib": memory_gib,
        }
        for key, value in curves.items():
            if key != "epoch" and value is not None:
                events.add_scalar(key, value, epoch)

    def _time_left(self) -> Iterator[str]:
        """Yield how long the epochs to come take; early stopping may need fewer."""
        if epochs := self.settings.epochs - len(self.history):
            yield f"{duration(mean(self.seconds) * epochs)} left"

    def _write_snapshot(self) -> dict[str, Any]:
        """Write how the weights were made; return their scores."""
        history, chosen = self.history, _best_epoch(self.history, self.metric)
        scores = {
            "metric": self.metric.name,
            "score": history[chosen]["val_score"],
            "val_loss": history[chosen]["val_loss"],
            "epoch_used": chosen + 1,
            "epochs": len(history),
        }
        if "inner_score" in history[-1]:
            scores |= {key: history[chosen][key] for key in ("inner_loss", "inner_score")}
        versions = {library: version(library) for library in LIBRARIES}
        snapshot = {
            "name": self.name,
            "settings": self.settings.model_dump(mode="json"),
            "backbone": self.backbone.model_dump(mode="json"),
            "seed": self.settings.seed,
            "versions": {"python": platform.python_version(), **versions},
            "threads": torch.get_num_threads(),  # sums over a batch are parted by them
            "scores": scores,
        }
        write_json(self.folder / "snapshot.json", snapshot)
        return scores


def create_fabric(hardware: Hardware) -> Fabric:
    """Create the Fabric that runs a network on one device."""
    precision = PRECISIONS.get(hardware.precision, hardware.precision)
    return Fabric(accelerator=hardware.device.type, devices=1, precision=precision)


def without_noise(settings: Network) -> Network:
    """Return the settings without what makes a bug hard to see."""
    off = {"augment": "none", "mix_probability": 0.0, "dropout": 0.0, "drop_path": 0.0}
    return settings.model_copy(update=off)


def _best_epoch(history: list[dict], metric: Metric) -> int:
    """Return the epoch with the best inner score; the last where there are no inner rows.

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


def _read_checkpoint(path: Path, metric: Metric) -> dict[str, Any] | None:
    """Read where an interrupted training stopped; None where there is nothing to continue."""
    if not path.exists():
        return None
    if not is_as_written(path):
        log.warning("%s was changed since it was written: training starts again", path)
        return None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0]
        log.warning("%s is not readable (%s): training starts again", path, reason)
        return None
    if checkpoint["metric"] != metric.name:  # changed on the way; it decides nothing here
        checkpoint["history"] = [entry | {"val_score": None} for entry in checkpoint["history"]]
    return checkpoint


def _save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    with replacing_checked(path) as temporary:
        torch.save(state, temporary)


def _table(history: list[dict]) -> str:
    """Format a CSV line per epoch; without times, so that a resumed run writes the same bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


@contextmanager
def _events(folder: Path) -> Iterator[SummaryWriter]:
    """Yield a writer for TensorBoard. Its thread's errors of the disk are raised by its methods."""
    print_error = threading.excepthook
    threading.excepthook = lambda error: (
        None if isinstance(error.exc_value, OSError) else print_error(error)
    )
    writer = SummaryWriter(folder / "tensorboard" / time.strftime("%Y%m%d-%H%M%S"))
    try:
        yield writer
    finally:
        writer.close()
        threading.excepthook = print_error


def _add_step(events: SummaryWriter, step: int, numbers: dict[str, float]) -> None:
    """Write a step's numbers for TensorBoard; they are on the host already, and a thread writes."""
    for name, number in numbers.items():
        events.add_scalar(f"step/{name}", number, step)
