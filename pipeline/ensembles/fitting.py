"""BlendFitting: how blends are fitted, wherever they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.config.dependencies import positions_by_round
from pipeline.config.schema import Calibrate
from pipeline.core.scale import clip_to_targets, to_scale
from pipeline.core.task import Task
from pipeline.estimates.row_loss import smooth_task
from pipeline.metrics.find_metric import Metric
from pipeline.project import Project
from pipeline.submission.writing import filling

Series = Sequence[Sequence[int]]  # positions of members in the order of their rounds
Fill = Callable[[np.ndarray], np.ndarray]  # (N, C) -> (N, C)


@dataclass(frozen=True)
class BlendFitting:
    """How blends are fitted.

    Attributes:
        task: what members' predictions are of.
        metric: what greedy, weighted_metric and decisions make better; others fit a smooth loss.
        groups: (N,) rows that vary together; None: each row on its own.
        calibrate: how members are calibrated; if at all, the blend is too, by temperature.
            Stackers calibrate themselves.
        prune: leave out near-copies of members, and members that are no better than a constant.
        cautious: take a soft vote in place of a fitted blend whose smooth loss, on rows that it was
            not fitted on, is not less than a soft vote's, and than a constant's by two standard
            errors.
        decisions: fit thresholds, cut-points or factors too, where the metric has them.
        series: members that are rounds of one student; a blend takes them while they gain.
        fill: gives rows without a label the one that the file gives them; None: none.
        clip: of regression: none, auto (to the range of the targets that a blend is fitted to), or
            limits on the task's scale.
    """

    task: Task
    metric: Metric
    seed: int
    groups: np.ndarray | None = None
    calibrate: Calibrate = "none"
    prune: bool = True
    cautious: bool = True
    decisions: bool = False
    series: Series = ()
    fill: Fill | None = None
    clip: Literal["auto", "none"] | np.ndarray = "none"

    @classmethod
    def of(cls, project: Project) -> "BlendFitting":
        """Return how the config's blends are fitted."""
        config, metric, fill = project.config, project.metric, None
        if metric.wants == "labels":
            fill = filling(project.form, threshold=config.submission.threshold)
        return cls(
            project.task,
            metric,
            config.seed,
            groups=project.folds.groups,
            calibrate=config.calibrate,
            decisions=config.submission.decisions == "fitted",
            series=positions_by_round(config),
            fill=fill,
            clip=_limits(project),
        )

    @property
    def smooth(self) -> Task:
        """The task whose smooth loss stands in for the metric."""
        return smooth_task(self.task, self.metric)

    def within_limits(self, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Move blended values (N, C) of a regression into its limits; others stay as they are.

        Args:
            targets: (n, C) that the blend is fitted to.
        """
        if isinstance(self.clip, np.ndarray):
            return np.clip(values, *self.clip)
        return clip_to_targets(values, targets) if self.clip == "auto" else values

    def take(self, rows: np.ndarray) -> "BlendFitting":
        """Return the same for some rows: a mask (N,) or positions."""
        return replace(self, groups=None if self.groups is None else self.groups[rows])


def _limits(project: Project) -> Literal["auto", "none"] | np.ndarray:
    """Return `submission.clip` on the task's scale; none where there is nothing to clip."""
    clip, task = project.config.submission.clip, project.task
    if not task.is_regression or project.metric.ranks:
        return "none"
    return clip if isinstance(clip, str) else to_scale(np.array(clip), task.scale)
