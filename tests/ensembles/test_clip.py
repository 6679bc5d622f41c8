"""submission.clip: predictions of a regression stay in the range of the other folds' targets."""

import numpy as np
import pytest

from pipeline.core.task import Task
from pipeline.ensembles.cross_fit import cross_fit
from pipeline.ensembles.fitting import BlendFitting
from pipeline.metrics.find_metric import get_metric

TARGETS = np.array([[0.0], [10.0], [5.0], [2.0], [8.0], [5.0]])
FOLDS = np.array([0, 0, 0, 1, 1, 1])
FAR = np.array([[-5.0], [15.0], [6.0], [-5.0], [15.0], [6.0]])


def clipped(clip) -> tuple[list[float], list[list[float]]]:
    """Return out-of-fold and test predictions of a vote of two equal members that go too far."""
    fitting = BlendFitting(
        Task("regression"), get_metric("rmse", "regression"), 0, prune=False, clip=clip
    )
    oof, test = np.stack([FAR, FAR]), np.tile([[-5.0], [15.0]], (2, 2, 1, 1))
    levels = np.zeros((2, 2, 1))  # of the members' models: the same, so that nothing is moved
    fit = cross_fit("soft_vote", oof, test, TARGETS, FOLDS, fitting, base_levels=levels)
    return fit.scored_oof[:, 0].tolist(), fit.submitted_test[:, :, 0].tolist()


@pytest.mark.parametrize(
    ("clip", "oof", "test"),
    [
        # Fold 0 is limited by fold 1's targets, 2 to 8: its own 0 and 10 are not known there.
        ("auto", [2, 8, 6, 0, 10, 6], [[2, 8], [0, 10]]),
        ("none", [-5, 15, 6, -5, 15, 6], [[-5, 15], [-5, 15]]),
        (np.array([-1.0, 12.0]), [-1, 12, 6, -1, 12, 6], [[-1, 12], [-1, 12]]),
    ],
)
def test_each_fold_is_limited_by_the_targets_of_the_others(clip, oof, test) -> None:
    assert clipped(clip) == (oof, test)
