"""What test rows are judged by: predictions of training rows and of test rows, made alike."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipeline.core.runtime import stream
from pipeline.core.task import Task
from pipeline.estimates.calibration import fit_calibration
from pipeline.metrics.find_metric import Metric


@dataclass(frozen=True)
class Evidence:
    """Predictions of training rows out of fold, and of test rows by each fold's model.

    A training row is predicted by one model, so it is each layer of test rows that is compared with
    training rows, never the layers' mean, which is less sure than one model.

    Attributes:
        oof, targets: (N, C).
        test: (K, N_test, C), one layer per fold's blend.
        folds: (N,) in 0..K-1.
        groups: (N,) what belongs together; None: each row on its own.
        members_oof, members_test: (M, N, C) and (M, K, N_test, C); None where not known.
        features: (N + N_test, V, D), the block of a frozen backbone, training rows first; None
            where there is none.
    """

    oof: np.ndarray
    targets: np.ndarray
    test: np.ndarray
    folds: np.ndarray
    metric: Metric
    task: Task
    groups: np.ndarray | None = None
    members_oof: np.ndarray | None = None
    members_test: np.ndarray | None = None
    features: np.ndarray | None = None

    @property
    def num_members(self) -> int:
        """M; 0 where members are not known."""
        return 0 if self.members_oof is None else len(self.members_oof)

    @cached_property
    def oof_score(self) -> float:
        """The metric out of fold."""
        return self.score(self.targets, self.oof)

    def score(self, targets: np.ndarray, values: np.ndarray) -> float:
        """Return the metric of values (n, C) against targets (n, C)."""
        return self.metric.score(targets, values, self.task)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest score of the metric, as far as they are known."""
        low, high = self.metric.limits(self.targets, self.task)
        # A function of the user's own may score higher than what it gives to the truth itself.
        return float(np.fmin(low, self.oof_score)), float(np.fmax(high, self.oof_score))

    def clip(self, score: float) -> float:
        """Return a score within the metric's range."""
        return float(np.clip(score, *self.limits))

    def at_most(self, rows: int, *, seed: int) -> "Evidence":
        """Return the same with at most so many training and test rows."""
        rng = stream(seed, "evidence")
        train = np.sort(rng.permutation(self.oof.shape[0])[:rows])
        test = np.sort(rng.permutation(self.test.shape[1])[:rows])
        return replace(
            self,
            oof=self.oof[train],
            targets=self.targets[train],
            test=self.test[:, test],
            folds=self.folds[train],
            groups=None if self.groups is None else self.groups[train],
            members_oof=None if self.members_oof is None else self.members_oof[:, train],
            members_test=None if self.members_test is None else self.members_test[:, :, test],
            features=None,
        )

    def calibrated(self) -> "Evidence":
        """Return the same with the blend's probabilities as sure as they are right out of fold."""
        fitted = fit_calibration("temperature", self.oof, self.targets, self.task)
        return replace(self, oof=fitted(self.oof), test=fitted(self.test))

    def confidence(self) -> tuple[np.ndarray, np.ndarray]:
        """How sure the blend is: of training rows (N,), of test rows (K, N_test)."""
        assert not self.task.is_regression, "numbers have no confidence"
        if self.task.is_multilabel:
            oof, test = (np.maximum(p, 1 - p).mean(axis=-1) for p in (self.oof, self.test))
        else:
            oof, test = self.oof.max(axis=-1), self.test.max(axis=-1)
        return oof, test

    def disagreement(self) -> tuple[np.ndarray, np.ndarray]:
        """How far members lie from their mean: of training rows (N,), of test rows (K, N_test)."""
        assert self.num_members > 1, "one member agrees with itself"
        oof, test = (
            np.abs(values - values.mean(axis=0)).mean(axis=(0, -1))
            for values in (self.members_oof, self.members_test)
        )
        return oof, test
