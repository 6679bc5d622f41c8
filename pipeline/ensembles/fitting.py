"""BlendFitting: how blends are fitted, wherever they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.config.dependencies import positions_by_round
from pipeline.config.schema import Calibrate
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
        )

    @property
    def smooth(self) -> Task:
        """The task whose smooth loss stands in for the metric."""
        return smooth_task(self.task, self.metric)

    def take(self, rows: np.ndarray) -> "BlendFitting":
        """Return the same for some rows: a mask (N,) or positions."""
        return replace(self, groups=None if self.groups is None else self.groups[rows])
