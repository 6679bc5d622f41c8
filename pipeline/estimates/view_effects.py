"""What views of images do to a ridge on frozen features: how much worse they score, out of fold.

A view may be harmless (a mirrored shirt is a shirt), or carry another class (a mirrored arrow). All
comparisons are paired row by row and need two standard errors, by groups.
"""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.config.schema import Learner
from pipeline.core.task import Task
from pipeline.estimates.row_loss import margin, row_losses, surely_knows, surely_positive
from pipeline.learners.fit import fit_learner

BLOCK = "features"  # the ridge's only block
RIDGE = Learner(learner="ridge", blocks={BLOCK: 1.0}, views="rows")
SMALL_SHARE = 0.1  # of what the features know: a view that loses less is as good as the original
RUINED_SHARE = 0.5  # of what the features know: a view that loses more is another picture
PAIR_SHARE = 1 / 3  # of a class's rows that look like one other class
CONSTANT_SHARE = 0.01  # of the constant in predictions, so that no log loss is huge
FEWEST_IN_PAIR = 4  # rows of a class; fewer look like another by chance


@dataclass(frozen=True)
class ViewEffect:
    """What one view does, each loss as a share of what the features know (0 to about 1).

    Attributes:
        lost, lost_margin: (a) by a ridge that was fitted on the originals and predicts this view
            alone; the margin is two standard errors.
        harm, harm_margin: (b) by a ridge that is fitted on both and averages both; below 0: a gain.
        ruins: whether (a) surely loses more than RUINED_SHARE, or rows of one class look like
            another's.
        harms: whether (b) is surely worse than the original alone.
        harmless: whether (a) surely loses less than SMALL_SHARE, and nothing else speaks against.
        looks_like: (class, the other class that its view looks like), the clearest first.
    """

    view: str
    lost: float
    lost_margin: float
    harm: float
    harm_margin: float
    ruins: bool
    harms: bool
    harmless: bool
    looks_like: list[tuple[int, int]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the numbers for a file; an infinite margin (one group) as None."""
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class ViewTrial:
    """Training rows with features of several views, and what a ridge finds out about the views.

    Attributes:
        features: (n, V, D), of `views`; the first is the original.
        targets: (n, C).
        folds, groups: (n,).
    """

    features: np.ndarray
    views: list[str]
    targets: np.ndarray
    task: Task
    folds: np.ndarray
    groups: np.ndarray
    seed: int

    @cached_property
    def knowledge(self) -> float:
        """Mean loss that the original's predictions save over a constant; 0 or less: nothing."""
        constant = np.tile(self.targets.mean(axis=0), (len(self.targets), 1))
        return float(np.mean(row_losses(constant, self.targets, self.task) - self._original_losses))

    @cached_property
    def knows(self) -> bool:
        """Whether the original's predictions are surely better than a constant."""
        values = self._of_originals["original"]
        return surely_knows(values, self.targets, self.task, groups=self.groups)

    def effect(self, view: str) -> ViewEffect:
        """Return what a view does.

        Where the features know nothing, there is no share of it to lose. A view then speaks against
        itself only by a loss of three standard errors, so that noise decides nothing.
        """
        alone = self._losses(self._of_originals[view]) - self._original_losses
        both = self.losses(["original", view]) - self._original_losses
        known = max(self.knowledge, 0.0)
        per = 1 / known if known > 0 else 0.0
        pairs = self._looks_like(view)
        if self.knows:
            ruins = bool(pairs) or surely_positive(alone - RUINED_SHARE * known, self.groups)
        else:
            ruins = alone.mean() > 1.5 * margin(alone, self.groups) + RUINED_SHARE * known
        harms = self.knows and surely_positive(both, self.groups)
        small = surely_positive(SMALL_SHARE * known - alone, self.groups)
        return ViewEffect(
            view=view,
            lost=float(alone.mean() * per),
            lost_margin=margin(alone, self.groups) * per,
            harm=float(both.mean() * per),
            harm_margin=margin(both, self.groups) * per,
            ruins=bool(ruins),
            harms=harms,
            harmless=self.knows and small and not (harms or ruins),
            looks_like=pairs if ruins else [],
        )

    def losses(self, views: list[str]) -> np.ndarray:
        """(n,) losses of a ridge that is fitted on these views and averages them."""
        return self._losses(self._out_of_fold(fitted=views, averaged=[views])[0])

    def refit_loses(self, view: str) -> bool:
        """Whether a ridge fitted and scored on a view alone may know less than on the originals.

        It is said not to only where it surely loses less than SMALL_SHARE.
        """
        loss = self.losses([view]) - self._original_losses
        return not surely_positive(SMALL_SHARE * max(self.knowledge, 0.0) - loss, self.groups)

    def surely_better(self, views: list[str], others: list[str]) -> bool:
        """Whether an average of some views is surely better than one of other views."""
        return surely_positive(self.losses(others) - self.losses(views), self.groups)

    @cached_property
    def _of_originals(self) -> dict[str, np.ndarray]:
        """Predictions (n, C) for each view alone, by a ridge fitted on the originals."""
        each = [[view] for view in self.views]
        values = self._out_of_fold(fitted=["original"], averaged=each)
        return dict(zip(self.views, values, strict=True))

    @cached_property
    def _original_losses(self) -> np.ndarray:
        return self._losses(self._of_originals["original"])

    def _losses(self, values: np.ndarray) -> np.ndarray:
        """(n,) losses; bounded, since one odd image, far from the others, must decide nothing."""
        if self.task.is_regression:
            values = values.clip(self.targets.min(axis=0), self.targets.max(axis=0))
        else:
            values = (1 - CONSTANT_SHARE) * values + CONSTANT_SHARE * self.targets.mean(axis=0)
        return row_losses(values, self.targets, self.task)

    def _out_of_fold(self, *, fitted: list[str], averaged: list[list[str]]) -> list[np.ndarray]:
        """Predict rows (n, C) by ridges that did not see their fold, for each list of views."""
        values = [np.zeros(self.targets.shape) for _ in averaged]
        for fold in np.unique(self.folds):
            held_out = self.folds == fold
            ridge = fit_learner(
                RIDGE,
                {BLOCK: self._features(fitted)[~held_out]},
                self.targets[~held_out],
                self.task,
                groups=self.groups[~held_out],
                seed=self.seed,
            )
            for views, of_views in zip(averaged, values, strict=True):
                of_views[held_out] = ridge.predict({BLOCK: self._features(views)[held_out]})
        return values

    def _features(self, views: list[str]) -> np.ndarray:
        return self.features[:, [self.views.index(view) for view in views]]

    def _looks_like(self, view: str) -> list[tuple[int, int]]:
        """Classes that are recognised on the original, but are one other class in the view."""
        if not self.task.has_one_class_per_row:
            return []
        true = self.targets.argmax(axis=1)
        of_original = self._of_originals["original"].argmax(axis=1)
        right = of_original == true
        seen = self._of_originals[view].argmax(axis=1)
        found = []
        for one in np.unique(true):
            mine = seen[right & (true == one)]
            other, count = _most_frequent(mine[mine != one])
            mistaken = np.mean(of_original[true == one] == other)  # on the originals already
            # Two standard errors of a share are at most 1 / sqrt(n).
            share = count / max(len(mine), 1) - 1 / np.sqrt(max(len(mine), 1)) - mistaken
            if len(mine) >= FEWEST_IN_PAIR and share > PAIR_SHARE:
                found.append((share, (int(one), other)))
        return [pair for _, pair in sorted(found, reverse=True)]


def _most_frequent(numbers: np.ndarray) -> tuple[int, int]:
    """Return the most frequent number and how often it is there."""
    if not len(numbers):
        return -1, 0
    counts = np.bincount(numbers)
    return int(counts.argmax()), int(counts.max())
