"""What is done to members before any blend: each is calibrated, some are left out."""

from dataclasses import dataclass

import numpy as np

from pipeline.core.task import Task
from pipeline.ensembles.diversity import error_correlation, originals
from pipeline.ensembles.fitting import BlendFitting
from pipeline.estimates.calibration import Calibration, fit_calibration
from pipeline.estimates.constant import best_constant
from pipeline.estimates.row_loss import row_losses, smooth_task, surely_knows
from pipeline.metrics.find_metric import Metric


@dataclass(frozen=True)
class Preparation:
    """Fitted calibrations and the choice of members.

    Attributes:
        calibrations: M functions (N, C) -> (N, C).
        first: (M,) the member that each is a copy of; itself if it is none.
        useless: (M,) whether a member is left out, for it is no better than a constant.
        knows: whether any member is surely better than a constant.
    """

    calibrations: tuple[Calibration, ...]
    first: np.ndarray
    useless: np.ndarray
    knows: bool

    @property
    def kept(self) -> np.ndarray:
        """(M,) whether a member takes part."""
        return (self.first == np.arange(len(self.first))) & ~self.useless

    def __call__(self, members: np.ndarray) -> np.ndarray:
        """Members (M, N, C) as blends see them: those kept, calibrated."""
        kept = np.flatnonzero(self.kept)
        return np.stack([self.calibrations[m](members[m]) for m in kept])

    def shares(self, weights: np.ndarray | None) -> np.ndarray | None:
        """Weights (kept,) as weights (M,): 0 for what was left out."""
        if weights is None:
            return None
        shares = np.zeros(len(self.first))
        shares[self.kept] = weights
        return shares


def prepare(
    members: np.ndarray,
    targets: np.ndarray,
    fitting: BlendFitting,
) -> Preparation:
    """Fit the calibration of each member (M, N, C); find copies, and what a constant replaces.

    Where no member is surely better than a constant, all stay: on noise one is better than another
    by chance, and by the labels of the rows held out.
    """
    metric, task = fitting.metric, fitting.task
    calibrations = tuple(
        fit_calibration(fitting.calibrate, values, targets, fitting.smooth) for values in members
    )
    calibrated = np.stack([fit(values) for fit, values in zip(calibrations, members, strict=True)])
    knows = any(
        surely_knows(values, targets, fitting.smooth, groups=fitting.groups)
        for values in calibrated
    )
    first, useless = np.arange(len(members)), np.zeros(len(members), dtype=bool)
    if not fitting.prune or len(members) == 1:
        return Preparation(calibrations, first, useless, knows)
    if knows:
        useless = no_better_than_constant(calibrated, targets, metric, task)
    if useless.all():  # each is better in one sense only, or by a hair
        useless[:] = False
    useful = np.flatnonzero(~useless)
    first[useful] = useful[originals(error_correlation(calibrated[useful], targets))]
    return Preparation(calibrations, first, useless, knows)


def no_better_than_constant(
    members: np.ndarray, targets: np.ndarray, metric: Metric, task: Task
) -> np.ndarray:
    """Return whether neither metric nor smooth loss of members (M, N, C) beats a constant's: (M,).

    Both, for a member may rank rows well whose probabilities are far off.
    """
    smooth = smooth_task(task, metric)
    constant = np.tile(best_constant(targets, metric, task), (len(targets), 1))
    mean = np.tile(targets.mean(axis=0), (len(targets), 1))
    to_beat = metric.score(targets, constant, task)
    loss_to_beat = row_losses(mean, targets, smooth).mean()
    return np.array(
        [
            not metric.is_better(metric.score(targets, values, task), to_beat)
            and row_losses(values, targets, smooth).mean() >= loss_to_beat
            for values in members
        ]
    )
