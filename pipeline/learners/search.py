"""Search inside a fold: params, penalty and block weights, by training rows that are held out.

What it costs is bounded: `trials` draws of params and penalty, then as many steps of block weights,
each fitted on a few inner folds, whose own training rows alone are scaled anew, resampled and
reweighted. The best is fitted once on all rows, so the outer fold's held-out rows never count.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from time import monotonic
from typing import Any

import numpy as np

from pipeline.config.members import METADATA
from pipeline.config.schema import Learner
from pipeline.core.runtime import stream, stream_seed
from pipeline.core.task import Task
from pipeline.errors import UserError
from pipeline.learners.concatenation import fit_concatenation
from pipeline.learners.fit import INNER_FOLDS, FittedLearner, fit_learner
from pipeline.learners.linear import LinearModel
from pipeline.learners.neighbours import error
from pipeline.learners.rows import chosen_rows, held_out_parts, inner_folds


def fit_searched(
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
    """Fit a learner with what its `search` finds; without one, as it is.

    Args: as fit_learner's.
    """
    started, search = monotonic(), settings.search
    weights = np.ones(len(targets)) if weights is None else weights
    rows = (blocks, targets, weights, metadata, groups)
    if search is None:
        return fit_rows(settings, rows, task, seed=seed)
    weighted = chosen_rows(np.flatnonzero(weights), *rows)
    trials = Trials(settings, HeldOutLoss(settings, weighted, task, seed=seed))
    late = False
    for candidates in (draws(settings, stream(seed, "search")), steps(trials)):
        for candidate in islice(filter(trials.are_new, candidates), search.trials):
            late = (
                search.budget_seconds is not None and monotonic() - started >= search.budget_seconds
            )
            if late:
                break
            trials.add(candidate)
    seconds = round(monotonic() - started, 1)
    found = trials.record() | {"out_of_time": late, "seconds": seconds}
    return replace(fit_rows(trials.best, weighted, task, seed=seed), searched=found)


class Trials:
    """Settings that were tried, and those that lost least; of equals, the first."""

    def __init__(self, settings: Learner, loss_of: Callable[[Learner], float]) -> None:
        self.loss_of, self.best = loss_of, settings
        self.losses = {_key(settings): loss_of(settings)}

    def are_new(self, settings: Learner) -> bool:
        """Whether settings can be fitted and were not tried."""
        seen = settings.backbones + ([METADATA] if settings.metadata else [])
        sees = any(settings.blocks.get(name) for name in seen)
        return sees and _key(settings) not in self.losses

    def add(self, settings: Learner) -> None:
        """Try settings."""
        self.losses[_key(settings)] = loss = self.loss_of(settings)
        if loss < self.losses[_key(self.best)]:
            self.best = settings

    def record(self) -> dict[str, Any]:
        """Return what it cost, what was found, and the gain over the config's own settings."""
        return {
            "trials": len(self.losses),
            "loss_before": next(iter(self.losses.values())),
            "loss": self.losses[_key(self.best)],
            "chosen": self.best.model_dump(include={"blocks", "params", "strength"}),
        }


def draws(settings: Learner, rng: np.random.Generator) -> Iterator[Learner]:
    """Params and penalty, at random and none twice."""
    search = settings.search
    lists = search.params | ({"strength": search.strength} if search.strength else {})
    sizes = [len(values) for values in lists.values()]
    total = math.prod(sizes)
    for number in rng.choice(total, size=min(search.trials, total), replace=False):
        places = np.unravel_index(number, sizes) if sizes else ()
        drawn = {name: lists[name][place] for name, place in zip(lists, places, strict=True)}
        strength = drawn.pop("strength", settings.strength)
        yield settings.model_copy(update={"params": settings.params | drawn, "strength": strength})


def steps(trials: Trials) -> Iterator[Learner]:
    """From the best so far, one block's weight after the other, until a round changes none."""
    before = None
    while trials.best.blocks != before:
        before = trials.best.blocks
        for name in before:
            for weight in trials.best.search.blocks:
                best = trials.best
                yield best.model_copy(update={"blocks": best.blocks | {name: weight}})


class HeldOutLoss:
    """Mean log loss, or squared error of values and levels, of rows that inner folds hold out.

    Trials of a linear learner do not choose their penalty anew, which would cost several times
    as much: they keep the one chosen with the config's weights, in proportion to the squared
    length of rows, unless the search draws it.
    """

    def __init__(
        self,
        settings: Learner,
        rows: tuple,
        task: Task,
        *,
        seed: int,
    ) -> None:
        self.task, self.seed = task, seed
        blocks, targets, weights, _, groups = rows
        folds = inner_folds(
            targets, num_folds=INNER_FOLDS, groups=groups, rng=stream(seed, "search folds")
        )
        self.held_out = held_out_parts(folds)
        if self.held_out.all():
            raise UserError("`search` needs two groups of training rows at least; leave it out.")
        self.as_they_are, blocks = few_axes(settings, blocks, weights)
        self.rows = (blocks, *rows[1:])
        self.squared_length, self.strength = _squared_length(settings), None
        if not settings.search.strength:
            start = settings.model_copy(update=self.as_they_are)
            model = fit_rows(start, self.rows, task, seed=seed).model
            if isinstance(model, LinearModel) and len(model.strength) == 1:
                self.strength = float(model.strength[0])

    def __call__(self, settings: Learner) -> float:
        update = dict(self.as_they_are)
        if self.strength is not None:
            update["strength"] = self.strength * _squared_length(settings) / self.squared_length
        tried, loss, mass = settings.model_copy(update=update), 0.0, 0.0
        for fold, mine in enumerate(self.held_out):
            learner = fit_rows(
                tried,
                chosen_rows(~mine, *self.rows),
                self.task,
                seed=stream_seed(self.seed, "trial", fold),
            )
            blocks, targets, weights, metadata, _ = chosen_rows(mine, *self.rows)
            loss += weights @ self._error(learner.predict(blocks, metadata=metadata), targets)
            mass += weights.sum()
        return float(loss / mass)

    def _error(self, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        if not self.task.is_ordinal:
            return error(values, targets, self.task.link)
        levels = self.task.levels[:, None]
        return error(values @ levels, targets @ levels, "identity")


def few_axes(
    settings: Learner, blocks: Mapping[str, np.ndarray], weights: np.ndarray
) -> tuple[dict[str, str], Mapping[str, np.ndarray]]:
    """Scaled blocks (N, V, A) in their first principal axes, and what settings say of them then.

    Axes are those of all training rows, of which no target is known to them.
    """
    axes = settings.search.axes
    if axes is None or settings.concatenate != "scaled" or settings.scale == "whiten":
        return {}, blocks
    few = {}
    for name, block in blocks.items():
        share = min(1.0, axes / block.shape[-1])
        alone = settings.model_copy(update={"blocks": {name: share}, "concatenate": "pca"})
        rows = fit_concatenation(alone, {name: block}, weights=weights)({name: block})
        few[name] = rows.reshape(len(weights), -1, rows.shape[1])
    return {"transform": "none", "scale": "none"}, few


def fit_rows(settings: Learner, rows: tuple, task: Task, *, seed: int) -> FittedLearner:
    """Call fit_learner with rows as this file hands them around."""
    blocks, targets, weights, metadata, groups = rows
    return fit_learner(
        *(settings, blocks, targets, task),
        weights=weights,
        metadata=metadata,
        groups=groups,
        seed=seed,
    )


def _squared_length(settings: Learner) -> float:
    """Of a row, where weights multiply blocks of length 1; shares leave what stays as it was."""
    if settings.concatenate != "scaled":
        return 1.0
    return sum(weight**2 for weight in settings.blocks.values())


def _key(settings: Learner) -> str:
    return settings.model_dump_json(include={"blocks", "params", "strength"})
