"""A learner fitted on one fold's training rows: its concatenation and model, and their files."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

import lightgbm as lgb
import numpy as np

from pipeline.config.learners import LEARNERS
from pipeline.config.members import METADATA, STACKED
from pipeline.config.names import ANY_NAMES
from pipeline.config.own_parts import ITEMS, own_code
from pipeline.config.schema import Kind, Learner
from pipeline.core.artifacts import replacing, write_json, write_text
from pipeline.core.averaging import Average, average_values
from pipeline.core.runtime import stream, stream_seed
from pipeline.core.task import Task
from pipeline.errors import JobFailed
from pipeline.learners.concatenation import Concatenation, Scaling, fit_concatenation
from pipeline.learners.half_rows import LARGE, HalfRows
from pipeline.learners.own_model import model_type_of, saveable
from pipeline.learners.resampling import resample
from pipeline.learners.rows import TrainingRows, balanced, chosen_rows, inner_folds
from pipeline.learners.target_transform import TargetTransform

INNER_FOLDS = 4
ARRAYS_OF_TRANSFORM = ("params", "limits", "residuals")


class Model(Protocol):
    """A fitted learner: a dataclass of arrays, words and, as `boosters`, LightGBM's trees."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, C)."""


@dataclass(frozen=True)
class FittedLearner:
    """What predicts rows from their blocks.

    Attributes:
        kind: the task's.
        searched: what a search tried and found, for the record.
        transforms: of each regression target, undone in predictions; () if none has one.
    """

    concatenation: Concatenation
    model: Model
    kind: Kind
    searched: dict[str, Any] = field(default_factory=dict)
    transforms: tuple[TargetTransform, ...] = ()

    def predict(
        self,
        blocks: Mapping[str, np.ndarray],
        *,
        metadata: np.ndarray | None = None,
        average: Average = "probabilities",
    ) -> np.ndarray:
        """Predict rows.

        Args:
            blocks: each (N, V, D); {} for metadata alone.
            metadata: (N, P) if the learner was fitted with it.
            average: how the views' predictions are averaged, for `views: rows`.
        Returns:
            (N, C): rows that sum to 1; in [0, 1] for multilabel; values for regression.
        """
        values = self.model.predict(self.concatenation(blocks, metadata))
        if self.transforms:
            columns = zip(self.transforms, values.T, strict=True)
            values = np.column_stack([one.predict(column) for one, column in columns])
        num_rows = len(next(iter(blocks.values()), metadata))
        by_view = values.reshape(num_rows, -1, values.shape[-1]).swapaxes(0, 1)
        return average_values(by_view, average, task=Task(self.kind))

    def save(self, folder: Path) -> list[str]:
        """Write learner.json, arrays.npz and trees_<n>.txt; the same learner gives the same bytes.

        No pickles: the files can be read by another version, and reading them runs no code.

        Returns:
            The files' names.
        """
        arrays, words = {}, {}
        for part in fields(self.model):
            value = getattr(self.model, part.name)
            if isinstance(value, np.ndarray):
                arrays[f"model/{part.name}"] = value
            elif part.name != "boosters":
                words[part.name] = value
        for name, scaling in self.concatenation.scalings.items():
            arrays[f"centre/{name}"] = scaling.centre
            arrays[f"factor/{name}"] = scaling.factor
        for name, axes in self.concatenation.axes.items():
            arrays[f"axes/{name}"] = axes
        for column, transform in enumerate(self.transforms):
            for part in ARRAYS_OF_TRANSFORM:
                arrays[f"transform/{column}/{part}"] = getattr(transform, part)
        with replacing(folder / "arrays.npz") as temporary:
            with open(temporary, "wb") as stream_:
                np.savez(stream_, **arrays)
        boosters = getattr(self.model, "boosters", [])
        for number, booster in enumerate(boosters):
            write_text(folder / f"trees_{number}.txt", booster.model_to_string())
        description = {
            "settings": self.concatenation.settings.model_dump(mode="json"),
            "kind": self.kind,
            "model": f"{type(self.model).__module__}:{type(self.model).__qualname__}",
            "fields": words,
            "num_boosters": len(boosters),
            # Not what it took: the same learner gives the same bytes.
            "searched": {k: v for k, v in (self.searched or {}).items() if k != "seconds"},
        }
        if self.transforms:
            description["transforms"] = [[one.name, one.row_error] for one in self.transforms]
        write_json(folder / "learner.json", description)
        trees = [f"trees_{number}.txt" for number in range(len(boosters))]
        return ["learner.json", "arrays.npz", *trees]


def load(folder: Path) -> FittedLearner:
    """Read what `FittedLearner.save` wrote."""
    description = json.loads((folder / "learner.json").read_text(encoding="utf-8"))
    model_fields: dict[str, Any] = description["fields"]
    scalings, axes = {}, {}
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        for key in arrays.files:
            part, _, name = key.partition("/")
            if part == "model":
                model_fields[name] = arrays[key]
            elif part == "centre":
                scalings[name] = Scaling(arrays[key], arrays[f"factor/{name}"])
            elif part == "axes":
                axes[name] = arrays[key]
        transforms = tuple(
            TargetTransform(
                name=name,
                row_error=row_error,
                **{part: arrays[f"transform/{column}/{part}"] for part in ARRAYS_OF_TRANSFORM},
            )
            for column, (name, row_error) in enumerate(description.get("transforms", []))
        )
    model_type = model_type_of(description["model"], where=folder / "learner.json")
    if description["num_boosters"]:
        model_fields["boosters"] = [
            lgb.Booster(model_file=folder / f"trees_{number}.txt")
            for number in range(description["num_boosters"])
        ]
    settings = Learner.model_validate(description["settings"], context=ANY_NAMES)
    return FittedLearner(
        Concatenation(settings, scalings, axes),
        model_type(**model_fields),
        description["kind"],
        description.get("searched", {}),
        transforms,
    )


def fit_learner(
    settings: Learner,
    blocks: Mapping[str, np.ndarray],
    targets: np.ndarray,
    task: Task,
    *,
    weights: np.ndarray | None = None,
    metadata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    seed: int,
) -> FittedLearner:
    """Fit a learner on training rows; scalings, penalty and calibration see no other row.

    Args:
        settings: the member's section of the config; its `search` is learners/search.py's.
        blocks: each (N, V, D), of training rows only.
        targets: (N, C), rows may be soft.
        weights: (N,) row weights; default 1.
        metadata: (N, P) encoded columns, NaN where missing.
        groups: (N,) rows that inner folds must keep together (a person), or None.
        seed: the member's in this fold; inner folds and trees have their own streams of it.
    Raises:
        UserError: for a learner that does not fit the task, or missing blocks.
        JobFailed: for features that are not finite, or params that the learner does not take.
    """
    weights = np.ones(len(targets)) if weights is None else np.asarray(weights, dtype=np.float64)
    if (weights == 0).any():  # such rows take no part, not even in a scaling or an axis
        blocks, targets, weights, metadata, groups = chosen_rows(
            weights > 0, blocks, targets, weights, metadata, groups
        )
    concatenation = fit_concatenation(
        settings, blocks, weights=weights, targets=targets, metadata=metadata
    )
    if settings.class_weights == "balanced":
        targets, weights = balanced(targets, weights, task=task)
    folds = inner_folds(
        targets, num_folds=INNER_FOLDS, groups=groups, rng=stream(seed, "inner folds")
    )
    if keeps_halves(settings, blocks):
        features = HalfRows.of(concatenation(blocks, metadata, dtype=np.float16))
    else:
        features = concatenation(blocks, metadata)
    views = len(features) // len(targets)  # more than 1 for `views: rows`
    columns = [concatenation.scalings.get(name) for name in (STACKED, METADATA)]
    rows = TrainingRows(
        features=features,
        targets=np.repeat(targets, views, axis=0),
        weights=np.repeat(weights / views, views),
        task=task,
        folds=np.repeat(folds, views),
        num_columns=sum(len(scaling.centre) for scaling in columns if scaling is not None),
    )
    rows = resample(rows, sampling=settings.sampling, views=views, rng=stream(seed, "resampling"))
    strengths = settings.strength
    if strengths is None:
        strengths = LEARNERS[settings.learner].strengths
    strengths = [strengths] if isinstance(strengths, float) else list(strengths)
    model = _fit_model(settings, rows, strengths, seed=stream_seed(seed, settings.learner))
    return FittedLearner(concatenation, model, task.kind)


def keeps_halves(settings: Learner, blocks: Mapping[str, np.ndarray]) -> bool:
    """Return whether features are kept in 16 bits: standardised, and too many for 32."""
    cells = sum(math.prod(block.shape) for block in blocks.values())
    plain = settings.scale == "standard" and settings.concatenate == "scaled"
    takes = LEARNERS[settings.learner].takes_halves and settings.sampling != "smote"
    return cells > LARGE and plain and takes


def _fit_model(
    settings: Learner, rows: TrainingRows, strengths: list[float], *, seed: int
) -> Model:
    """Fit the learner itself; what fails where there are `params` is put down to them."""
    try:
        fit = resolve_name(LEARNERS[settings.learner].fit)
        if settings.learner in ITEMS["learner"]:
            with own_code("learner", settings.learner):
                model = fit(rows, strengths=strengths, seed=seed, **settings.params)
            return saveable(model, settings.learner)
        return fit(rows, strengths=strengths, seed=seed, **settings.params)
    except (lgb.basic.LightGBMError, ValueError, TypeError) as error:
        if not settings.params:
            raise
        reason = f"{settings.learner} does not take `params` {settings.params}: {error}"
        raise JobFailed(f"{reason.rstrip('.')}. Correct them, or leave them out.") from error
