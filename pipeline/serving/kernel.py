"""Predict a test set that is known only now, within a time limit, and write its submission.

This is what the notebook of `make kernel` runs. Of the rows a chunk is in memory at a time;
predictions lie in a file. Where the time is too short, views are left out, then members: those of
least worth for the seconds that they take. The blend is then fitted to the other members.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.config.own_parts import ITEMS
from pipeline.core.archives import with_unpacked
from pipeline.core.artifacts import replacing
from pipeline.core.competition import Competition
from pipeline.core.log_lines import log_progress
from pipeline.core.read_competition import with_test_rows
from pipeline.core.runtime import duration
from pipeline.core.sample import with_sample_names
from pipeline.core.targets import examples
from pipeline.core.workspace import Workspace
from pipeline.ensembles.blends import OF_ALL_ROWS
from pipeline.errors import UserError
from pipeline.serving.given import GivenRows, rows_of_table
from pipeline.serving.kernel_folder import read_kernel_folder
from pipeline.serving.model import CHUNK, Model
from pipeline.serving.new_rows import predict_layers
from pipeline.submission.form import Form, sample_of
from pipeline.submission.writing import write_submission

log = logging.getLogger(__name__)

SAFETY = 0.9  # of the limit, for prediction: a notebook starts, and a blend is fitted, beside it
CHUNKS, LEAST = 32, 64  # a chunk is that part of the rows, within LEAST and CHUNK rows


@dataclass
class Effort:
    """What is computed for each row; it shrinks where time is short.

    Attributes:
        worth: of each member that takes part, above 0.
        seconds: what each took for a row of the last chunk.
    """

    views: list[str]
    worth: dict[str, float]
    seconds: dict[str, float] = field(default_factory=dict)

    def seconds_for(self, rows: int) -> float:
        """Return how long rows are expected to take."""
        return rows * sum(self.seconds.values())

    def shrink(self) -> str:
        """Leave out all views but one, or the member of least worth; return what it was, or ""."""
        if len(self.views) > 1:
            left_out = f"views {', '.join(self.views[1:])}"
            self.seconds = {name: s / len(self.views) for name, s in self.seconds.items()}
            self.views = self.views[:1]
            return left_out
        if len(self.worth) == 1:
            return ""
        seconds = {name: max(self.seconds.get(name, 0.0), 1e-9) for name in self.worth}
        name = min(self.worth, key=lambda name: self.worth[name] / seconds[name])
        self.leave_out(name)
        return f"member {name}"

    def leave_out(self, name: str) -> None:
        """Leave out a member."""
        del self.worth[name]
        self.seconds.pop(name, None)


def predict_test_set(
    kernel: str | Path,
    test: str | Path,
    out: str | Path = "submission.csv",
    *,
    hours: float = 9.0,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """Write the submission for the test rows that lie in a folder now; return its path.

    The file is whole or absent. Rows whose image cannot be read, and rows for which no time is
    left, get the blend of the members' mean predictions; the log says how many.

    Args:
        kernel: the folder that `make kernel` wrote.
        test: the competition's folder: test.csv, sample_submission.csv and the test images.
        hours: the limit of the notebook.
    Raises:
        UserError: for a test.csv or a sample that is not as the config says.
    """
    ends = clock() + SAFETY * hours * 3600
    model = read_kernel_folder(Path(kernel))
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch), model.project.config.competition)
        workspace.input.parent.mkdir()
        workspace.input.symlink_to(Path(test).resolve())
        folder = with_unpacked(workspace, model.project.config.data)
        competition = with_test_rows(model.project.competition, folder)
        for note in competition.notes:
            log.warning("%s", note)
        given, _ = rows_of_table(competition.test, competition, folder)
        log.info("%d rows, at most %s", len(given), duration(ends - clock()))
        values = _predict(model, given, Path(scratch), ends=ends, clock=clock)
        _write(Path(out), values, model, competition)
    log.info("-> %s", out)
    return Path(out)


def _predict(
    model: Model, given: GivenRows, scratch: Path, *, ends: float, clock: Callable[[], float]
) -> np.ndarray:
    """Predict rows (N, C) as a submission is made of, with the effort that the time allows."""
    if not len(given):
        return np.empty((0, len(model.classes)))
    names, prior = model.members, model.prior[model.fitted.uses].astype(np.float32)
    shape = (len(names), model.project.folds.num_folds, len(given), len(model.classes))
    layers = np.memmap(scratch / "layers", np.float32, "w+", shape=shape)
    effort = Effort(list(model.project.config.tta.views), _worth(model))
    size, done = min(CHUNK, max(LEAST, len(given) // CHUNKS)), 0
    while done < len(given):
        needed = effort.seconds_for(len(given) - done)
        while needed > (left := ends - clock()) and (left_out := effort.shrink()):
            log.warning(
                "leaves out %s: %d rows would take %s more, and there are %s",
                *(left_out, len(given) - done, duration(needed), duration(max(left, 0))),
            )
            needed = effort.seconds_for(len(given) - done)
        if done and effort.seconds_for(min(size, len(given) - done)) > ends - clock():
            break
        chunk = layers[:, :, done : done + size]
        _predict_chunk(model, given.take(done, done + size), effort, chunk, clock)
        done = min(done + size, len(given))
        log_progress(log, done, len(given), f"{done}/{len(given)} rows")
    if done < len(given):
        log.warning("time is up: %d rows get mean predictions", len(given) - done)
        layers[:, :, done:] = prior[:, None, None]
    if len(effort.worth) < len(names):
        model = _without_others(model, effort.worth.keys())
    return _apply(model, layers, [names.index(name) for name in model.members], size)


def _predict_chunk(
    model: Model,
    given: GivenRows,
    effort: Effort,
    layers: np.ndarray,
    clock: Callable[[], float],
) -> None:
    """Predict some rows into `layers` (m, K, n, C); leave out members that fail."""
    with model.new_rows(given, views=effort.views) as rows:
        for name in list(effort.worth):
            started = clock()
            try:
                layers[model.members.index(name)] = predict_layers(rows, name)
            except (UserError, RuntimeError) as error:  # RuntimeError: the device's memory is full
                if len(effort.worth) == 1:
                    raise
                log.error("leaves out member %s: %s", name, error)
                effort.leave_out(name)
            else:
                effort.seconds[name] = (clock() - started) / len(given)
    if unreadable := rows.new_images.unreadable:
        log.warning(
            "%d rows get mean predictions, for their images cannot be read: %s",
            *(len(unreadable), examples(unreadable.values())),
        )
        prior = model.prior[model.fitted.uses]
        layers[:, :, rows.given.rows_of_images()[list(unreadable)]] = prior[:, None, None]


def _worth(model: Model) -> dict[str, float]:
    """Return each member's mean weight in the blend or, without weights, its place by score."""
    project, names = model.project, list(model.project.config.members)
    if (weights := model.fitted.weights) is not None:
        worth = dict(zip(names, weights.mean(axis=0).tolist(), strict=True))
        return {name: max(worth[name], 1e-9) for name in model.members}
    sign = 1 if project.metric.greater_is_better else -1
    scores = dict(zip(names, map(project.score, model.predictions.oof), strict=True))
    worst_first = sorted(model.members, key=lambda name: sign * scores[name])
    return {name: float(place) for place, name in enumerate(worst_first, start=1)}


def _without_others(model: Model, kept: Collection[str]) -> Model:
    """Fit the blend again to some of the members."""
    project, names = model.project, list(model.project.config.members)
    kept = [name for name in names if name in kept]
    config = project.config.model_copy(
        update={"members": {name: project.config.members[name] for name in kept}}
    )
    project = replace(project, config=config, other_folds=project.folds)
    predictions = model.predictions.take([names.index(name) for name in kept])
    return Model.fit(project, predictions, model.by_fold, submission=model.submission)


def _apply(model: Model, layers: np.ndarray, taken: list[int], size: int) -> np.ndarray:
    """Blend some members' layers (m, K, N, C), in chunks unless a row's result needs the others."""
    used = {name for of_fold in model.by_fold for name in of_fold}
    if used & {*OF_ALL_ROWS, *ITEMS["blend"]}:
        size = layers.shape[2]
    starts = range(0, layers.shape[2], size)
    return np.concatenate([model.apply(layers[taken, :, s : s + size])[1] for s in starts])


def _write(path: Path, values: np.ndarray, model: Model, competition: Competition) -> None:
    """Write the submission in the form of the sample that lies there now."""
    metric, settings = model.project.metric, model.project.config.submission
    sample = sample_of(competition, metric)
    if not len(competition.test_ids):
        sample = with_sample_names(sample, competition.data, competition.submission)
        with replacing(path) as temporary:
            sample.to_csv(temporary, index=False, sep=competition.separator)
        return
    form: Form | None = model.project.form
    if {*form.columns} != {*sample.columns} - {competition.data.id}:
        log.warning("the sample has other columns than when the models were made")
        form = None
    about = {"competition": competition, "metric": metric, "settings": settings}
    write_submission(path, values, **about, form=form)
